"""Results as text and JSON; nothing here opens a file."""
