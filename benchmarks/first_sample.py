"""How long the first sample of a fresh process takes, with a cold and a warm kernel cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from .timing import Ratio

PROGRAM = """
import time
import numpy as np
from simckpt import CFL, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State
begin = time.perf_counter()
probe = RankSampler(Declarations(conserved={"mass": "rho"}, stability={"courant": CFL("abs(rho)")}))
state = State(Grid((64, 64)), {"rho": np.ones((64, 64))}, dt=0.1)
probe.agree([probe.local_spec(state)])
probe.finish(*probe.measure(state))
print(time.perf_counter() - begin)
"""


def _seconds(cache: str) -> float:
    environment = {**os.environ, "SIMCKPT_CACHE_DIR": cache, "NUMBA_CACHE_DIR": ""}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ran.stdout)


def ratios() -> list[Ratio]:
    """Seconds rather than ratios: nothing else is like it."""
    with tempfile.TemporaryDirectory() as cache:
        cold = _seconds(cache)
        warm = min(_seconds(cache) for _ in range(3))
    return [
        Ratio("first sample, cold kernel cache, in seconds", cold, 20.0),
        Ratio("first sample, warm kernel cache, in seconds", warm, 1.0),
    ]
