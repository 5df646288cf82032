"""The records of a journal, in the order in which a run writes them."""

from __future__ import annotations

from typing import TypeAlias

from .checkpoint import Checkpoint
from .record import FORMAT_VERSION, Hash, Record
from .segment import Event, Segment, SegmentEnd, SegmentSchema
from .series import Sample, TileRow


class RunOpened(Record, frozen=True, kw_only=True):
    """The first record of every bundle: which run this is."""

    run_id: str
    campaign: str
    created: float
    simckpt_version: str
    format_version: int = FORMAT_VERSION


class StoredDocument(Record, frozen=True, kw_only=True):
    """A document that later records refer to by `hash`; `json` is its canonical JSON."""

    hash: Hash
    json: bytes


JOURNAL_KINDS: dict[str, type[Record]] = {
    "run": RunOpened,
    "document": StoredDocument,
    "segment": Segment,
    "schema": SegmentSchema,
    "sample": Sample,
    "tiles": TileRow,
    "event": Event,
    "checkpoint": Checkpoint,
    "segment_end": SegmentEnd,
}
"""The name under which each kind of record is framed; part of the format."""

JournalRecord: TypeAlias = (
    RunOpened
    | StoredDocument
    | Segment
    | SegmentSchema
    | Sample
    | TileRow
    | Event
    | Checkpoint
    | SegmentEnd
)
