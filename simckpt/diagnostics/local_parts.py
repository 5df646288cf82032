"""This rank's parts: boxes or particles with their arrays, and the programs for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.series import Patch
from .coverage_checksum import box_mark, mark
from .exact import half_words
from .expressions import Tree
from .grid import Grid, Sliced, one_width
from .lowering import LEAVES, Leaf, Program, lower
from .quantities.base import Channel
from .views import Readable

MASK: Leaf = ("mask",)

NOWHERE = np.iinfo(np.int64).max
"""The place of the first cell that is not finite, where there is none."""


@dataclass(frozen=True, eq=False)
class Part:
    """One box, or this rank's particles, with the arrays of a sample.

    `arrays` has the interior views by name, `ghosted` the same with their ghost layers, and
    `where_around` is the mask with them, if it has any; `ids` is None for boxes. `widths_around`
    has one more cell on both sides, and is None along an axis where nothing is known of them.
    """

    space: int
    start: tuple[int, ...]
    shape: tuple[int, ...]
    global_shape: tuple[int, ...]
    arrays: Mapping[str, Readable]
    widths: tuple[float | NDArray[np.float64], ...] = ()
    widths_around: tuple[float | NDArray[np.float64] | None, ...] = ()
    volume: float | NDArray[Any] = 1.0
    volume_tree: Tree = ("number", 1.0)
    where: NDArray[np.bool_] | None = None
    where_around: NDArray[np.bool_] | None = None
    ids: NDArray[Any] | None = None
    ghosted: Mapping[str, Readable] = field(default_factory=dict)
    ghost: tuple[tuple[int, int], ...] = ()
    prepared: dict[PartPlan, Any] = field(default_factory=dict)
    """What a sampler keeps of it."""

    @property
    def patch(self) -> Patch:
        """Where the box lies."""
        return Patch(start=self.start, shape=self.shape, level=self.space)

    @property
    def kind(self) -> tuple[object, ...]:
        """What a program for the part depends on, beside its fields."""
        return (
            self.space,
            self.volume_tree,
            *(w if isinstance(w, float) else None for w in (*self.widths, *self.widths_around)),
            *(w is None for w in self.widths_around),
            self.ghost,
            self.where is None,
            self.where_around is None,
        )

    @property
    def even_volume(self) -> float | None:
        """The volume of its cells, if it is one."""
        return float(self.volume_tree[1]) if self.volume_tree[0] == "number" else None

    def with_numbers(self, tree: Tree) -> Tree:
        """The tree with numbers for widths that are the same in all cells."""
        kind = tree[0]
        if kind in ("width", "even_width", "width_beside"):
            widths = self.widths_around if kind == "width_beside" else self.widths
            width = widths[tree[1]]
            return ("number", width) if isinstance(width, float) else tree
        if kind in LEAVES or kind == "number":
            return tree
        return (kind, *(self.with_numbers(part) for part in tree[1:]))

    def mark(self) -> int:
        """What tells which cells or ids these are: see `marks`. Of a part with a mask 0."""
        if self.ids is not None:
            return mark(self.ids)
        return box_mark(self.start, self.shape) if self.where is None else 0

    def leaf(self, leaf: Leaf) -> Readable:
        """The array, of the part's shape, that a leaf of an expression stands for."""
        match leaf:
            case ("field", name):
                return self.arrays[name]
            case ("high" | "low" as half, name):
                return half_words(self.arrays[name], half)
            case ("shifted", name, axis, offset):
                return self._shifted(self.ghosted[name], axis, offset)
            case ("beside", axis, offset):
                return self._shifted(self.around, axis, offset)
            case ("width" | "even_width", axis):
                return self._along(axis, self.widths[axis])
            case ("width_beside", axis, offset):
                widths = self.widths_around[axis]
                if isinstance(widths, np.ndarray):
                    widths = widths[1 + offset : 1 + offset + self.shape[axis]]
                if widths is not None:
                    return self._along(axis, widths)
            case ("volume",):
                return self._volume()
            case ("mask",) if self.where is not None:
                return self.where
        raise KeyError(leaf)

    @cached_property
    def around(self) -> NDArray[np.bool_]:
        """Which cells count, ghost layers included; those of which nothing is known do."""
        if self.where_around is not None:
            return self.where_around
        if self.where is not None:
            return np.pad(self.where, self.ghost, constant_values=True)
        full = (n + low + high for n, (low, high) in zip(self.shape, self.ghost, strict=True))
        return np.broadcast_to(np.True_, tuple(full))

    def _shifted(self, array: Sliced, axis: int, offset: int) -> Sliced:
        begin = [low + offset * (i == axis) for i, (low, _) in enumerate(self.ghost)]
        cut = tuple(slice(b, b + n) for b, n in zip(begin, self.shape, strict=True))
        return array[cut]  # type: ignore[return-value]

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
        width = one_width(grid.local_widths(axis, cells))
        uniform = uniform * width if uniform is not None and width is not None else None
        if axis:
            tree = ("multiply", tree, ("width", axis))
    if uniform is not None:
        return uniform, ("number", uniform)
    return 1.0, tree


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
