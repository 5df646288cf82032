"""The folded file and the journal of a bundle as one stream of records.

This is the only place that knows a record may lie in either file. The reader, the fold, the
check of the chain and the recovery all stand on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedBundleError, NotABundleError
from ..model.series import Event, RunOpened, SegmentSchema, SeriesSchema, TileRow
from . import abort_notice
from .files import bundle_paths
from .folded import FoldedFile
from .journal import Journal
from .layout import (
    BLOCK_BYTES,
    MOST_ROWS,
    Layout,
    SampleBlock,
    TileBlock,
    block_of_rows,
    block_of_samples,
    rows_per_block,
)
from .records import FIRST_LINK, Kind, UnreadablePayload, decode, decode_samples, faults_of
from .sources import Documents, Records

_ROW_OVERHEAD = 500
"""Bytes that a decoded row of tile statistics takes beside its numbers, about."""


MOST_AT_ONCE = 1024
"""Records of the journal that are decoded in one go where the caller may not be held up."""


class Run(NamedTuple):
    """Consecutive samples `start` to `stop` of schema number `schema`."""

    start: int
    stop: int
    schema: int


class Recorded:
    """All records of a bundle, in order.

    Parameters
    ----------
    path : Path
        What to name in errors.
    folded : FoldedFile or None
        Records 0 to ``folded.next``.
    journal : Journal or None
        The records that follow.

    Raises
    ------
    DamagedBundleError
        If the records cannot be those of a run.
    """

    def __init__(self, path: Path, folded: FoldedFile | None, journal: Journal | None) -> None:
        self.path = path
        self.folded = folded
        self.journal = journal
        parts = [s.kinds for s in (folded, journal) if s is not None]
        self.kinds = np.concatenate(parts) if parts else np.empty(0, np.uint8)
        self.split = folded.next if folded else 0
        if len(self.kinds) and self.kinds[0] != Kind.RUN:
            raise DamagedBundleError(path, "does not begin with the record of a run")
        if np.count_nonzero(self.kinds == Kind.RUN) > 1:
            raise DamagedBundleError(path, "holds the records of two runs")
        before = np.cumsum(self.kinds == Kind.SCHEMA, dtype=np.int64) - 1
        self.schema_of_sample = before[self.kinds == Kind.SAMPLE]
        self._schema_of_row = before[self.kinds == Kind.TILES]
        if (self.schema_of_sample < 0).any() or (self._schema_of_row < 0).any():
            raise DamagedBundleError(path, "holds a sample before any schema")

    @property
    def next(self) -> int:
        """Number of records."""
        return len(self.kinds)

    @property
    def start_link(self) -> bytes:
        """The link before the first record of the journal."""
        if self.folded is not None:
            return self.folded.seal.link
        return FIRST_LINK

    @cached_property
    def run(self) -> RunOpened:
        """The record of the run; NotABundleError if not even that was written."""
        if not len(self.kinds):
            raise NotABundleError(self.path, "holds no whole record: its run was stopped at once")
        return cast(RunOpened, self.texts(Kind.RUN)[0])

    def texts(self, kind: Kind) -> Records[Any]:
        """The records of a kind that is kept as text, decoded one by one."""
        return Records(self, kind)

    @cached_property
    def abort_events(self) -> tuple[Event, ...]:
        """What ranks of the last segment said beside the journal, and it does not hold yet."""
        segments = self.texts(Kind.SEGMENT)
        if not len(segments):
            return ()
        words = abort_notice.read_notices(bundle_paths(self.path), segments[-1].started)
        known = self.texts(Kind.EVENT) if words else ()
        return tuple(event for event in words if event not in known)

    @cached_property
    def documents(self) -> Documents:
        """The documents that were stored."""
        return Documents(self)

    @cached_property
    def schema_records(self) -> tuple[SegmentSchema, ...]:
        """The records by which schemas took effect; samples refer to them by number."""
        return tuple(self.texts(Kind.SCHEMA))

    @cached_property
    def layout(self) -> Layout:
        """The columns and tile groups of all schemas."""
        schemas = []
        for record in self.schema_records:
            schema = self.documents.find(record.schema)
            if not isinstance(schema, SeriesSchema):
                raise DamagedBundleError(
                    self.path, f"the schema {record.schema} of segment {record.segment} is missing"
                )
            if problem := faults_of(schema):
                raise DamagedBundleError(self.path, f"in schema {record.schema} {problem}")
            schemas.append(schema)
        return Layout(schemas)

    @property
    def schema_in_force(self) -> SeriesSchema | None:
        """What a sample would mean that came next; None if its segment has no schema yet."""
        begun = np.flatnonzero(np.isin(self.kinds, (Kind.SEGMENT, Kind.SCHEMA)))
        if not len(begun) or self.kinds[begun[-1]] != Kind.SCHEMA:
            return None
        return self.layout.schemas[-1]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The samples, cut where the schema changes."""
        return tuple(_runs(self.schema_of_sample))

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.schema_of_sample)

    def sample_blocks(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        digests: bool = True,
        most: int = MOST_ROWS,
    ) -> Iterator[SampleBlock]:
        """The samples `start` to `stop`, in order, in blocks of at most `most`."""
        stop = self.samples if stop is None else stop
        split = self.folded_samples
        for run in self.runs:
            size = min(most, rows_per_block(self.layout.schemas[run.schema], digests))
            at = max(run.start, start)
            while at < min(run.stop, stop):
                end = min(at + size, run.stop, stop, split if at < split else self.samples)
                yield self._block(run, at, end, split, digests)
                at = end

    def _block(self, run: Run, at: int, end: int, split: int, digests: bool) -> SampleBlock:
        if at < split:
            assert self.folded is not None
            return self.folded.samples(
                self.layout, run.schema, at, end, self._group_rows(run, at), digests
            )
        assert self.journal is not None
        numbers = self.journal_numbers(Kind.SAMPLE)[at - split : end - split]
        with self._reading():
            samples = decode_samples(self.journal.payloads(numbers.tolist()))
            return block_of_samples(run.schema, self.layout.schemas[run.schema], samples, digests)

    def _group_rows(self, run: Run, at: int) -> dict[int, int]:
        """The row, in each tile group of the run's schema, that belongs to sample `at`."""
        rows = {}
        for place in self.layout.slices[run.schema]:
            before = sum(r.stop - r.start for r in self.runs_of_group(place.group) if r.stop <= at)
            rows[place.group] = before + at - run.start
        return rows

    def runs_of_group(self, group: int) -> list[Run]:
        """The runs of samples that have digests in tile group number `group`."""
        return [r for r in self.runs if any(p.group == group for p in self.layout.slices[r.schema])]

    def digest_pieces(
        self, group: int, start: int, stop: int
    ) -> Iterator[tuple[int, NDArray[np.uint64]]]:
        """Digests ``[n, tiles]`` of one tile group over the samples `start` to `stop`.

        Each piece comes with the number of its first sample; samples without the group are
        left out.
        """
        for run in self.runs_of_group(group):
            low, high = max(run.start, start), min(run.stop, stop)
            (place,) = (p for p in self.layout.slices[run.schema] if p.group == group)
            if low < min(high, self.folded_samples):
                assert self.folded is not None
                row = self._group_rows(run, low)[group]
                end = min(high, self.folded_samples)
                size = max(1, BLOCK_BYTES // (8 * max(1, place.stop - place.start)))
                for at in range(low, end, size):
                    n = min(size, end - at)
                    yield at, self.folded.digests(self.layout, group, row + at - low, n)
                low = end
            for block_start, block in self._numbered(low, high):
                yield block_start, block.digests[:, place.start : place.stop]

    def _numbered(self, start: int, stop: int) -> Iterator[tuple[int, SampleBlock]]:
        for block in self.sample_blocks(start, stop) if start < stop else ():
            yield start, block
            start += len(block.step)

    @cached_property
    def folded_samples(self) -> int:
        """Number of samples in the folded file."""
        return int(np.count_nonzero(self.kinds[: self.split] == Kind.SAMPLE))

    @cached_property
    def folded_columns(self) -> frozenset[str]:
        """The columns that the folded file has."""
        known = int(np.count_nonzero(self.kinds[: self.split] == Kind.SCHEMA))
        return frozenset(c.name for s in self.layout.schemas[:known] for c in s.columns)

    def tile_blocks(
        self, at_most: int = BLOCK_BYTES, only: int | None = None
    ) -> Iterator[TileBlock]:
        """All rows of tile statistics, in order within each group, so many bytes at a time.

        `only` asks for those of one group.
        """
        layout, split = self.layout, 0
        if self.folded is not None:
            groups = self.folded_tile_groups
            split = len(groups)
            # Not numpy.unique, whose first call imports numpy.ma.
            for group in np.flatnonzero(np.bincount(groups)).tolist():
                if only in (None, group):
                    rows = int(np.count_nonzero(groups == group))
                    yield from self.folded_tile_blocks(group, rows)
        numbers = self.journal_numbers(Kind.TILES)
        schemas = self._schema_of_row[split:].tolist()
        # One row at a time would cost a write to the folded file each.
        pending: dict[int, list[TileRow]] = {}
        held = 0
        for record, schema in zip(self._decoded(Kind.TILES, numbers), schemas, strict=True):
            row = cast(TileRow, record)
            group = self.tile_group(schema, row.field)
            if only not in (None, group):
                continue
            pending.setdefault(group, []).append(row)
            held += _ROW_OVERHEAD + 3 * len(row.minimum)
            if held > at_most:
                yield from self._blocks_of_rows(layout, pending)
                pending, held = {}, 0
        yield from self._blocks_of_rows(layout, pending)

    def _blocks_of_rows(
        self, layout: Layout, pending: dict[int, list[TileRow]]
    ) -> Iterator[TileBlock]:
        for group, rows in pending.items():
            with self._reading():
                block = block_of_rows(group, layout.groups[group].tiles, rows)
            yield block

    @cached_property
    def folded_tile_groups(self) -> NDArray[np.int64]:
        """The tile group of every row of tile statistics in the folded file."""
        if self.folded is None:
            return np.empty(0, np.int64)
        groups: NDArray[np.int64] = self.folded.read("records/tile_group")
        if len(groups) and not 0 <= groups.min() <= groups.max() < len(self.layout.groups):
            raise DamagedBundleError(self.path, "holds tile statistics of no field")
        return groups

    def tile_groups(self) -> Iterator[NDArray[np.int64]]:
        """The tile group of every row of tile statistics, in pieces."""
        yield self.folded_tile_groups
        schemas = self._schema_of_row[len(self.folded_tile_groups) :].tolist()
        numbers = self.journal_numbers(Kind.TILES)
        for at in range(0, len(numbers), MOST_AT_ONCE):
            part = slice(at, at + MOST_AT_ONCE)
            records = self._decoded(Kind.TILES, numbers[part])
            yield np.array(
                [
                    self.tile_group(schema, cast(TileRow, record).field)
                    for record, schema in zip(records, schemas[part], strict=True)
                ],
                np.int64,
            )

    def tile_group(self, schema: int, field: str) -> int:
        """The tile group of `field` under schema number `schema`."""
        try:
            return self.layout.group_of(schema, field)
        except KeyError:
            raise DamagedBundleError(
                self.path, f"holds tile statistics of {field!r}, which its schema does not have"
            ) from None

    def chains(self) -> NDArray[np.uint64]:
        """What is kept of the link of every record."""
        parts = [s.chains for s in (self.folded, self.journal) if s is not None]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both files."""
        for part in (self.folded, self.journal):
            if part is not None:
                part.close()

    def folded_tile_blocks(self, group: int, rows: int) -> Iterator[TileBlock]:
        """The first `rows` rows of a tile group, from the folded file."""
        assert self.folded is not None
        size = max(1, (BLOCK_BYTES >> 5) // max(1, self.layout.groups[group].tiles.size))
        for start in range(0, rows, size):
            yield self.folded.tile_rows(self.layout, group, start, min(rows, start + size))

    def journal_numbers(self, kind: Kind) -> NDArray[np.int64]:
        """Which of the journal's records are of `kind`."""
        return np.flatnonzero(self.kinds[self.split :] == kind)

    def _decoded(self, kind: Kind, numbers: NDArray[np.int64]) -> Iterator[Any]:
        if self.journal is None:
            return
        for payload in self.journal.payloads(numbers.tolist()):
            with self._reading():
                record = decode(kind, payload)
            yield record

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except UnreadablePayload as problem:
            raise DamagedBundleError(self.path, f"holds {problem}") from problem


def _runs(schemas: NDArray[np.int64]) -> Iterator[Run]:
    if not len(schemas):
        return
    cuts = [0, *(np.flatnonzero(np.diff(schemas)) + 1).tolist(), len(schemas)]
    for start, stop in pairwise(cuts):
        yield Run(start, stop, int(schemas[start]))
