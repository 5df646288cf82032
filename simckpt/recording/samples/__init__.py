"""When samples are taken, and how they arrive."""
