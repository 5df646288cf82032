"""A run of which everything is read at most once.

A bundle reads arrays and decodes documents when asked, each time anew; the algorithms ask as if
that cost nothing. This stands between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..model.record import Document, Hash
from ..model.series import Checkpoint, Decomposition, Event, Segment, SegmentEnd, SeriesSchema
from .run_view import DigestView, Floats, Ints, RunView, SeriesView, TileView
from .scales import Summary

KEPT_BYTES = 8 << 23
"""Columns are kept up to this size in all (eight of a million samples); more are read when asked
for."""


class HeldSeries:
    """A series with each column read once, unless it is too long to keep."""

    def __init__(self, series: SeriesView) -> None:
        self._series = series
        self._columns: dict[str, Floats] = {}
        self._summaries: dict[str, Summary] = {}
        self._room = KEPT_BYTES

    @cached_property
    def schema(self) -> SeriesSchema:
        return self._series.schema

    @cached_property
    def step(self) -> Ints:
        return self._series.step

    @cached_property
    def t(self) -> Floats:
        return self._series.t

    @cached_property
    def segment(self) -> NDArray[np.integer]:
        return self._series.segment

    @cached_property
    def faults(self) -> NDArray[np.integer]:
        return self._series.faults

    def __getitem__(self, name: str, /) -> Floats:
        if name in self._columns:
            return self._columns[name]
        values = self._series[name]
        if name not in self._summaries:
            self._summaries[name] = Summary.of(values)
        self._room -= values.nbytes
        if self._room >= 0:
            self._columns[name] = values
        return values

    def summary(self, name: str) -> Summary:
        """The summary of a column, for which it is read once."""
        if name not in self._summaries:
            _ = self[name]
        return self._summaries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)


@dataclass(frozen=True, slots=True)
class HeldSegment:
    """A segment with its documents decoded."""

    segment: Segment
    schema: SeriesSchema | None
    decomposition: Decomposition | None
    end: SegmentEnd | None
    start_step: int
    resumed_from: Hash | None


class Held:
    """A run, read once."""

    def __init__(self, run: RunView) -> None:
        self._run = run

    @property
    def path(self) -> object:
        return self._run.path

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return self._run.fields

    @cached_property
    def checkpoints(self) -> Sequence[Checkpoint]:
        return tuple(self._run.checkpoints)

    @cached_property
    def events(self) -> Sequence[Event]:
        return tuple(self._run.events)

    @cached_property
    def segments(self) -> tuple[HeldSegment, ...]:
        return tuple(
            HeldSegment(s.segment, s.schema, s.decomposition, s.end, s.start_step, s.resumed_from)
            for s in self._run.segments
        )

    @property
    def uncommitted(self) -> int:
        return self._run.uncommitted

    @cached_property
    def _series(self) -> HeldSeries:
        return HeldSeries(self._run.series())

    def series(self) -> HeldSeries:
        return self._series

    def release(self) -> None:
        """Let the samples go; they are read anew when they are asked for."""
        self.__dict__.pop("_series", None)

    def digests(self, field: str, /) -> DigestView:
        return self._run.digests(field)

    def tiles(self, field: str, /) -> TileView:
        return self._run.tiles(field)

    def document(self, reference: Hash, /) -> Document:
        return self._run.document(reference)


def held(run: RunView) -> Held:
    """`run` read once; itself if it is held already."""
    return run if isinstance(run, Held) else Held(run)
