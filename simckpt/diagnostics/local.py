"""This rank's parts as the kernels see them: layouts, views and plans.

Numba is not needed to make these; it is imported when a part is swept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .channels import Channel
from .expressions import Tree
from .grid import Grid
from .lowering import Leaf, Program, lower
from .views import type_name

PADDED_AXES = 4
MASK: Leaf = ("mask",)


@dataclass(frozen=True, eq=False)
class Part:
    """One box, or this rank's particles, with the arrays of a sample.

    `arrays` has the interior views by name; `ids` is None for boxes.
    """

    space: int
    start: tuple[int, ...]
    shape: tuple[int, ...]
    global_shape: tuple[int, ...]
    arrays: Mapping[str, NDArray[Any]]
    widths: tuple[float | NDArray[np.float64], ...] = ()
    volume: float | NDArray[Any] = 1.0
    volume_tree: Tree = ("number", 1.0)
    where: NDArray[np.bool_] | None = None
    ids: NDArray[Any] | None = None

    def leaf(self, leaf: Leaf) -> NDArray[Any]:
        """The array, of the part's shape, that a leaf of an expression stands for."""
        match leaf:
            case ("field", name):
                return self.arrays[name]
            case ("width", axis):
                return self._along(axis, self.widths[axis])
            case ("volume",):
                return self._volume()
            case ("mask",) if self.where is not None:
                return self.where
        raise KeyError(leaf)

    def _along(self, axis: int, widths: float | NDArray[np.float64]) -> NDArray[Any]:
        shape = [1] * len(self.shape)
        if not isinstance(widths, float):
            shape[axis] = self.shape[axis]
        return np.broadcast_to(np.reshape(widths, shape), self.shape)

    def _volume(self) -> NDArray[Any]:
        if isinstance(self.volume, float):
            return np.broadcast_to(np.float64(self.volume), self.shape)
        return self.volume


def volume_of(grid: Grid, local: Sequence[int]) -> tuple[float | NDArray[Any], Tree]:
    """The cell volume as a number or an array, and the tree that gives it in each cell."""
    if grid.volume is not None:
        return grid.local_cells("Grid.volume", grid.volume, local), ("volume",)
    tree: Tree = ("width", 0)
    uniform: float | None = 1.0
    for axis, cells in enumerate(local):
        width = grid.local_widths(axis, cells)
        uniform = uniform * width if uniform is not None and isinstance(width, float) else None
        if axis:
            tree = ("multiply", tree, ("width", axis))
    if uniform is not None:
        return uniform, ("number", uniform)
    return 1.0, tree


@dataclass(frozen=True, eq=False)
class SweepArguments:
    """What the kernel takes for one part, apart from accumulators and buffers.

    `kept` holds arrays whose addresses are in `views`.
    """

    pieces: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    tile: NDArray[np.int64]
    origin: int
    steps: NDArray[np.int64]
    views: NDArray[np.int64]
    mask: int
    kept: list[NDArray[Any]] = field(default_factory=list)


def memory_order(array: NDArray[Any]) -> list[int]:
    """The axes of `array` from the largest stride to the smallest; short axes come first."""
    return sorted(
        range(array.ndim),
        key=lambda axis: (array.shape[axis] > 1, -abs(array.strides[axis])),
    )


def arrange(
    part: Part, leaves: Sequence[Leaf], edges: Sequence[Sequence[int]], codes: Mapping[str, int]
) -> SweepArguments:
    """How to walk over `part`, and where its views lie."""
    arrays = [part.leaf(leaf) for leaf in leaves]
    mask = leaves.index(MASK) if MASK in leaves else -1
    order = memory_order(arrays[0]) if arrays else list(range(len(part.shape)))
    pad = PADDED_AXES - len(order)
    steps = np.zeros(PADDED_AXES, np.int64)
    cut: list[list[tuple[int, int, int]]] = [[(0, 1, 0)]] * pad
    for place, axis in enumerate(order):
        steps[pad + place] = prod(part.global_shape[axis + 1 :])
        cut.append(_pieces(part, axis, edges))
    most = max(len(pieces) for pieces in cut)
    table = np.zeros((3, PADDED_AXES, max(most, 1)), np.int64)
    for axis, pieces in enumerate(cut):
        for i, piece in enumerate(pieces):
            table[:, axis, i] = piece
    views = np.zeros((len(arrays), 3 + PADDED_AXES), np.int64)
    for row, array in zip(views, arrays, strict=True):
        row[0] = array.__array_interface__["data"][0]
        row[1] = codes[type_name(array.dtype)]
        row[2] = not array.dtype.isnative
        row[3 + pad :] = [array.strides[axis] for axis in order]
    origin = sum(
        start * prod(part.global_shape[axis + 1 :]) for axis, start in enumerate(part.start)
    )
    counts = np.array([len(pieces) for pieces in cut], np.int64)
    return SweepArguments(counts, table[0], table[1], table[2], origin, steps, views, mask, arrays)


def _pieces(part: Part, axis: int, edges: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """The tiles that the part touches along `axis`: local begin and end, and the tile number."""
    stride = prod(len(e) - 1 for e in edges[axis + 1 :])
    low, high = part.start[axis], part.start[axis] + part.shape[axis]
    pieces = []
    for i, (a, b) in enumerate(zip(edges[axis], edges[axis][1:], strict=False)):
        begin, end = max(a, low), min(b, high)
        if begin < end:
            pieces.append((begin - low, end - low, i * stride))
    return pieces


@dataclass(frozen=True, eq=False)
class PartPlan:
    """A program for one part, and which channels, sums and maxima it answers.

    `sums` are (index of the answer, buffer, buffer of weights or -1); `maxima` are (index,
    buffer).
    """

    channels: tuple[int, ...]
    program: Program
    sums: tuple[tuple[int, int, int], ...]
    maxima: tuple[tuple[int, int], ...]


def plan_part(
    channels: Sequence[tuple[int, Channel]],
    sums: Sequence[tuple[int, Tree, Tree | None]],
    maxima: Sequence[tuple[int, Tree]],
    *,
    masked: bool,
) -> PartPlan:
    """The program that answers these requests, given as (index, tree, tree of weights)."""
    fields: list[Leaf] = [("field", channel.field) for _, channel in channels]
    if masked:
        fields.append(MASK)
    trees: list[Tree] = []
    for _, tree, weight in sums:
        trees += [tree] if weight is None else [tree, weight]
    trees += [tree for _, tree in maxima]
    program = lower(trees, fields)
    outputs = iter(program.outputs)
    planned_sums = tuple(
        (index, next(outputs), -1 if weight is None else next(outputs)) for index, _, weight in sums
    )
    planned_maxima = tuple((index, next(outputs)) for index, _ in maxima)
    return PartPlan(tuple(i for i, _ in channels), program, planned_sums, planned_maxima)
