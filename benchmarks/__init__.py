"""Ratios of this package's costs to those of plain NumPy and of reading memory."""
