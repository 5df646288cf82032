"""A catalogue of runs with exactly one thing changed, and how well a comparison explains each."""
