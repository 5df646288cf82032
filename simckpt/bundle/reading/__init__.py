"""Journal and folded file, read as one bundle."""
