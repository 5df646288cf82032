"""Where each number of a sample goes: columns and groups of tiles over all segments of a run.

Segments of one run may measure different things. A column keeps its name through all of them,
with NaN where a segment does not have it. Tile digests of a field share one array as long as
the field is cut into the same tiles. Adding a schema never renames what is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..model.series import Column, FieldTiles, Sample, SeriesSchema, TileRow
from .records import Kind, UnreadablePayload, sample_payload, tiles_payload

if TYPE_CHECKING:
    from .recorded import Recorded

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
        self._taken = {"variables": set(OWN_VARIABLES), "groups": set[str]()}
        for schema in self.schemas:
            self._add(schema)

    def _add(self, schema: SeriesSchema) -> None:
        for column in schema.columns:
            if column.name not in self.columns:
                self.columns[column.name] = column
                self.variables[column.name] = _free(column.name, self._taken["variables"])
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
        self.groups.append(TileGroup(_free(tiles.field, self._taken["groups"]), tiles))
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


def faults_of(schema: SeriesSchema) -> str:
    """What makes `schema` unusable, or an empty string."""
    for what, names in (
        ("columns", [c.name for c in schema.columns]),
        ("fields with tiles", [t.field for t in schema.tiles]),
    ):
        twice = (
            sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
        )
        if twice:
            return f"two {what} are named {twice[0]!r}"
    for tiles in schema.tiles:
        if not tiles.edges or any(not e or any(b < a for a, b in pairwise(e)) for e in tiles.edges):
            return f"the tiles of {tiles.field!r} have no edges, or edges that do not rise"
    return ""


def _free(name: str, taken: set[str]) -> str:
    # netCDF names hold no slash and no control character, begin with a letter, digit or
    # underscore, and do not end in a space.
    safe = "".join(
        c if c not in "/%" and ord(c) > 31 and ord(c) != 127 else f"%{ord(c):02X}" for c in name
    )
    if not safe or not (safe[0].isalnum() or safe[0] == "_"):
        safe = "_" + safe
    safe = safe.rstrip(" ") + "_" * (len(safe) - len(safe.rstrip(" ")))
    free = next(n for n in (safe if i == 1 else f"{safe}~{i}" for i in count(1)) if n not in taken)
    taken.add(free)
    return free


# The tables of a folded file that people read: checkpoints, segments and events.
#
# They repeat what the records' own texts say, so that a tool which knows only netCDF can show it.


@dataclass(frozen=True)
class TableColumn:
    """One array of a table. `value` is given a record and the table's context."""

    name: str
    dtype: Any
    value: Callable[[Any, Any], Any]
    long_name: str = ""


def _nothing(_recorded: Recorded) -> None:
    return None


@dataclass(frozen=True)
class Table:
    """One group with a row for each record of `kind`."""

    group: str
    dimension: str
    kind: Kind
    columns: tuple[TableColumn, ...]
    context: Callable[[Recorded], Any] = _nothing


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _endings(recorded: Recorded) -> dict[int, Any]:
    return {end.segment: end for end in recorded.texts(Kind.SEGMENT_END)}


def _ended(attribute: str, otherwise: Any) -> Callable[[Any, Any], Any]:
    return lambda r, ends: getattr(ends[r.index], attribute) if r.index in ends else otherwise


_HASH = np.dtype("S64")

TABLES = (
    Table(
        "checkpoints",
        "checkpoint",
        Kind.CHECKPOINT,
        (
            TableColumn("id", _HASH, lambda r, _: r.id.encode()[:64], "hash of the contents"),
            TableColumn("parents", str, lambda r, _: " ".join(r.parents), "ids of the parents"),
            TableColumn("segment", np.int64, lambda r, _: r.segment, "job attempt"),
            TableColumn("index", np.int64, lambda r, _: r.index),
            TableColumn("label", str, lambda r, _: r.label),
            TableColumn("reason", str, lambda r, _: r.reason),
            TableColumn("step", np.int64, lambda r, _: r.step, "step number of the driver"),
            TableColumn("t", np.float64, lambda r, _: _number(r.t), "simulated time"),
            TableColumn("wall", np.float64, lambda r, _: r.wall, "seconds since 1970-01-01 UTC"),
            TableColumn("samples", np.int64, lambda r, _: r.samples),
            TableColumn("why", str, lambda r, _: r.why),
        ),
    ),
    Table(
        "segments",
        "segment",
        Kind.SEGMENT,
        (
            TableColumn("index", np.int64, lambda r, _: r.index),
            TableColumn("started", np.float64, lambda r, _: r.started, "seconds since 1970"),
            TableColumn("ranks", np.int64, lambda r, _: r.ranks),
            TableColumn("start_step", np.int64, lambda r, _: r.start_step),
            TableColumn("nodes", str, lambda r, _: " ".join(n.host for n in r.nodes)),
            TableColumn("ending", str, _ended("ending", ""), "empty: it was killed"),
            TableColumn("ended", np.float64, _ended("ended", math.nan), "seconds since 1970"),
            TableColumn("end_step", np.int64, _ended("step", -1)),
            TableColumn("why", str, _ended("why", "")),
        ),
        _endings,
    ),
    Table(
        "events",
        "event",
        Kind.EVENT,
        (
            TableColumn("name", str, lambda r, _: r.name),
            TableColumn("severity", str, lambda r, _: r.severity),
            TableColumn("step", np.int64, lambda r, _: r.step),
            TableColumn("wall", np.float64, lambda r, _: r.wall, "seconds since 1970"),
            TableColumn("rank", np.int64, lambda r, _: r.rank),
            TableColumn("text", str, lambda r, _: r.text),
        ),
    ),
)


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
            yield sample_payload(step, t, wall, values[i].tobytes(), digests[i].tobytes(), faults)


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
            yield tiles_payload(
                step,
                self.field,
                self.minimum[i].astype("<f8").tobytes(),
                self.maximum[i].astype("<f8").tobytes(),
                self.mean[i].astype("<f8").tobytes(),
            )


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


def check_sample(schema: SeriesSchema, sample: Sample) -> None:
    """UnreadablePayload unless the sample has the size that its schema says."""
    columns, digests = len(schema.columns), schema.digests
    if len(sample.values) != 8 * columns or len(sample.digests) != 8 * digests:
        raise UnreadablePayload(
            f"a sample of {len(sample.values)} + {len(sample.digests)} bytes, where its schema "
            f"has {columns} columns and {digests} tile digests of 8 bytes"
        )


def check_tile_row(tiles: FieldTiles, row: TileRow) -> None:
    """UnreadablePayload unless the row has the size that its tiles say."""
    if not len(row.minimum) == len(row.maximum) == len(row.mean) == 8 * tiles.size:
        raise UnreadablePayload(
            f"tile statistics of {row.field!r} whose size is not that of its {tiles.size} tiles"
        )


def _table(rows: Sequence[bytes], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.frombuffer(b"".join(rows), dtype).reshape(shape)
