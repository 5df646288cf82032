"""Run on two ranks: seconds that reducing so many words and pairs to rank 0 takes, as JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np
from mpi4py import MPI

from simckpt.parallel.comm import PAIR
from simckpt.parallel.mpi import MpiComm

ROUNDS = 400


def main() -> None:
    """Read pairs of sizes from the command line, and print what each takes on rank 0."""
    comm = MpiComm(MPI.COMM_WORLD).duplicate()
    times: dict[str, list[float]] = {}
    sizes = [tuple(map(int, text.split(","))) for text in sys.argv[1:]]
    for _ in range(ROUNDS):
        for words, pairs in sizes:
            sums, maxima = np.ones(words, np.uint64), np.zeros(pairs, PAIR)
            MPI.COMM_WORLD.Barrier()
            begin = time.perf_counter()
            reduction = comm.reduce(sums, maxima)
            while not reduction.done():
                pass
            times.setdefault(f"{words},{pairs}", []).append(time.perf_counter() - begin)
    if comm.rank == 0:
        print(json.dumps({size: statistics.median(t) for size, t in times.items()}))


if __name__ == "__main__":
    main()
