"""What kind of difference it is."""
