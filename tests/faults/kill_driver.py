"""A driver on many ranks that says which checkpoints it was told are there; started to be killed.

It goes on from the step of the last checkpoint that it noted.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

import simckpt

CELLS = 64


def main(folder: Path) -> None:
    comm = MPI.COMM_WORLD
    (folder / f"pid-{comm.rank}").write_text(str(os.getpid()))
    told = os.open(folder / "told", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    lines = os.pread(told, 1 << 24, 0).decode().splitlines()
    start = comm.bcast(int(lines[-1].split()[1]) if lines else 0)
    u = np.arange(CELLS, dtype=float) + comm.rank + start
    grid = simckpt.Grid((CELLS * comm.size,), start=CELLS * comm.rank)
    with simckpt.run(bundle=folder / "run", start_step=start, if_exists="continue") as run:
        for step in range(start, 10**9):
            run.sample(grid=grid, fields={"u": u}, conserved={"total": "u"}, step=step, t=step / 8)
            u += 1.0
            time.sleep(0.005)  # leaves the processors to who looks on
            comm.Barrier()
            if step % 5 == 0 and (made := run.checkpoint(f"at {step}")):
                os.write(told, f"{made.id} {step}\n".encode())


main(Path(sys.argv[1]))
