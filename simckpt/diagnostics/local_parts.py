"""This rank's boxes and particles as parts, each array checked against the global plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SetupError
from ..model.series import Patch
from .coverage import box_checksum, ids_checksum
from .exact import half_words
from .expressions import Tree
from .grid import AxisSpacing, Grid, Sliced, one_width
from .local_spec import grids_of, one_field
from .lowering import LEAVES, Leaf, Program, lower
from .particles import Cells
from .quantities.base import PARTICLES, Channel
from .readable import Readable, type_name
from .state import State

MASK: Leaf = ("mask",)

NOWHERE = np.iinfo(np.int64).max
"""The place of the first cell that is not finite, where there is none."""

Note = Callable[[str, Exception], object]


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
    widths: tuple[AxisSpacing, ...] = ()
    widths_around: tuple[AxisSpacing | None, ...] = ()
    volume: float | NDArray[Any] = 1.0
    volume_tree: Tree = ("number", 1.0)
    where: NDArray[np.bool_] | None = None
    where_around: NDArray[np.bool_] | None = None
    ids: NDArray[Any] | None = None
    ghosted: Mapping[str, Readable] = field(default_factory=dict)
    ghost: tuple[tuple[int, int], ...] = ()

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

    def checksum(self) -> int:
        """The coverage checksum of its cells or ids; 0 for a box with a mask."""
        if self.ids is not None:
            return ids_checksum(self.ids)
        return box_checksum(self.start, self.shape) if self.where is None else 0

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
                return np.broadcast_to(self.volume, self.shape)
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

    def _along(self, axis: int, widths: AxisSpacing) -> NDArray[Any]:
        shape = [1] * len(self.shape)
        if not isinstance(widths, float):
            shape[axis] = self.shape[axis]
        return np.broadcast_to(np.reshape(widths, shape), self.shape)


def box_parts(
    state: State,
    channels: Sequence[Channel],
    note: Note,
    previous_shapes: Mapping[int, tuple[int, ...]],
    *,
    refinable: bool,
) -> Iterator[tuple[int, Part]]:
    """This rank's boxes with their numbers, without the fields that do not fit `channels`.

    `note` is told of those. Where the fields of a box differ in shape, those that have the shape
    of the sample before are right, and otherwise most of them. If `refinable`, a box may lie on a
    level for which there are no channels.
    """
    levels = {c.space for c in channels}
    for number, grid in enumerate(grids_of(state)):
        here = {c.field: c for c in channels if c.space == grid.level}
        if refinable and grid.level not in levels:
            # Its fields are of the types that all levels have.
            here = {c.field: replace(c, global_shape=grid.global_shape) for c in channels}
        arrays: dict[str, Readable] = {}
        ghosted: dict[str, Readable] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for name in state.fields:
            try:
                for part_name, array in one_field(state, name, number):
                    shapes[part_name] = _checked_shape(grid, part_name, array, here)
                    ghosted[part_name] = array
                    arrays[part_name] = grid.interior(array)
            except Exception as error:  # noqa: BLE001 - one field's fault is not another's
                note(name, error)
        for name in here.keys() - arrays.keys():
            note(name, SetupError(f"fields[{name!r}]", None, "is missing"))
        if not shapes:
            continue
        common = previous_shapes.get(number, ())
        if common not in shapes.values():
            common = max(shapes.values(), key=list(shapes.values()).count)
        for name, shape in shapes.items():
            if shape != common:
                problem = f"is not that of the other fields, {common}"
                note(name, SetupError(f"fields[{name!r}].shape", shape, problem))
                del arrays[name]
        if prod(common) and arrays:
            yield number, _box(grid, common, arrays, ghosted)


def particle_parts(state: State, channels: Sequence[Channel], note: Note) -> Iterator[Part]:
    """This rank's particles, if it has any."""
    if state.particles is None:
        return
    arrays = state.particles.arrays()
    (total,) = channels[0].global_shape
    ids = state.particles.ids
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < total:
        problem = f"goes beyond 0 ... {total - 1}"
        mend = "Where particles are created, give total= as one more than the largest id to come."
        error = SetupError("Particles.ids", (int(ids.min()), int(ids.max())), problem, mend=mend)
        for name in arrays:
            note(name, error)
        return
    for channel in channels:
        if channel.field not in arrays:
            note(channel.field, SetupError(f"Particles.{channel.field}", None, "is missing"))
        elif type_name(arrays[channel.field].dtype) != channel.kind:
            kind = type_name(arrays.pop(channel.field).dtype)
            problem = f"was {channel.kind} in the first sample"
            note(channel.field, SetupError(f"Particles.{channel.field}.dtype", kind, problem))
    if ids.size:
        yield Part(PARTICLES, (0,), (int(ids.size),), (total,), arrays, ids=ids)


def _checked_shape(
    grid: Grid | Cells, name: str, array: Readable, channels: Mapping[str, Channel]
) -> tuple[int, ...]:
    """The local shape of a field that fits its channel."""
    if not channels:
        raise SetupError(
            "Grid.level",
            grid.level,
            "was not there in the first sample",
            mend="Give the grid as a list from the start: grid=[Grid(...)].",
        )
    if name not in channels:
        raise SetupError(
            f"fields[{name!r}]", name, "was not there in the first sample", choices=sorted(channels)
        )
    channel, kind = channels[name], type_name(array.dtype)
    if kind != channel.kind:
        problem = f"was {channel.kind} in the first sample"
        raise SetupError(f"fields[{name!r}].dtype", kind, problem)
    if grid.global_shape != channel.global_shape:
        problem = f"was {channel.global_shape} before"
        raise SetupError("Grid.global_shape", grid.global_shape, problem)
    return grid.box(array.shape, name)[1]


def _box(
    grid: Grid | Cells,
    shape: tuple[int, ...],
    arrays: Mapping[str, Readable],
    ghosted: Mapping[str, Readable],
) -> Part:
    if isinstance(grid, Cells):
        uniform = isinstance(grid.volume, float)
        return Part(
            space=0,
            start=(0,),
            shape=shape,
            global_shape=grid.global_shape,
            arrays=arrays,
            volume=grid.volume,
            volume_tree=("number", grid.volume) if uniform else ("volume",),
            ids=grid.ids,
        )
    where = grid.where
    axes = list(enumerate(shape))
    widths = [grid.local_widths(axis, cells) for axis, cells in axes]
    numbers = [one_width(along) for along in widths]
    volume: float | NDArray[Any] = 1.0
    tree: Tree = ("volume",)
    if grid.volume is not None:
        volume = grid.local_cells("Grid.volume", grid.volume, shape)
    elif None in numbers:
        tree = ("width", 0)
        for axis in range(1, len(shape)):
            tree = ("multiply", tree, ("width", axis))
    else:
        volume = prod(width for width in numbers if width is not None)
        tree = ("number", volume)
    return Part(
        space=grid.level,
        start=grid.start,
        shape=shape,
        global_shape=grid.global_shape,
        arrays=arrays,
        ghosted=ghosted,
        ghost=grid.ghost,
        widths=tuple(w if n is None else n for w, n in zip(widths, numbers, strict=True)),
        widths_around=tuple(grid.widths_around(axis, cells) for axis, cells in axes),
        volume=volume,
        volume_tree=tree,
        where=None if where is None else grid.local_cells("Grid.where", where, shape),
        where_around=where if grid.masks_ghosts(shape) else None,
    )


def lacking(tree: Tree, part: Part, single: frozenset[int], *, masked: bool) -> str:
    """Why `tree`, planned at the first sample, cannot be had of this box; empty if it can.

    `single` are the levels of which a box is the only one, and `masked` says that the tree minds
    masks.
    """
    kind, *rest = tree
    if kind == "even_width" and not isinstance(part.widths[rest[0]], float):
        return f"the cells along axis {rest[0]} were of one width in the first sample"
    if kind == "width_beside" and part.widths_around[rest[0]] is None:
        return f"the widths of the cells beside the box along axis {rest[0]} are not known"
    if kind == "shifted":
        _, axis, offset = rest
        low, high = part.ghost[axis]
        if (high if offset > 0 else low) < abs(offset):
            return (
                f"a box has no ghost layer on both sides of axis {axis}, "
                "as it had in the first sample"
            )
        if part.where is None:
            return ""
        if not masked:
            return "there was no mask in the first sample; give one from the start"
        if part.where_around is None and part.space not in single:
            return (
                "Grid.where does not tell which ghost cells count, and these belong to other boxes"
            )
        return ""
    texts = (lacking(t, part, single, masked=masked) for t in rest if isinstance(t, tuple))
    return next(filter(None, texts), "")


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
