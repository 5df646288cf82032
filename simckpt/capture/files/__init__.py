"""Files as facts: inputs, outputs, configuration and logs."""
