"""The state of a sample as parts: each array is held against what was agreed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from ...errors import SetupError
from ..agreeing.offer import grids_of, one_field
from ..local import Part, volume_of
from ..quantities.channels import PARTICLES, Channel
from ..state import State
from .cells import Cells
from .grid import AxisSpacing, Grid, one_width
from .views import Readable, type_name

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
