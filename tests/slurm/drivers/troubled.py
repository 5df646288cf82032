"""The Kelvin-Helmholtz example as it is, on a machine where things go wrong when they are asked to.

What is not an option of this program is one of the example's.
"""

from __future__ import annotations

import argparse
import functools
import os
import runpy
import signal
import sys
import time
from pathlib import Path

from mpi4py import MPI

import simckpt

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--start-up", type=float, default=0.0, help="seconds before the run begins")
parser.add_argument("--pause", type=float, default=0.0, help="seconds that a step takes longer")
parser.add_argument("--fail-at", type=int, default=-1, help="step that goes wrong")
parser.add_argument("--how", choices=("exception", "alone", "kill", "memory"), default="exception")
parser.add_argument("--perturb", type=float, default=0.0, help="of one cell, before the first step")
options, words = parser.parse_known_args()

if options.start_up:
    Path("starting").touch()
    time.sleep(options.start_up)

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "kelvin_helmholtz.py"


def misbehave():
    last = MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1
    if options.how == "memory" and last:
        hoard = [bytearray(b"x" * 2**20) for _ in range(600)]
        time.sleep(30)
        print(len(hoard))
    if options.how == "kill" and last:
        os.kill(os.getpid(), signal.SIGKILL)
    if options.how == "exception" or (options.how == "alone" and last):
        raise FloatingPointError("the density is not finite")


def troubled(advance):
    @functools.wraps(advance)
    def step(flow, dt):
        if flow.step == options.fail_at:
            misbehave()
        if flow.step == 0 and flow.domain.root:
            flow.E[5, 5] += options.perturb
        time.sleep(options.pause)
        return advance(flow, dt)

    return step


around = simckpt.step
simckpt.step = lambda **declared: lambda advance: around(**declared)(troubled(advance))
sys.argv = [str(EXAMPLE), *words]
runpy.run_path(str(EXAMPLE), run_name="__main__")
