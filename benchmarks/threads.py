"""Two threads against one, on fields that fit the cache."""

from __future__ import annotations

import os

from simckpt.diagnostics import Declarations

from .sampling import normal, one_field, ready
from .timing import Ratio, medians

SHAPE = (4096, 1024)


def ratios() -> list[Ratio]:
    """The same sample with SIMCKPT_THREADS at 1 and 2."""
    declarations = Declarations(conserved={"total": "f", "squares": "f*f"})
    state = one_field(normal(SHAPE))
    samples = {}
    before = os.environ.get("SIMCKPT_THREADS")
    for threads in ("1", "2"):
        os.environ["SIMCKPT_THREADS"] = threads
        samples[threads] = ready(declarations, state)
    if before is None:
        del os.environ["SIMCKPT_THREADS"]
    else:
        os.environ["SIMCKPT_THREADS"] = before
    times = medians(samples, rounds=31)
    return [Ratio("2 threads / 1 thread, in cache", times["2"] / times["1"], 0.6, 0.52)]
