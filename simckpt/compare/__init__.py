"""Where two runs diverge, what kind of difference it is, and why: pure functions over two runs."""


# What kind of difference it is.


# Where two runs diverge.


# Why two runs diverge: what was recorded of them, and which of it explains the difference.
