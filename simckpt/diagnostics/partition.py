"""The state of a sample as parts: each array is held against what was agreed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SetupError
from .grid import AxisSpacing, Grid, one_width
from .local_parts import Part, volume_of
from .particles import Cells
from .quantities.base import PARTICLES, Channel
from .rank_agreement import grids_of, one_field
from .state import State
from .views import Readable, type_name

if TYPE_CHECKING:
    from .local_parts import Part

Note = Callable[[str, Exception], None]

NOTHING_BEFORE: Mapping[int, tuple[int, ...]] = {}


def box_parts(
    state: State,
    channels: Sequence[Channel],
    note: Note,
    before: Mapping[int, tuple[int, ...]] = NOTHING_BEFORE,
    *,
    refinable: bool = False,
) -> Iterator[tuple[int, Part]]:
    """This rank's boxes with their numbers; a field that is not what was agreed on is left out.

    `note` is told of those. `before` are the shapes that the boxes had in the sample before: where
    the fields of one differ, those that have it still are right, and otherwise most of them. If
    `refinable`, a box may lie on a level for which there are no channels.
    """
    known = {c.space for c in channels}
    for number, grid in enumerate(grids_of(state)):
        here = {c.field: c for c in channels if c.space == grid.level}
        if refinable and grid.level not in known:
            # Its fields are of the types that all levels have.
            here = {c.field: replace(c, global_shape=grid.global_shape) for c in channels}
        arrays: dict[str, Readable] = {}
        ghosted: dict[str, Readable] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for name in state.fields:
            try:
                for part_name, array in one_field(state, name, number):
                    shapes[part_name] = _checked(grid, part_name, array, here)
                    ghosted[part_name] = array
                    arrays[part_name] = grid.interior(array)
            except Exception as error:  # noqa: BLE001 - one field's fault is not another's
                note(name, error)
        for name in here.keys() - arrays.keys():
            note(name, SetupError(f"fields[{name!r}]", None, "is missing"))
        if not shapes:
            continue
        common = before.get(number, ())
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
    if not channels or state.particles is None:
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


def _checked(
    grid: Grid | Cells, name: str, array: Readable, agreed: dict[str, Channel]
) -> tuple[int, ...]:
    if not agreed:
        raise SetupError(
            "Grid.level",
            grid.level,
            "was not there in the first sample",
            mend="Give the grid as a list from the start: grid=[Grid(...)].",
        )
    if name not in agreed:
        raise SetupError(
            f"fields[{name!r}]", name, "was not there in the first sample", choices=sorted(agreed)
        )
    channel = agreed[name]
    if type_name(array.dtype) != channel.kind:
        raise SetupError(
            f"fields[{name!r}].dtype",
            type_name(array.dtype),
            f"was {channel.kind} in the first sample",
        )
    if grid.global_shape != channel.global_shape:
        raise SetupError(
            "Grid.global_shape", grid.global_shape, f"was {channel.global_shape} before"
        )
    return grid.box(array.shape, name)[1]


def _box(
    grid: Grid | Cells,
    shape: tuple[int, ...],
    arrays: dict[str, Readable],
    ghosted: dict[str, Readable],
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
    volume, tree = volume_of(grid, shape)
    return Part(
        space=grid.level,
        start=grid.start,
        shape=shape,
        global_shape=grid.global_shape,
        arrays=arrays,
        ghosted=ghosted,
        ghost=grid.ghost,
        widths=tuple(_widths(grid, axis, cells) for axis, cells in enumerate(shape)),
        widths_around=tuple(grid.widths_around(axis, cells) for axis, cells in enumerate(shape)),
        volume=volume,
        volume_tree=tree,
        where=None if where is None else grid.local_cells("Grid.where", where, shape),
        where_around=where if grid.masks_ghosts(shape) else None,
    )


def _widths(grid: Grid, axis: int, cells: int) -> AxisSpacing:
    widths = grid.local_widths(axis, cells)
    width = one_width(widths)
    return widths if width is None else width


# What is kept of the boxes from one sample to the next where the driver gives the same arrays.
#
# On a small grid, looking at everything anew takes longer than measuring. Nothing is held that is
# the driver's: neither memory that it lets go, nor a reference, without which alone NumPy resizes
# an array in place. What is kept of an array is true of any other of the same form in the same
# memory.


Parts = Mapping[int, "Part"]


class Kept:
    """The boxes of a state, for as long as its grid is alike and its arrays lie where they lay."""

    def __init__(self) -> None:
        self._grid: tuple[object, ...] | None = None
        self._forms: dict[str, tuple[object, ...]] = {}
        self._parts: Parts = {}

    def parts(self, state: State) -> Parts | None:
        """The boxes of `state`, if they are those that were kept."""
        grid, fields = state.grid, state.fields
        if self._grid is None or not isinstance(grid, Grid) or _facts(grid) != self._grid:
            return None
        if fields.keys() != self._forms.keys():
            return None
        for name, array in fields.items():
            if type(array) is not np.ndarray or _form(array) != self._forms[name]:
                return None
        views = {name: grid.interior(array) for name, array in fields.items()}
        return {
            number: replace(part, arrays=views, ghosted=fields)
            for number, part in self._parts.items()
        }

    def keep(self, state: State, parts: Parts) -> None:
        """Keep the boxes of `state`, or none where its next sample may need others."""
        self._grid, self._forms, self._parts = None, {}, {}
        fields = state.fields
        plain = all(type(a) is np.ndarray and a.dtype.kind != "c" for a in fields.values())
        facts = _facts(state.grid) if isinstance(state.grid, Grid) else None
        if plain and facts is not None:
            self._grid = facts
            self._forms = {name: _form(array) for name, array in fields.items()}
            self._parts = {n: replace(part, arrays={}, ghosted={}) for n, part in parts.items()}


def _facts(grid: Grid) -> tuple[object, ...] | None:
    """All that makes a grid; None if any of it lies in an array, which may change in place."""
    numbers = all(isinstance(width, float) for width in grid.spacing)
    if not numbers or grid.volume is not None or grid.where is not None:
        return None
    return grid.global_shape, grid.spacing, grid.start, grid.ghost, grid.level


def _form(array: np.ndarray[Any, Any]) -> tuple[object, ...]:
    """Where it lies, and how."""
    return array.__array_interface__["data"], array.shape, array.strides, array.dtype


# Whether the boxes of all ranks cover the global index space once.


Box = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Rank, start and shape."""

MOST_PAINTED = 4_000_000


def check_coverage(global_shape: Sequence[int], boxes: Sequence[Box], *, complete: bool) -> None:
    """Raise where two boxes overlap or, if the cover must be complete, where a cell is missing.

    Raises
    ------
    SetupError
        Naming the two ranks and a cell that both hold, or the first missing cell.
    """
    filled = [box for box in boxes if prod(box[2])]
    overlap = find_overlap(filled)
    if overlap is not None:
        first, second, cell = overlap
        raise SetupError(
            "Grid.start",
            _boxes_text((first, second)),
            f"ranks {first[0]} and {second[0]} both hold the cell {cell}",
            mend="Check Grid.start and Grid.ghost: ghost layers are not part of the box.",
        )
    held = sum(prod(shape) for _, _, shape in filled)
    if complete and held != prod(global_shape):
        cell = first_missing(global_shape, filled)
        raise SetupError(
            "Grid.global_shape",
            tuple(global_shape),
            f"all ranks together hold {held} of {prod(global_shape)} cells; no rank holds {cell}",
            mend="Check Grid.start, Grid.ghost and Grid.global_shape on every rank.",
        )


def find_overlap(boxes: Sequence[Box]) -> tuple[Box, Box, tuple[int, ...]] | None:
    """Two boxes that share a cell, and that cell; None if there are none.

    Boxes are swept along the first axis and compared with those that the sweep is inside of.
    """
    order = sorted(range(len(boxes)), key=lambda i: boxes[i][1])
    active: list[int] = []
    for i in order:
        start, shape = boxes[i][1], boxes[i][2]
        active = [j for j in active if boxes[j][1][0] + boxes[j][2][0] > start[0]]
        for j in active:
            other, extent = boxes[j][1], boxes[j][2]
            if all(
                a < b + m and b < a + n
                for a, n, b, m in zip(start, shape, other, extent, strict=True)
            ):
                cell = tuple(max(a, b) for a, b in zip(start, other, strict=True))
                pair = sorted((boxes[i], boxes[j]))
                return pair[0], pair[1], cell
        active.append(i)
    return None


def first_missing(global_shape: Sequence[int], boxes: Sequence[Box]) -> tuple[int, ...]:
    """The first cell, in C order, that no box holds.

    The boxes' edges cut space into a coarse grid; a coarse cell is held wholly or not at all.
    """
    edges = []
    for axis, n in enumerate(global_shape):
        cuts = {0, n}
        for _, start, shape in boxes:
            cuts |= {start[axis], start[axis] + shape[axis]}
        edges.append(sorted(cuts))
    if prod(len(e) - 1 for e in edges) > MOST_PAINTED:
        return _first_missing_slowly(global_shape, boxes)
    held = np.zeros([len(e) - 1 for e in edges], dtype=bool)
    places = [{cut: i for i, cut in enumerate(e)} for e in edges]
    for _, start, shape in boxes:
        held[tuple(slice(p[b], p[b + n]) for p, b, n in zip(places, start, shape, strict=True))] = (
            True
        )
    where = np.unravel_index(int(np.argmin(held)), held.shape)
    return tuple(e[int(i)] for e, i in zip(edges, where, strict=True))


def _first_missing_slowly(global_shape: Sequence[int], boxes: Sequence[Box]) -> tuple[int, ...]:
    cell: tuple[int, ...] = ()
    inside = list(boxes)
    for axis, n in enumerate(global_shape):
        # The first plane along this axis that the boxes do not fill completely.
        cuts = sorted(
            {0, *(b[1][axis] for b in inside), *(b[1][axis] + b[2][axis] for b in inside)}
        )
        plane_cells = prod(global_shape[axis + 1 :])
        for cut in cuts:
            here = [b for b in inside if b[1][axis] <= cut < b[1][axis] + b[2][axis]]
            if cut < n and sum(prod(b[2][axis + 1 :]) for b in here) < plane_cells:
                cell, inside = (*cell, cut), here
                break
    return cell


def _boxes_text(boxes: Sequence[Box]) -> str:
    return "; ".join(
        f"rank {rank}: " + " x ".join(f"{b}:{b + n}" for b, n in zip(start, shape, strict=True))
        for rank, start, shape in boxes
    )


# How the global index space of a field is cut into tiles; the global shape alone decides.


MOST_TILES = 64
SMALL_FIELD = 1 << 18
SHORTEST_RUN = 32
"""Cells along the last axis that a tile of a small field keeps."""

LONG_RUN = 128
"""The same for larger fields, so that gathering stays at memory speed."""

SHORTEST_SIDE = 8


def tile_edges(global_shape: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Edges of the tiles along each axis: at most 64 tiles, their counts powers of two.

    The longest side is halved again and again, to 8 cells and no further. Along the last axis of
    a grid of two or more axes it ends at 128 cells, in fields of up to 2**18 cells at 32: there
    a tile's place matters more than the microseconds.

    Examples
    --------
    >>> [len(edges) - 1 for edges in tile_edges((512, 512))]
    [8, 8]
    >>> [len(edges) - 1 for edges in tile_edges((2048, 2048))]
    [8, 8]
    """
    run = SHORTEST_RUN if _product(global_shape) <= SMALL_FIELD else LONG_RUN
    counts = [1] * len(global_shape)
    last = len(global_shape) - 1
    while 2 * _product(counts) <= MOST_TILES:
        sides = []
        for axis, (n, count) in enumerate(zip(global_shape, counts, strict=True)):
            shortest = run if axis == last and last > 0 else SHORTEST_SIDE
            if n // (2 * count) >= shortest:
                sides.append((n / count, -axis, axis))
        if not sides:
            break
        counts[max(sides)[2]] *= 2
    return tuple(
        tuple(i * n // count for i in range(count + 1))
        for n, count in zip(global_shape, counts, strict=True)
    )


def _product(counts: Sequence[int]) -> int:
    product = 1
    for count in counts:
        product *= count
    return product


# Where the data of a rank lies: grids, boxes, cells and particles, and their tiles.
