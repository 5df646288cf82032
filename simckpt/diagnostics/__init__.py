"""What is measured: grids, declarations, expressions, and the probe that takes samples."""
