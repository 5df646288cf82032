"""The composition root of a run: it alone puts the parts together."""
