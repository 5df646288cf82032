"""Arrays that do not lie in host memory: measured where they are."""
