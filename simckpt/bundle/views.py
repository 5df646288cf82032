"""What a reader gets: the series, the tile digests and the tile statistics of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.record import Hash
from ..model.series import (
    Decomposition,
    Ending,
    FieldTiles,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
)
from .layout import BLOCK_BYTES, Floats, Ints, SampleBlock, Words
from .recorded import Recorded

Rows = NDArray[np.int64] | slice

KEPT_BYTES = 8 << 23
"""Bytes of columns that a series keeps; beyond it they are read again when asked for again."""


class SegmentView:
    """One job attempt: how it began, what its samples mean, and how it ended.

    Attributes
    ----------
    segment : Segment
        The job attempt as it was when it began.
    schema : SeriesSchema or None
        What its samples mean; None if it took none.
    decomposition : Decomposition or None
        Which rank held which part.
    end : SegmentEnd or None
        How it ended; None if it was killed, or still runs.
    start_step : int
        Samples of earlier segments past this step are superseded.
    resumed_from : Hash or None
        The checkpoint it goes on from.
    """

    def __init__(
        self,
        recorded: Recorded,
        segment: Segment,
        record: SegmentSchema | None,
        end: SegmentEnd | None,
    ) -> None:
        self._recorded = recorded
        self._record = record
        self.segment = segment
        self.end = end

    @property
    def index(self) -> int:
        return self.segment.index

    @property
    def ending(self) -> Ending | None:
        """How it ended in a word; None if it was killed, or still runs."""
        return self.end.ending if self.end else None

    @property
    def start_step(self) -> int:
        return effective_start(self.segment, self._record)

    @property
    def resumed_from(self) -> Hash | None:
        said = self._record.resumed_from if self._record else None
        return said or self.segment.resumed_from

    @property
    def schema(self) -> SeriesSchema | None:
        if self._record is None:
            return None
        schema: SeriesSchema = self._recorded.documents.decoded(self._record.schema)
        return schema

    @property
    def decomposition(self) -> Decomposition | None:
        hash_ = self._record.decomposition if self._record else None
        decomposition: Decomposition | None = self._recorded.documents.find(hash_)
        return decomposition

    def __repr__(self) -> str:
        return f"<segment {self.index} from step {self.start_step}: {self.ending or 'no end'}>"


def effective_start(segment: Segment | None, record: SegmentSchema | None) -> int:
    """The step from which a segment's samples count; its schema knows best."""
    said = record.start_step if record is not None else 0
    return said or (segment.start_step if segment is not None else 0)


class Series(Mapping[str, Floats]):
    """The samples of a run: column names to float64 arrays, one entry to a sample.

    Arrays are read when they are asked for, and kept up to a bound. A sample of a segment that
    lacks a column has NaN in it.

    Attributes
    ----------
    schema : SeriesSchema
        That of the last segment which took samples.
    step, segment, faults : int64 arrays
    t, wall : float64 arrays
    """

    def __init__(self, recorded: Recorded, rows: Rows, tail: Tail) -> None:
        self._recorded = recorded
        self._rows = rows
        self._tail = tail
        self._columns: dict[str, Floats] = {}
        self._room = KEPT_BYTES

    @property
    def schema(self) -> SeriesSchema:
        schemas = self._recorded.layout.schemas
        return schemas[-1] if schemas else SeriesSchema(columns=())

    @cached_property
    def step(self) -> Ints:
        return self._own("step").astype(np.int64, copy=False)

    @cached_property
    def t(self) -> Floats:
        return self._own("t").astype(np.float64, copy=False)

    @cached_property
    def wall(self) -> Floats:
        return self._own("wall").astype(np.float64, copy=False)

    @cached_property
    def faults(self) -> Ints:
        return self._own("faults").astype(np.int64, copy=False)

    @cached_property
    def segment(self) -> Ints:
        return segments_of_samples(self._recorded)[self._rows]

    def __getitem__(self, name: str, /) -> Floats:
        if name in self._columns:
            return self._columns[name]
        layout = self._recorded.layout
        if name not in layout.columns:
            raise KeyError(name)
        values = self._folded(f"series/{layout.variables[name]}", name)
        tail = self._tail.column(name)
        values = (np.concatenate([values, tail]) if len(tail) else values)[self._rows]
        self._room -= values.nbytes
        if self._room >= 0:
            self._columns[name] = values
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._recorded.layout.columns)

    def __len__(self) -> int:
        return len(self._recorded.layout.columns)

    def __repr__(self) -> str:
        return f"<series of {len(self.step)} samples: {', '.join(self)}>"

    def _own(self, name: str) -> NDArray[Any]:
        folded = self._recorded.folded
        parts = [folded.read(f"series/{name}")] if folded else []
        return np.concatenate([*parts, self._tail.own(name)])[self._rows]

    def _folded(self, variable: str, name: str) -> Floats:
        folded = self._recorded.folded
        if folded is None:
            return np.empty(0)
        if name not in self._recorded.folded_columns:
            return np.full(folded.length("series/step"), np.nan)
        values: Floats = folded.read(variable)
        return values


class Tail:
    """The samples that are in the journal alone, decoded once, without their digests."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    @cached_property
    def _blocks(self) -> list[SampleBlock]:
        start = self._recorded.folded_samples
        return list(self._recorded.sample_blocks(start, digests=False))

    def own(self, name: str) -> NDArray[Any]:
        """``step``, ``t``, ``wall`` or ``faults`` of these samples."""
        dtype = np.float64 if name in ("t", "wall") else np.int64
        return np.concatenate([np.empty(0, dtype), *(getattr(b, name) for b in self._blocks)])

    def column(self, name: str) -> Floats:
        """One column, with NaN where the schema does not have it."""
        layout, parts = self._recorded.layout, [np.empty(0)]
        for block in self._blocks:
            names = [c.name for c in layout.schemas[block.schema].columns]
            parts.append(
                block.values[:, names.index(name)]
                if name in names
                else np.full(len(block.step), np.nan)
            )
        return np.concatenate(parts)


class TileDigests:
    """The tile digests of one field.

    Attributes
    ----------
    tiles : FieldTiles
        How the field is cut into tiles.
    step : int64 array
        The steps of the samples.
    sample : int64 array
        Their positions among all samples of the run, superseded ones counted.
    values : uint64 array ``[n, *tiles.shape]``
        Read on first use.
    whole : uint64 array ``[n]``
        The digest of the whole field: the sum modulo 2**64, which does not depend on the tiles.
    """

    def __init__(self, recorded: Recorded, group: int, samples: Ints, step: Ints) -> None:
        self._recorded = recorded
        self._group = group
        self.sample = samples
        self.tiles: FieldTiles = recorded.layout.groups[group].tiles
        self.step = step

    def __len__(self) -> int:
        return len(self.step)

    @cached_property
    def values(self) -> Words:
        return self.rows(0, len(self))

    def rows(self, start: int, stop: int) -> Words:
        """The digests of the samples `start` to `stop`, ``[stop - start, *tiles.shape]``."""
        wanted = self.sample[start:stop]
        found: list[Words] = []
        at = 0
        for first, words in self._pieces(wanted):
            mine = wanted[at : np.searchsorted(wanted, first + len(words))]
            whole = len(mine) == len(words)
            found.append(words if whole else words[mine - first])
            at += len(mine)
        empty = np.empty((0, self.tiles.size), np.uint64)
        rows = found[0] if len(found) == 1 else np.concatenate([empty, *found])
        return rows.reshape(-1, *self.tiles.shape)

    @cached_property
    def whole(self) -> Words:
        out = np.empty(len(self), np.uint64)
        size = max(1, BLOCK_BYTES // (8 * max(1, self.tiles.size)))
        for at in range(0, len(self), size):
            rows = self.rows(at, min(at + size, len(self)))
            out[at : at + len(rows)] = rows.reshape(len(rows), -1).sum(axis=1, dtype=np.uint64)
        return out

    def _pieces(self, wanted: Ints) -> Iterator[tuple[int, Words]]:
        """Digests of this field with the number of the first sample, over all that is wanted."""
        if len(wanted):
            yield from self._recorded.digest_pieces(
                self._group, int(wanted[0]), int(wanted[-1]) + 1
            )


class TileStatistics:
    """Minimum, maximum and mean of one field's tiles at checkpoints.

    Attributes
    ----------
    tiles : FieldTiles
    step : int64 array ``[n]``
    minimum, maximum, mean : float64 arrays ``[n, *tiles.shape]``
        NaN in a tile without a finite value.
    """

    def __init__(self, recorded: Recorded, group: int) -> None:
        self.tiles: FieldTiles = recorded.layout.groups[group].tiles
        blocks = list(recorded.tile_blocks(only=group))
        empty = np.empty((0, *self.tiles.shape))
        self.step: Ints = np.concatenate([np.empty(0, np.int64), *(b.step for b in blocks)])
        self.minimum: Floats = np.concatenate([empty, *(b.minimum for b in blocks)])
        self.maximum: Floats = np.concatenate([empty, *(b.maximum for b in blocks)])
        self.mean: Floats = np.concatenate([empty, *(b.mean for b in blocks)])


def segments_of_samples(recorded: Recorded) -> Ints:
    """The segment of every sample."""
    segments: Ints = np.array([r.segment for r in recorded.schema_records], np.int64)
    of_samples: Ints = segments[recorded.schema_of_sample]
    return of_samples


def effective_rows(segment: Ints, step: Ints, starts: Mapping[int, int]) -> Rows:
    """Which samples count once later segments have superseded earlier ones.

    A segment that starts at step ``s`` supersedes samples of earlier segments past ``s``, and
    one at ``s`` if it took one itself. Of several that a segment took at one step, the last
    counts.

    Parameters
    ----------
    segment, step : int64 arrays
        Of all samples, in the order in which they were taken.
    starts : mapping
        The step at which each segment that took samples starts.
    """
    order = sorted(starts)
    if len(order) < 2:
        return last_of_each_step(step)
    keep = ~_taken_again(step, segment)
    limit: int | None = None
    retaken = False
    for number in reversed(order):
        mine = segment == number
        if limit is not None:
            keep[mine] &= (step[mine] < limit) | ((step[mine] == limit) & (not retaken))
        start = starts[number]
        if limit is None or start <= limit:
            took = bool(np.any(step[mine & keep] == start))
            retaken = took or (start == limit and retaken)
            limit = start
    return np.flatnonzero(keep)


def last_of_each_step(step: Ints) -> Rows:
    """Of the samples of one segment, all but those whose step it sampled again later."""
    again = _taken_again(step, None)
    return np.flatnonzero(~again) if again.any() else slice(None)


def _taken_again(step: Ints, segment: Ints | None) -> NDArray[np.bool_]:
    """Which samples are followed by another one of the same segment at the same step."""
    again = np.zeros(len(step), bool)
    rising = step[1:] > step[:-1]
    if segment is not None:
        rising |= segment[1:] != segment[:-1]
    if rising.all():
        return again
    order = np.lexsort((step,) if segment is None else (step, segment))
    same = step[order[1:]] == step[order[:-1]]
    if segment is not None:
        same &= segment[order[1:]] == segment[order[:-1]]
    again[order[:-1][same]] = True
    return again


def joints(
    segment: Ints,
    step: Ints,
    starts: Mapping[int, int],
    begun: frozenset[int],
    ended: frozenset[int],
    same: Callable[[int, int], bool],
) -> list[int]:
    """Samples that are there because the run was stopped and went on, and for nothing else.

    A run that stops between two steps of its cadence is sampled there all the same, where one
    segment ends and where the next begins. And a segment that begins with the state which the
    one before was sampled at cannot know the time step that led to it, as that one did.

    Parameters
    ----------
    segment, step, starts
        As for `effective_rows`.
    begun, ended : frozenset of int
        Segments whose first, or last, sample the cadence did not ask for.
    same : callable
        Whether the fields are the same in two samples.
    """
    order = sorted(starts)
    found: list[int] = []
    seam: int | None = None
    for number, after in zip(order, [*order[1:], None], strict=True):
        mine = np.flatnonzero(segment == number)
        if not len(mine):
            continue
        first, last = int(mine[0]), int(mine[-1])
        if step[first] == starts[number] > starts[order[0]]:
            before = np.flatnonzero((step[:first] == step[first]) & (segment[:first] < number))
            # What the segment before was stopped at is no step of the cadence here either.
            if (
                number in begun
                or step[first] == seam
                or (len(before) and same(int(before[-1]), first))
            ):
                found.append(first)
        seam = int(step[last]) if number in ended else None
        if seam is not None and after is not None and starts[after] <= seam:
            found.append(last)
    return found
