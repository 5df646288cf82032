"""Numerical settings, read off live solver objects and settings files."""
