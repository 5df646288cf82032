"""What it takes to capture the environment: all of it on rank 0, and the common part elsewhere.

In fresh processes, with the libraries loaded that a run has loaded by then, and files as the
system has them in memory. The first capture counts: a run makes one.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from .timing import Ratio

PROCESSES = 5
FULL, NODE = 0.3, 0.05
"""Seconds that are promised."""

PROGRAM = """
import time
import numpy, numba, h5py, simckpt
from simckpt.capture.environment import {name}
begun = time.perf_counter()
{name}()
print(time.perf_counter() - begun)
"""


def ratios() -> list[Ratio]:
    """Seconds as parts of what is promised."""
    found = {name: _first(name) for name in ("capture_environment", "capture_node")}
    full, node = found["capture_environment"], found["capture_node"]
    return [
        Ratio("environment on rank 0 / 300 ms", full / FULL, 1, None, f"{1e3 * full:.0f} ms"),
        Ratio("environment elsewhere / 50 ms", node / NODE, 1, None, f"{1e3 * node:.0f} ms"),
    ]


def _first(name: str) -> float:
    """Median over processes of the time that the first capture took."""
    program = PROGRAM.format(name=name)
    times = [
        float(
            subprocess.run((sys.executable, "-c", program), capture_output=True, check=True).stdout
        )
        for _ in range(PROCESSES)
    ]
    return statistics.median(times)
