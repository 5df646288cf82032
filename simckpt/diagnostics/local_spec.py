"""What a rank says about itself at the first sample, and whether all ranks declare the same.

The order of declarations is that of rank 0. A set of names has another one in every process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose

import numpy as np

from ..errors import SetupError
from .coverage import ids_checksum
from .devices.arrays import DeviceArray, statement
from .grid import EMPTY, Grid, Measure, measure_box, measure_cells, one_width
from .particles import Cells, Components, Particles
from .quantities.base import checked_name
from .readable import Readable, check_type, check_volumes, readable, real_parts, type_name
from .state import State

Facts = Mapping[str, Mapping[str, str]]
"""Texts of what was declared, by group and name."""

NO_FACTS: Facts = {}
NO_SETTINGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class LocalBox:
    """One box of a rank. `widths` and `volume` are None where they are not one number."""

    global_shape: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]
    level: int
    widths: tuple[float | None, ...]
    numbers: tuple[bool, ...]
    """Whether the widths along each axis were given as one number."""
    neighbour_widths: tuple[bool, ...]
    """Whether the widths of the neighbouring cells along each axis are given."""
    volume: float | None
    masked: bool
    ghost: tuple[tuple[int, int], ...] = ()
    checksum: int | None = None
    """For cells by id, their coverage checksum."""
    measured: Measure = EMPTY
    """Of the cells that count."""
    spaced: bool = True
    """Whether the widths are the driver's, and not made up beside its volumes."""
    masks_ghosts: bool = True
    """Whether it is known which ghost cells count."""


@dataclass(frozen=True)
class LocalParticles:
    """A rank's particles: how many, of how many, their ids' range and coverage checksum."""

    count: int
    total: int | None
    least: int
    largest: int
    checksum: int
    kinds: Mapping[str, str]
    """Type of each quantity that is given."""


@dataclass(frozen=True)
class LocalSpec:
    """What one rank has and declares, or the error that it met."""

    rank: int
    error: SetupError | None = None
    parts: tuple[LocalBox, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """Type of each field, such as ``"f8"``."""
    particles: LocalParticles | None = None
    devices: Mapping[str, str] = field(default_factory=dict)
    """For fields that do not lie in host memory, how they are measured."""
    several: bool = False
    """Whether the grid was given as a list: then refined levels may appear later."""
    declared: Facts = field(default_factory=dict)
    """The declarations of this rank."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Other arguments that must be the same on every rank."""


def local_spec(
    state: State, rank: int, declared: Facts = NO_FACTS, settings: Mapping[str, str] = NO_SETTINGS
) -> LocalSpec:
    """This rank's spec; a mistake in the state is carried in it, so that all ranks see it."""
    try:
        return replace(_spec_of(state, rank), declared=declared, settings=settings)
    except SetupError as error:
        return LocalSpec(rank, error)
    except Exception as error:  # noqa: BLE001 - a spec must reach the other ranks whatever happens
        problem = f"cannot be read: {type(error).__name__}: {error}"
        return LocalSpec(rank, SetupError("state", type(state).__name__, problem))


def _spec_of(state: State, rank: int) -> LocalSpec:
    from .kernel_cache import threads_wanted

    threads_wanted()
    grids = grids_of(state)
    if state.fields and state.grid is None:
        raise SetupError(
            "grid", None, "is missing, but there are fields", mend="Give a Grid beside `fields`."
        )
    types: dict[str, str] = {}
    devices: dict[str, str] = {}
    parts = []
    for number, grid in enumerate(grids):
        shape: tuple[int, ...] | None = None
        first = ""
        for name, array in part_fields(state, number):
            check_type(array, f"fields[{name!r}]")
            _, local = grid.box(array.shape, name)
            if shape is not None and local != shape:
                raise SetupError(
                    f"fields[{name!r}].shape",
                    array.shape,
                    f"has {local} cells without ghost layers, but {first!r} has {shape}",
                    mend="Fields of one Grid have one shape: of values at faces, give a view of "
                    "those that belong to the cells, such as u[:-1].",
                )
            shape, first = local, first or name
            kind = type_name(array.dtype)
            if types.setdefault(name, kind) != kind:
                raise SetupError(
                    f"fields[{name!r}].dtype", kind, f"was {types[name]} in another part"
                )
            if isinstance(array, DeviceArray):
                if isinstance(grid, Cells):
                    raise SetupError(
                        f"fields[{name!r}]",
                        array.place,
                        "cannot be measured by the ids of its cells",
                        mend="Give a copy on the host.",
                    )
                devices[name] = statement(array)
        if shape is not None:
            parts.append(_part(grid, shape))
    return LocalSpec(
        rank,
        None,
        tuple(parts),
        types,
        _particles(state.particles),
        devices,
        not isinstance(state.grid, Grid | Cells | None),
    )


def grids_of(state: State) -> tuple[Grid | Cells, ...]:
    """The grids of a state, as a tuple."""
    if state.grid is None:
        return ()
    if isinstance(state.grid, Grid | Cells):
        return (state.grid,)
    grids = tuple(state.grid) if isinstance(state.grid, Sequence) else (state.grid,)
    if not all(isinstance(grid, Grid | Cells) for grid in grids):
        shape = state.grid if all(isinstance(n, int) for n in grids) else "shape, ..."
        raise SetupError(
            "grid",
            state.grid,
            "is not a Grid, nor a list of them",
            choices=("Grid", "Cells", "a list of Grid"),
            mend=f"Write simckpt.Grid({shape}).",
        )
    return grids


def part_fields(state: State, number: int) -> Iterator[tuple[str, Readable]]:
    """Name and array of each field in part `number`.

    Complex ones come as two, and components one by one.
    """
    if not isinstance(state.fields, Mapping):
        raise SetupError("fields", type(state.fields).__name__, "is not a mapping of names")
    names: set[str] = set()
    for name in state.fields:
        for part_name, array in one_field(state, name, number):
            if part_name in names:
                raise SetupError(f"fields[{name!r}]", part_name, "is the name of another field")
            names.add(part_name)
            yield part_name, array


def one_field(state: State, name: str, number: int) -> Iterator[tuple[str, Readable]]:
    """As `part_fields`, for the one entry `name` of the state's fields."""
    argument = f"fields[{name!r}]"
    base = checked_name(argument, name)
    value = state.fields[name]
    if not isinstance(state.grid, Grid | Cells):
        if not isinstance(value, Sequence) or len(value) != len(grids_of(state)):
            raise SetupError(
                argument,
                type(value).__name__,
                f"is not a list of {len(grids_of(state))} arrays, one for each grid",
            )
        value = value[number]
    array = readable(value.array if isinstance(value, Components) else value, argument)
    check_type(array, argument, complex_too=True)
    if not isinstance(value, Components):
        yield from real_parts(base, array)
        return
    for part_name, component in value.parts(base, array):
        yield from real_parts(checked_name(argument, part_name), component)


def _part(grid: Grid | Cells, shape: tuple[int, ...]) -> LocalBox:
    if isinstance(grid, Cells):
        uniform = grid.volume if isinstance(grid.volume, float) else None
        if uniform is None:
            check_type(np.asarray(grid.volume), "Cells.volume")
        check_volumes(np.atleast_1d(grid.volume), "Cells.volume")
        return LocalBox(
            global_shape=grid.global_shape,
            start=(0,),
            shape=shape,
            level=0,
            widths=(None,),
            numbers=(False,),
            neighbour_widths=(False,),
            volume=uniform,
            masked=False,
            checksum=ids_checksum(grid.ids),
            measured=measure_cells(grid),
        )
    widths: list[float | None] = []
    volume: float | None = 1.0
    for axis, cells in enumerate(shape):
        width = one_width(grid.local_widths(axis, cells))
        widths.append(width)
        volume = None if volume is None or width is None else volume * width
    if grid.volume is not None:
        check_type(grid.volume, "Grid.volume")
        where = None if grid.where is None else grid.local_cells("Grid.where", grid.where, shape)
        check_volumes(grid.local_cells("Grid.volume", grid.volume, shape), "Grid.volume", where)
        volume = None
    if grid.where is not None:
        grid.local_cells("Grid.where", grid.where, shape)
    return LocalBox(
        global_shape=grid.global_shape,
        start=grid.start,
        shape=shape,
        level=grid.level,
        widths=tuple(widths),
        numbers=tuple(isinstance(width, float) for width in grid.spacing),
        neighbour_widths=tuple(grid.widths_around(a, n) is not None for a, n in enumerate(shape)),
        volume=volume,
        masked=grid.where is not None,
        ghost=grid.ghost,
        measured=measure_box(grid, shape),
        spaced=grid.spaced,
        masks_ghosts=grid.where is None or grid.masks_ghosts(shape),
    )


def _particles(particles: Particles | None) -> LocalParticles | None:
    if particles is None:
        return None
    kinds = {}
    for name, array in particles.arrays().items():
        check_type(array, f"Particles.{name}")
        kinds[name] = type_name(array.dtype)
    ids = particles.ids
    return LocalParticles(
        count=int(ids.size),
        total=particles.total,
        least=int(ids.min()) if ids.size else 0,
        largest=int(ids.max()) if ids.size else -1,
        checksum=ids_checksum(ids),
        kinds=kinds,
    )


ROUNDOFF = 1e-9
"""Relative difference of widths that are meant to be the same."""

MOST_RANKS = 8
"""Ranks that an error names one by one."""


def check_same_on_all_ranks(
    declared: Sequence[Facts], settings: Sequence[Mapping[str, str]]
) -> None:
    """Raise where ranks declare something else, or under other settings, than rank 0.

    Parameters
    ----------
    declared : sequence of mapping
        Each rank's declarations.
    settings : sequence of mapping
        Each rank's other arguments that must be the same, such as ``every``.

    Raises
    ------
    SetupError
        Naming the first declaration that differs, what the ranks say, and which they are.
    """
    for argument, texts in _arguments(declared, settings):
        first = texts[0]
        other = next((text for text in texts if text != first), first)
        if other == first:
            continue
        if first is None or other is None:
            without = [rank for rank, text in enumerate(texts) if text is None]
            having = [rank for rank, text in enumerate(texts) if text is not None]
            problem = f"is declared on {_ranks(having)}, and not on {_ranks(without)}"
        else:
            same = [rank for rank, text in enumerate(texts) if text == other]
            problem = f"is what {_ranks(same)} declares, and rank 0 {first!r}"
        raise SetupError(
            argument,
            other if other is not None else first,
            problem,
            mend="Give the same arguments on every rank.",
        )


def same_width(one: float, other: float) -> bool:
    """Whether two widths are the same but for roundoff."""
    return isclose(one, other, rel_tol=ROUNDOFF)


def check_widths(parts: Sequence[tuple[int, LocalBox]]) -> None:
    """Raise where a level's cells are said to have one width along an axis, and another one.

    Ranks may have worked the width out each for itself: what roundoff explains is let pass.
    """
    first: dict[int, tuple[int, LocalBox]] = {}
    for rank, part in parts:
        other_rank, other = first.setdefault(part.level, (rank, part))
        for axis, (width, expected) in enumerate(zip(part.widths, other.widths, strict=True)):
            numbers = other.numbers[axis] and part.numbers[axis]
            if not numbers or width is None or expected is None or same_width(width, expected):
                continue
            raise SetupError(
                f"Grid.spacing[{axis}]",
                width,
                f"on rank {rank} is not what rank {other_rank} says, {expected!r}",
                mend="Where widths vary along an axis, give an array of them.",
            )


def _arguments(
    declared: Sequence[Facts], settings: Sequence[Mapping[str, str]]
) -> Iterator[tuple[str, list[str | None]]]:
    """What each rank says of each argument that any rank was given."""
    for group in dict.fromkeys(group for facts in declared for group in facts):
        here = [facts.get(group, {}) for facts in declared]
        for name in dict.fromkeys(name for texts in here for name in texts):
            yield f"{group}[{name!r}]", [texts.get(name) for texts in here]
    for name in dict.fromkeys(name for texts in settings for name in texts):
        yield name, [texts.get(name) for texts in settings]


def _ranks(ranks: Sequence[int]) -> str:
    text = ", ".join(map(str, ranks[:MOST_RANKS]))
    if len(ranks) > MOST_RANKS:
        text += f" and {len(ranks) - MOST_RANKS} more"
    return f"rank {text}" if len(ranks) == 1 else f"ranks {text}"
