"""What is recorded: frozen structs without any input or output."""
