"""Numba functions and nothing else."""
