"""Interleaved runs and their medians: what one machine does at one time, as ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """One line of the table.

    `at_most` is what is promised and `reach` what is aimed at; None where nothing is.
    """

    what: str
    ratio: float
    at_most: float | None = None
    reach: float | None = None
    detail: str = ""


def medians(runs: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Median seconds of each run; they take turns, so that noise strikes all alike."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(t) for name, t in times.items()}
