"""Where a quantity has no value, or another meaning, by its own definition and not by the state's.

NaN equals nothing, so that a NaN of a simulation is never passed over. Other NaN are the
instrument's own words for "there is none": a field of a level that has no boxes at the time has no
extrema, and a growth rate none before its window is full. And the rank that holds an extremum is
a fact about the decomposition, which two runs need not share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.segment import DECOMPOSITION, DECOMPOSITION_CHANGED
from ...model.series import Column
from ..view import DigestView, Ints, Mask, RunView
from .alignment import Alignment
from .steps import digest_rows

GROWTH = "least-squares slope of"
"""How the note of a growth rate begins. All that it tells of the state stands in the column that it
is made of, which is compared by itself."""

BLOCK_BYTES = 1 << 21
"""Digests are read in blocks of this size."""

RANK = ".rank"
"""How the name of a column ends that tells which rank holds an extremum."""


class Undefined:
    """Which values are none, in both runs, by definition.

    Parameters
    ----------
    a, b : RunView
        The runs.
    alignment : Alignment
        Their moments.
    """

    def __init__(self, a: RunView, b: RunView, alignment: Alignment) -> None:
        self._runs = a, b
        self._alignment = alignment
        self._empty: dict[tuple[str, str], Mask] = {}

    def where(self, column: Column, other: Column, nan: Mask) -> Mask:
        """The moments, of those at which both values are NaN, at which that is no difference.

        `column` is that of A, and `other` that of B.
        """
        if all(c.kind == "stability" and c.note.startswith(GROWTH) for c in (column, other)):
            return nan
        if column.kind in ("minimum", "maximum"):
            fields = [(column.of, other.of)]
        else:
            fields = [(name, name) for name in self._runs[0].fields]
        known = all(o in self._runs[0].fields and t in self._runs[1].fields for o, t in fields)
        if not known or not fields:
            return np.zeros(len(nan), dtype=bool)
        found: Mask = nan & np.logical_and.reduce([self._without_cells(*pair) for pair in fields])
        return found

    def _without_cells(self, one: str, two: str) -> Mask:
        """Moments at which no cell of a field counts, in both runs: all digests are zero."""
        if (one, two) not in self._empty:
            a, b = self._runs
            rows = self._alignment.rows_a, self._alignment.rows_b
            self._empty[one, two] = (
                _all_zero(a.digests(one), a.series().step[rows[0]])
                & _all_zero(b.digests(two), b.series().step[rows[1]])
                & self._alignment.exact
            )
        return self._empty[one, two]


@dataclass(frozen=True, slots=True)
class Absent:
    """Where a column has no value by definition; `untold` are moments before the first time step.

    `column` is that of A, and `other` that of B.
    """

    undefined: Undefined
    column: Column
    other: Column
    untold: Mask | None = None

    def where(self, nan: Mask) -> Mask:
        """Of the moments at which both values are NaN, those at which that is no difference."""
        found = self.undefined.where(self.column, self.other, nan)
        return found if self.untold is None else found | (nan & self.untold)


def _all_zero(digests: DigestView, steps: Ints) -> Mask:
    """Of each step, whether all digests of the field are zero; not where there are none."""
    zero = np.zeros(len(steps), dtype=bool)
    rows = digest_rows(digests, steps)
    some = np.flatnonzero(rows >= 0)
    block = max(1, BLOCK_BYTES // (8 * max(digests.tiles.size, 1)))
    for start in range(0, len(some), block):
        part = some[start : start + block]
        low, high = int(rows[part].min()), int(rows[part].max()) + 1
        words = digests.rows(low, high).reshape(high - low, -1)
        empty = np.count_nonzero(words, axis=1) == 0
        zero[part] = empty[rows[part] - low]
    return zero


def tells_of_ranks(column: Column) -> bool:
    """Whether a column's numbers are those of ranks."""
    return column.kind == "location" and column.name.endswith(RANK)


def same_decomposition(a: RunView, b: RunView) -> bool:
    """Whether both runs were cut and spread over ranks in one way, all the time."""
    one, two = _decompositions(a), _decompositions(b)
    return one == two and _moves(a) == _moves(b)


def _decompositions(run: RunView) -> list[tuple[int, object]]:
    told = [(view.segment.ranks, view.decomposition) for view in run.segments]
    return [now for i, now in enumerate(told) if not i or now != told[i - 1]]


def _moves(run: RunView) -> list[tuple[int, object]]:
    return [
        (event.step, event.facts.get(DECOMPOSITION))
        for event in run.events
        if event.name == DECOMPOSITION_CHANGED
    ]
