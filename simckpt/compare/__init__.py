"""Where two runs part, what kind of difference it is, and why: pure functions over two runs."""
