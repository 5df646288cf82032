"""Facts read off the machine, as models."""
