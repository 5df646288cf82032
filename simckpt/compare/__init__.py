"""Where two runs part, what kind of difference it is, and why: pure functions over two runs."""


# What kind of difference it is.


# Where two runs part.


# Why two runs part: what was recorded of them, and which of it explains the difference.
