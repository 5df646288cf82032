"""A probe that is ready to measure: what the benchmarks of the diagnostics share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simckpt import Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

SIZE = 1 << 25
"""Float64 values that no cache holds: 256 MiB."""


def ready(declarations: Declarations, state: State) -> Callable[[], object]:
    """A function that measures `state` once; the set-up and the first sample are done."""
    probe = RankSampler(declarations)
    probe.agree([probe.local_spec(state)])
    probe.measure(state)
    if probe.faults:
        raise RuntimeError(str(probe.faults[0]))
    return lambda: probe.measure(state)


def one_field(array: np.ndarray[Any, Any], **grid: Any) -> State:
    """A state of one field; keywords go to `Grid`."""
    shape = grid.pop("shape", array.shape)
    return State(Grid(shape, **grid), {"f": array})


def normal(shape: int | tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Normally distributed values."""
    return np.random.default_rng(1).normal(size=shape)
