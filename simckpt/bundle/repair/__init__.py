"""Whether a bundle is whole, and what can be had of one that is not."""
