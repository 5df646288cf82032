"""What one sample sees: live views of the driver's arrays, without copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any, NamedTuple

from .exact import ExactSum
from .grid import Grid
from .particles import Cells, Particles


def worst(a: float, b: float) -> float:
    """The larger of two residuals; NaN if either is."""
    return nan if isnan(a) or isnan(b) else max(a, b)


@dataclass(frozen=True)
class Solves:
    """Linear or non-linear solves.

    Parameters
    ----------
    solves, iterations : int
        How many solves, and their iterations in all.
    initial, final : float
        The largest residual before and after a solve; NaN if any is, or none was reported.
    """

    solves: int = 0
    iterations: int = 0
    initial: float = nan
    final: float = nan

    def __add__(self, other: Solves) -> Solves:
        if not self.solves or not other.solves:
            return self if self.solves else other
        return Solves(
            self.solves + other.solves,
            self.iterations + other.iterations,
            worst(self.initial, other.initial),
            worst(self.final, other.final),
        )


@dataclass(frozen=True)
class Reported:
    """The reports by name.

    Parameters
    ----------
    amounts : mapping of str to ExactSum
        What `run.add_source` was given, added up exactly.
    counts : mapping of str to int
        What `run.count` was given, added up.
    solves : mapping of str to Solves
        What `run.residual` was given.
    scalars : mapping of str to float
        What `run.scalar` was given last.
    """

    amounts: Mapping[str, ExactSum] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    solves: Mapping[str, Solves] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)


NOTHING_REPORTED = Reported()


@dataclass(frozen=True, eq=False)
class State:
    """The simulation's state on this rank, as of now.

    Parameters
    ----------
    grid : Grid, Cells, or sequence of them, optional
        Where this rank's cells lie; a sequence for several boxes (blocks, refinement patches).
    fields : mapping of str to ndarray, or to a sequence of ndarray
        One array a field, ghost layers included; one array a box where `grid` is a sequence.
    particles : Particles, optional
        This rank's particles.
    step : int
        The driver's step number, 0 for the initial condition.
    t, dt : float
        Simulated time and the step's width, in the driver's unit of time.
    reported : Reported
        What the driver has reported on this rank since the last sample.
    unreadable : int
        How many of the numbers above could not be read; they stand here as none.
    visit : int
        How many samples of the same step came right before.
    """

    grid: Grid | Cells | Sequence[Grid | Cells] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    particles: Particles | None = None
    step: int = 0
    t: float = nan
    dt: float = nan
    reported: Reported = NOTHING_REPORTED
    unreadable: int = 0
    visit: int = 0


class Extremum(NamedTuple):
    """A value, and the lowest linear global index (C order) or id of the cells that have it."""

    value: float
    cell: int


class Extremes:
    """The extrema on this rank whose places are asked for, by field and index space."""

    def __init__(self) -> None:
        self.smallest: dict[tuple[str, int], Extremum] = {}
        self.largest: dict[tuple[str, int], Extremum] = {}
