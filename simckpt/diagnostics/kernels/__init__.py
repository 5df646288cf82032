"""Numba functions and nothing else; importing any of these modules imports numba."""
