"""Where each number of a sample goes: columns and groups of tiles over all segments of a run.

Segments of one run may measure different things. A column keeps its name through all of them,
with NaN where a segment does not have it. Tile digests of a field share one array as long as
the field is cut into the same tiles. Adding a schema never renames what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..model.series import Column, FieldTiles, Sample, SeriesSchema, TileRow
from .records import UnreadablePayload, check_sample, check_tile_row, pack

if TYPE_CHECKING:
    pass

OWN_VARIABLES = ("sample", "step", "t", "wall", "segment", "schema", "faults")
"""What `/series` holds for each sample beside the columns."""


@dataclass(frozen=True)
class TileGroup:
    """One way of cutting one field into tiles, and the name of the group that holds it."""

    name: str
    tiles: FieldTiles


@dataclass(frozen=True)
class DigestSlice:
    """Which digests of a sample belong to the tile group number `group`."""

    group: int
    start: int
    stop: int


class Layout:
    """The places of all columns and tiles of `schemas`, in the order in which they took effect."""

    def __init__(self, schemas: Sequence[SeriesSchema]) -> None:
        self.schemas = tuple(schemas)
        self.columns: dict[str, Column] = {}
        self.variables: dict[str, str] = {}
        self.groups: list[TileGroup] = []
        self.slices: list[tuple[DigestSlice, ...]] = []
        self._names = {"variables": set(OWN_VARIABLES), "groups": set[str]()}
        for schema in self.schemas:
            self._add(schema)

    def _add(self, schema: SeriesSchema) -> None:
        for column in schema.columns:
            if column.name not in self.columns:
                self.columns[column.name] = column
                self.variables[column.name] = _free(column.name, self._names["variables"])
        slices = []
        start = 0
        for tiles in schema.tiles:
            stop = start + tiles.size
            slices.append(DigestSlice(self._group(tiles), start, stop))
            start = stop
        self.slices.append(tuple(slices))

    def _group(self, tiles: FieldTiles) -> int:
        for i, group in enumerate(self.groups):
            if group.tiles == tiles:
                return i
        self.groups.append(TileGroup(_free(tiles.field, self._names["groups"]), tiles))
        return len(self.groups) - 1

    def group_of(self, schema: int, field: str) -> int:
        """The tile group of `field` in schema number `schema`; KeyError if it has no tiles."""
        for place in self.slices[schema]:
            if self.groups[place.group].tiles.field == field:
                return place.group
        raise KeyError(field)

    def groups_of(self, field: str) -> tuple[int, ...]:
        """The tile groups of `field`, in the order in which they were first used."""
        return tuple(i for i, g in enumerate(self.groups) if g.tiles.field == field)


def _free(name: str, names: set[str]) -> str:
    # netCDF names hold no slash and no control character, begin with a letter, digit or
    # underscore, and do not end in a space.
    safe = "".join(
        c if c not in "/%" and ord(c) > 31 and ord(c) != 127 else f"%{ord(c):02X}" for c in name
    )
    if not safe or not (safe[0].isalnum() or safe[0] == "_"):
        safe = "_" + safe
    safe = safe.rstrip(" ") + "_" * (len(safe) - len(safe.rstrip(" ")))
    free = next(n for n in (safe if i == 1 else f"{safe}~{i}" for i in count(1)) if n not in names)
    names.add(free)
    return free


# Runs of samples as arrays: the form in which they move between files.


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

BLOCK_BYTES = 4 << 20
MOST_ROWS = 8192


@dataclass(frozen=True)
class SampleBlock:
    """Consecutive samples of one schema: arrays of ``n``, ``[n, columns]``, ``[n, digests]``."""

    schema: int
    step: Ints
    t: Floats
    wall: Floats
    faults: Ints
    values: Floats
    digests: Words

    def payloads(self) -> Iterator[bytes]:
        """The payload of each sample."""
        values, digests = self.values.astype("<f8"), self.digests.astype("<u8")
        for i, (step, t, wall, faults) in enumerate(
            zip(
                self.step.tolist(),
                self.t.tolist(),
                self.wall.tolist(),
                self.faults.tolist(),
                strict=True,
            )
        ):
            yield pack((step, t, wall, values[i].tobytes(), digests[i].tobytes(), faults))


@dataclass(frozen=True)
class TileBlock:
    """Consecutive rows of statistics of one tile group: ``n`` and ``[n, *tiles.shape]``."""

    group: int
    field: str
    step: Ints
    minimum: Floats
    maximum: Floats
    mean: Floats

    def payloads(self) -> Iterator[bytes]:
        """The payload of each row."""
        for i, step in enumerate(self.step.tolist()):
            statistics = (self.minimum[i], self.maximum[i], self.mean[i])
            yield pack((step, self.field, *(s.astype("<f8").tobytes() for s in statistics)))


def rows_per_block(schema: SeriesSchema, digests: bool = True) -> int:
    """How many samples of `schema` fit in a block."""
    row = 8 * (len(schema.columns) + 5 + (schema.digests if digests else 0))
    return max(1, min(MOST_ROWS, BLOCK_BYTES // row))


def block_of_samples(
    number: int, schema: SeriesSchema, samples: Sequence[Sample], digests: bool = True
) -> SampleBlock:
    """The arrays of `samples`, all of them of schema number `number`.

    Raises
    ------
    UnreadablePayload
        If a sample has not as many values or digests as its schema.
    """
    n, columns, words = len(samples), len(schema.columns), schema.digests
    for s in samples:
        if len(s.values) != 8 * columns or len(s.digests) != 8 * words:
            check_sample(schema, s)
    words = words if digests else 0
    try:
        numbers = np.array([(s.step, s.faults) for s in samples], np.int64).reshape(n, 2)
    except OverflowError:
        raise UnreadablePayload("a step or count that does not fit in 64 bits") from None
    times = np.array([(s.t, s.wall) for s in samples], np.float64).reshape(n, 2)
    return SampleBlock(
        schema=number,
        step=numbers[:, 0],
        t=times[:, 0],
        wall=times[:, 1],
        faults=numbers[:, 1],
        values=_table([s.values for s in samples], "<f8", (n, columns)),
        digests=_table([s.digests for s in samples] if digests else [], "<u8", (n, words)),
    )


def block_of_rows(group: int, tiles: FieldTiles, rows: Sequence[TileRow]) -> TileBlock:
    """The arrays of `rows`, all of them of the tile group number `group`."""
    for row in rows:
        check_tile_row(tiles, row)
    shape = (len(rows), *tiles.shape)
    return TileBlock(
        group=group,
        field=tiles.field,
        step=np.fromiter((r.step for r in rows), np.int64, len(rows)),
        minimum=_table([r.minimum for r in rows], "<f8", shape),
        maximum=_table([r.maximum for r in rows], "<f8", shape),
        mean=_table([r.mean for r in rows], "<f8", shape),
    )


def _table(rows: Sequence[bytes], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.frombuffer(b"".join(rows), dtype).reshape(shape)
