"""Which records may follow which: what a writer refuses, so that a reader never meets it.

====================  ==================================================================
run                   first, and only there
document, event       any time
segment               any time; numbers rise by one from 0
schema                of the segment that was begun last, of a series schema stored before
sample                after a schema of this segment, of the sizes that it says
tiles                 likewise, of a field that the schema has tiles of
checkpoint, end       of the segment that was begun last
====================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import SetupError
from ..model.series import (
    Checkpoint,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    TileRow,
)
from .layout import check_sample, check_tile_row, faults_of
from .records import Kind, UnreadablePayload


class Grammar:
    """What has been recorded so far, as far as it decides what may come next.

    Parameters
    ----------
    segments : int
        Number of segments so far.
    schema_of : callable
        The stored document of a hash; KeyError if there is none.
    schema : SeriesSchema, optional
        The one in force.
    """

    def __init__(
        self,
        segments: int,
        schema_of: Callable[[str], object],
        schema: SeriesSchema | None = None,
    ) -> None:
        self._segments = segments
        self._schema_of = schema_of
        self._schema = schema

        self._rules: dict[Kind, Callable[[Any], None]] = {
            Kind.RUN: self._run,
            Kind.SEGMENT: self._segment,
            Kind.SCHEMA: self._schema_record,
            Kind.SAMPLE: self._sample,
            Kind.TILES: self._tiles,
            Kind.CHECKPOINT: self._in_segment,
            Kind.SEGMENT_END: self._in_segment,
        }

    def check(self, kind: Kind, record: Any) -> None:
        """SetupError if `record` may not come next; otherwise it has come."""
        rule = self._rules.get(kind)
        if rule is None:
            return
        try:
            rule(record)
        except UnreadablePayload as problem:
            raise SetupError(type(record).__name__, record, str(problem)) from None

    def _run(self, record: object) -> None:
        raise UnreadablePayload("a bundle holds one run, whose record is its first")

    def _segment(self, record: Segment) -> None:
        if record.index != self._segments:
            raise UnreadablePayload(f"the next segment has the number {self._segments}")
        self._segments += 1
        self._schema = None

    def _schema_record(self, record: SegmentSchema) -> None:
        self._in_segment(record)
        try:
            schema = self._schema_of(record.schema)
        except KeyError:
            schema = None
        if not isinstance(schema, SeriesSchema):
            raise UnreadablePayload("store the series schema before the record that names it")
        if problem := faults_of(schema):
            raise UnreadablePayload(problem)
        self._schema = schema

    def _sample(self, record: Sample) -> None:
        if self._schema is None:
            raise UnreadablePayload("a sample needs the schema of its segment before it")
        check_sample(self._schema, record)

    def _tiles(self, record: TileRow) -> None:
        cut = [t for t in (self._schema.tiles if self._schema else ()) if t.field == record.field]
        if not cut:
            raise UnreadablePayload(f"the schema has no tiles of {record.field!r}")
        check_tile_row(cut[0], record)

    def _in_segment(self, record: SegmentSchema | Checkpoint | SegmentEnd) -> None:
        if record.segment != self._segments - 1:
            raise UnreadablePayload(
                f"it is of segment {record.segment}, but "
                + (f"{self._segments - 1} is under way" if self._segments else "none has begun")
            )
