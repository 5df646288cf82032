"""How much space cells take: a scale for integrals, and what keeps their terms from overflowing."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod
from typing import NamedTuple

import numpy as np

from ...errors import SetupError
from .cells import Cells
from .grid import Grid


class Measure(NamedTuple):
    """Of the cells that count: their volume, rounded, their number, and the largest volume."""

    volume: float
    cells: int
    largest: float


EMPTY = Measure(0.0, 0, 0.0)

BLOCK = 1 << 14
"""Cells of a block, unless a row is longer."""


def measure_cells(cells: Cells) -> Measure:
    """The measure of unstructured cells."""
    count = int(cells.ids.size)
    if isinstance(cells.volume, float):
        return Measure(cells.volume * count, count, cells.volume)
    return Measure(float(np.sum(cells.volume)), count, float(np.max(cells.volume, initial=0.0)))


def measure_box(grid: Grid, shape: Sequence[int]) -> Measure:
    """The measure of a box of this shape.

    Raises
    ------
    SetupError
        If the product of widths is zero or infinite in float64.
    """
    if not prod(shape):
        return EMPTY
    widths = [
        np.broadcast_to(np.asarray(grid.local_widths(axis, cells), np.float64), (cells,))
        for axis, cells in enumerate(shape)
    ]
    where = None if grid.where is None else grid.local_cells("Grid.where", grid.where, shape)
    given = None
    if grid.volume is not None:
        given = grid.local_cells("Grid.volume", grid.volume, shape)
    else:
        for size in (prod(float(w.max()) for w in widths), prod(float(w.min()) for w in widths)):
            if not 0 < size < np.inf:
                problem = f"makes cells of the volume {size:g} in float64"
                raise SetupError("Grid.spacing", grid.spacing, problem, mend="Scale the lengths.")
        if where is None:
            volume = prod(float(w.sum()) for w in widths)
            return Measure(volume, prod(shape), prod(float(w.max()) for w in widths))
    volume, count, largest = 0.0, 0, 0.0
    # Block by block, so that no temporary of the field's size is made.
    rows = max(1, BLOCK // max(1, prod(shape[1:])))
    for begin in range(0, shape[0], rows):
        cut = slice(begin, begin + rows)
        if given is not None:
            slab = np.asarray(given[cut], np.float64)
        else:
            slab = widths[0][cut]
            for along in widths[1:]:
                slab = slab[..., np.newaxis] * along
        counted = slab if where is None else slab[where[cut]]
        count += int(counted.size)
        if counted.size:
            volume += float(counted.sum())
            largest = max(largest, float(counted.max()))
    return Measure(volume if isfinite(volume) else np.inf, count, largest)
