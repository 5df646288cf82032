"""How a job attempt begins and ends, and what joins it to the ones before."""
