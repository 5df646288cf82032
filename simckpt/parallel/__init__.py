"""The ranks of a run: a protocol, its serial twin and the one import of mpi4py."""
