"""Heat conduction in a rod on MPI ranks, that restarts: small, but all a chained job needs.

The answer does not depend on the number of ranks or on where it was interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mpi4py import MPI

import simckpt

comm = MPI.COMM_WORLD
DX, DT = 1.0, 0.2


@dataclass
class Rod:
    temperature: np.ndarray
    start: int
    cells: int
    step: int = 0

    @property
    def t(self):
        return self.step * DT


@simckpt.step(
    grid=lambda rod: simckpt.Grid((rod.cells,), spacing=DX, start=(rod.start,)),
    fields=lambda rod: {"T": rod.temperature},
    conserved={"heat": "T"},
)
def advance(rod, dt):
    here = rod.temperature
    padded = np.pad(here, 1, mode="edge")
    left = comm.rank - 1 if comm.rank else MPI.PROC_NULL
    right = comm.rank + 1 if comm.rank + 1 < comm.size else MPI.PROC_NULL
    comm.Sendrecv(here[-1:].copy(), right, recvbuf=padded[:1], source=left)
    comm.Sendrecv(here[:1].copy(), left, recvbuf=padded[-1:], source=right)
    here += dt * (padded[2:] - 2 * padded[1:-1] + padded[:-2]) / DX**2
    rod.step += 1


def begin(options):
    start, stop = (options.cells * r // comm.size for r in (comm.rank, comm.rank + 1))
    if options.restart.exists():
        with np.load(options.restart) as saved:
            return Rod(saved["T"][start:stop].copy(), start, options.cells, int(saved["step"]))
    x = np.arange(start, stop) / options.cells
    return Rod(1 + np.sin(7 * x) ** 2 + options.perturb * (x == 0.5), start, options.cells)


def save(rod, options):
    """Write the restart file under another name, and rename it: it is whole or the old one."""
    parts = comm.gather(rod.temperature)
    if comm.rank == 0:
        beside = options.restart.with_suffix(".new.npz")
        np.savez(beside, T=np.concatenate(parts), step=rod.step)
        beside.rename(options.restart)


def misbehave(rod, options):
    last = comm.rank == comm.size - 1
    if rod.step != options.fail_at or not (last or options.how == "exception"):
        return
    if options.how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise FloatingPointError("the temperature is not finite")


def main(options):
    rod = begin(options)
    with simckpt.run(options.bundle, start_step=rod.step, intent="test of a job chain"):
        while rod.step < options.steps:
            if simckpt.stopping():
                save(rod, options)
                return
            misbehave(rod, options)
            advance(rod, DT)
            if rod.step % options.save_every == 0:
                save(rod, options)
                simckpt.checkpoint(f"step {rod.step}")
            time.sleep(options.pause)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", default="heat.simckpt.h5")
    parser.add_argument("--restart", type=Path, default=Path("restart.npz"))
    parser.add_argument("--cells", type=int, default=96)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--save-every", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--perturb", type=float, default=0.0)
    parser.add_argument("--fail-at", type=int, default=-1)
    parser.add_argument("--how", choices=("exception", "alone", "kill"), default="exception")
    main(parser.parse_args())
