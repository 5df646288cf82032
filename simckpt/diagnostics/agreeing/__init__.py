"""What all ranks agree on at the first sample, and whether all were asked for the same."""
