"""The kinds of records: one row for each, their bytes, their order, and the chain through them.

Samples and rows of tile statistics are MessagePack arrays. Every other record is its canonical
JSON, which an HDF5 file can hold as text and give back byte for byte. The *link* of a record is
the BLAKE3 of the link before it, its kind and its payload: a running hash of the whole record
stream. Neither depends on the file the bytes are in.

A writer refuses a record that may not come next, so that a reader never meets one:

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

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Any, Self, TypeAlias, TypeVar

import blake3
import msgspec
import numpy as np

from ..errors import SetupError
from ..model import changes, documents, numerics, series, transform
from ..model.record import Document, canonical_json, hash_bytes
from ..model.series import (
    Checkpoint,
    Event,
    JournalRecord,
    RunOpened,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    StoredDocument,
    TileRow,
)

FIRST_LINK = bytes(32)
"""The link before the first record of a run."""

LARGEST_PAYLOAD = 1 << 27
"""Bytes of the largest record: 128 MiB, 16 million tiles. Tested before memory is taken."""


class UnreadablePayload(ValueError):
    """Bytes that are not the encoding of a record of their kind."""


# The encodings.


pack = msgspec.msgpack.Encoder().encode


class Packed:
    """A MessagePack array of the fields of `struct`, each of which is converted to its type."""

    def __init__(self, struct: type[Any]) -> None:
        self.struct = struct
        self.decoder = msgspec.msgpack.Decoder(struct)
        self._types = [(f.name, f.type) for f in msgspec.structs.fields(struct)]
        self._integers = [name for name, type_ in self._types if type_ is int]

    def encode(self, record: Any) -> tuple[Any, bytes]:
        """The record as it is read back, and its payload."""
        record = self.struct(**{name: type_(getattr(record, name)) for name, type_ in self._types})
        self._check(record)
        return record, pack(record)

    def decode(self, payload: bytes | memoryview) -> Any:
        """The record; ValueError or msgspec.MsgspecError if it is none."""
        record = self.decoder.decode(payload)
        self._check(record)
        return record

    def _check(self, record: Any) -> None:
        for name in self._integers:
            if not -(1 << 63) <= getattr(record, name) < 1 << 63:
                raise UnreadablePayload("a step or count does not fit in 64 bits")


class Json:
    """The canonical JSON of `struct`."""

    def __init__(self, struct: type[Any]) -> None:
        self.struct = struct
        self.decode = msgspec.json.Decoder(struct).decode

    def encode(self, record: Any) -> tuple[Any, bytes]:
        """The record as it is read back, and its payload."""
        # Encoding what was decoded gives 5.0 where the caller wrote 5: one record, one encoding.
        record = self.decode(canonical_json(record))
        return record, canonical_json(record)


class DocumentText:
    """The canonical JSON of a document, which its record holds already."""

    struct = StoredDocument

    def encode(self, record: StoredDocument) -> tuple[StoredDocument, bytes]:
        """The record, and its payload."""
        if hash_bytes(record.json) != record.hash:
            raise ValueError("its hash is not that of its text")
        return record, bytes(record.json)

    def decode(self, payload: bytes | memoryview) -> StoredDocument:
        """The record, whatever the text says."""
        text = bytes(payload)
        return StoredDocument(hash=hash_bytes(text), json=text)


# The order.


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

    def check(self, kind: Kind, record: Any) -> None:
        """SetupError if `record` may not come next; otherwise it counts from now on."""
        if kind.rule is None:
            return
        try:
            kind.rule(self, record)
        except UnreadablePayload as problem:
            raise SetupError(type(record).__name__, record, str(problem)) from None

    def first_only(self, record: RunOpened) -> None:
        raise UnreadablePayload("a bundle holds one run, whose record is its first")

    def next_segment(self, record: Segment) -> None:
        if record.index != self._segments:
            raise UnreadablePayload(f"the next segment has the number {self._segments}")
        self._segments += 1
        self._schema = None

    def stored_schema(self, record: SegmentSchema) -> None:
        self.current_segment(record)
        try:
            schema = self._schema_of(record.schema)
        except KeyError:
            schema = None
        if not isinstance(schema, SeriesSchema):
            raise UnreadablePayload("store the series schema before the record that names it")
        if problem := faults_of(schema):
            raise UnreadablePayload(problem)
        self._schema = schema

    def fits_schema(self, record: Sample) -> None:
        if self._schema is None:
            raise UnreadablePayload("a sample needs the schema of its segment before it")
        check_sample(self._schema, record)

    def fits_tiles(self, record: TileRow) -> None:
        for tiles in self._schema.tiles if self._schema else ():
            if tiles.field == record.field:
                check_tile_row(tiles, record)
                return
        raise UnreadablePayload(f"the schema has no tiles of {record.field!r}")

    def current_segment(self, record: SegmentSchema | Checkpoint | SegmentEnd) -> None:
        if record.segment != self._segments - 1:
            raise UnreadablePayload(
                f"it is of segment {record.segment}, but "
                + (f"{self._segments - 1} is under way" if self._segments else "none has begun")
            )


def faults_of(schema: SeriesSchema) -> str:
    """What makes `schema` unusable, or an empty string."""
    for what, names in (
        ("columns", [c.name for c in schema.columns]),
        ("fields with tiles", [t.field for t in schema.tiles]),
    ):
        if len(set(names)) < len(names):
            twice = min(n for n in names if names.count(n) > 1)
            return f"two {what} are named {twice!r}"
    for tiles in schema.tiles:
        if not tiles.edges or any(not e or any(b < a for a, b in pairwise(e)) for e in tiles.edges):
            return f"the tiles of {tiles.field!r} have no edges, or edges that do not rise"
    return ""


def check_sample(schema: SeriesSchema, sample: Sample) -> None:
    """UnreadablePayload unless the sample has the size that its schema says."""
    columns, digests = len(schema.columns), schema.digests
    if len(sample.values) != 8 * columns or len(sample.digests) != 8 * digests:
        raise UnreadablePayload(
            f"a sample of {len(sample.values)} + {len(sample.digests)} bytes, where its schema "
            f"has {columns} columns and {digests} tile digests of 8 bytes"
        )


def check_tile_row(tiles: series.FieldTiles, row: TileRow) -> None:
    """UnreadablePayload unless the row has the size that its tiles say."""
    if not len(row.minimum) == len(row.maximum) == len(row.mean) == 8 * tiles.size:
        raise UnreadablePayload(
            f"tile statistics of {row.field!r} whose size is not that of its {tiles.size} tiles"
        )


# The netCDF tables: they repeat what the texts of records say, for tools that know only netCDF.


Ends: TypeAlias = dict[int, SegmentEnd]
"""The end of each segment, by the segment's number."""


@dataclass(frozen=True)
class TableColumn:
    """One array of a table; `value` is called with a record and the ends of segments."""

    name: str
    dtype: Any
    value: Callable[[Any, Ends], Any]
    long_name: str = ""


@dataclass(frozen=True)
class Table:
    """One group with a row for each record of a kind."""

    group: str
    dimension: str
    columns: tuple[TableColumn, ...]


def _of_end(attribute: str, otherwise: Any) -> Callable[[Any, Ends], Any]:
    return lambda r, ends: getattr(ends[r.index], attribute) if r.index in ends else otherwise


_HASH = np.dtype("S64")

_CHECKPOINTS = Table(
    "checkpoints",
    "checkpoint",
    (
        TableColumn("id", _HASH, lambda r, _: r.id.encode()[:64], "hash of the contents"),
        TableColumn("parents", str, lambda r, _: " ".join(r.parents), "ids of the parents"),
        TableColumn("segment", np.int64, lambda r, _: r.segment, "job attempt"),
        TableColumn("index", np.int64, lambda r, _: r.index),
        TableColumn("label", str, lambda r, _: r.label),
        TableColumn("reason", str, lambda r, _: r.reason),
        TableColumn("step", np.int64, lambda r, _: r.step, "step number of the driver"),
        TableColumn(
            "t", np.float64, lambda r, _: math.nan if r.t is None else r.t, "simulated time"
        ),
        TableColumn("wall", np.float64, lambda r, _: r.wall, "seconds since 1970-01-01 UTC"),
        TableColumn("samples", np.int64, lambda r, _: r.samples),
        TableColumn("why", str, lambda r, _: r.why),
    ),
)

_SEGMENTS = Table(
    "segments",
    "segment",
    (
        TableColumn("index", np.int64, lambda r, _: r.index),
        TableColumn("started", np.float64, lambda r, _: r.started, "seconds since 1970"),
        TableColumn("ranks", np.int64, lambda r, _: r.ranks),
        TableColumn("start_step", np.int64, lambda r, _: r.start_step),
        TableColumn("nodes", str, lambda r, _: " ".join(n.host for n in r.nodes)),
        TableColumn("ending", str, _of_end("ending", ""), "empty: it was killed"),
        TableColumn("ended", np.float64, _of_end("ended", math.nan), "seconds since 1970"),
        TableColumn("end_step", np.int64, _of_end("step", -1)),
        TableColumn("why", str, _of_end("why", "")),
    ),
)

_EVENTS = Table(
    "events",
    "event",
    (
        TableColumn("name", str, lambda r, _: r.name),
        TableColumn("severity", str, lambda r, _: r.severity),
        TableColumn("step", np.int64, lambda r, _: r.step),
        TableColumn("wall", np.float64, lambda r, _: r.wall, "seconds since 1970"),
        TableColumn("rank", np.int64, lambda r, _: r.rank),
        TableColumn("text", str, lambda r, _: r.text),
    ),
)


class Kind(IntEnum):
    """One row for each kind of record; the number stands for it in a file.

    Attributes
    ----------
    encoding : Packed or Json or DocumentText
        The struct of the model, and its bytes.
    rule : callable or None
        The method of `Grammar` that says when the record may come; None is any time.
    table : Table or None
        The group of the ``.h5`` that shows the records; the groups are in the order of the rows.
    """

    encoding: Any
    rule: Callable[[Grammar, Any], None] | None
    table: Table | None

    def __new__(
        cls,
        number: int,
        encoding: Packed | Json | DocumentText,
        rule: Callable[[Grammar, Any], None] | None = None,
        table: Table | None = None,
    ) -> Self:
        self = int.__new__(cls, number)
        self._value_ = number
        self.encoding, self.rule, self.table = encoding, rule, table
        return self

    RUN = 1, Json(RunOpened), Grammar.first_only
    DOCUMENT = 2, DocumentText()
    SCHEMA = 4, Json(SegmentSchema), Grammar.stored_schema
    SAMPLE = 5, Packed(Sample), Grammar.fits_schema
    TILES = 6, Packed(TileRow), Grammar.fits_tiles
    CHECKPOINT = 8, Json(Checkpoint), Grammar.current_segment, _CHECKPOINTS
    SEGMENT = 3, Json(Segment), Grammar.next_segment, _SEGMENTS
    SEGMENT_END = 9, Json(SegmentEnd), Grammar.current_segment
    EVENT = 7, Json(Event), None, _EVENTS


KINDS = {int(kind): kind for kind in Kind}
_BY_STRUCT = {kind.encoding.struct: kind for kind in Kind}

R = TypeVar("R")


def encode(record: R) -> tuple[R, Kind, bytes]:
    """The record as it will be read back, its kind, and its payload.

    Numbers take the type that the model gives them, so that what is hashed is what is read.

    Raises
    ------
    SetupError
        If a value in the record has no encoding: not a number, text or container, an infinite
        time stamp, a step outside 64 bits.
    """
    name = type(record).__name__
    kind = _BY_STRUCT.get(type(record))
    if kind is None:
        raise SetupError(name, record, f"cannot be recorded: {name} is not a journal record")
    try:
        normal, payload = kind.encoding.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise SetupError(name, record, f"cannot be recorded: {problem}") from problem
    if len(payload) > LARGEST_PAYLOAD:
        raise SetupError(
            name,
            f"{len(payload)} bytes",
            f"is larger than the largest record of {LARGEST_PAYLOAD} bytes",
            mend="Use larger tiles.",
        )
    return normal, kind, payload


def decode(kind: int, payload: bytes | memoryview) -> JournalRecord:
    """The record that `payload` encodes.

    Raises
    ------
    UnreadablePayload
        If it encodes none of that kind.
    """
    try:
        return KINDS[kind].encoding.decode(payload)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError) as problem:
        raise UnreadablePayload(f"not a readable record of kind {kind}: {problem}") from problem


_SAMPLES = msgspec.msgpack.Decoder(Sample)


def decode_samples(payloads: Iterable[bytes]) -> list[Sample]:
    """The samples that `payloads` encode; raises as `decode` does."""
    try:
        return [_SAMPLES.decode(payload) for payload in payloads]
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise UnreadablePayload(f"not a readable sample: {problem}") from problem


def next_link(link: bytes, kind: int, payload: bytes | memoryview) -> bytes:
    """The link of a record that follows one whose link is `link`."""
    return blake3.blake3(link + bytes((kind,)) + payload).digest()


def short(link: bytes) -> int:
    """The part of a link that is stored with each record: its first 8 bytes as a number."""
    return int.from_bytes(link[:8], "little")


# Documents by kind: the struct of the model that each one decodes to.


class _Kind(msgspec.Struct):
    kind: str = ""


_KIND = msgspec.json.Decoder(_Kind)


def document_types() -> dict[str, type[Document]]:
    """Every kind of document of the model."""
    return {
        str(value.__struct_config__.tag): value
        for module in (changes, documents, numerics, series, transform)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Document) and value is not Document
    }


_DECODERS = {kind: msgspec.json.Decoder(type_) for kind, type_ in document_types().items()}
_PLAIN = msgspec.json.Decoder()


def kind_of(json: bytes) -> str:
    """The kind that a document's JSON names; ValueError if it is not the JSON of a document."""
    try:
        return _KIND.decode(json).kind
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem


def decode_document(json: bytes) -> Document | Any:
    """The struct of the model for its kind; for a kind unknown here, plain dicts and lists.

    Raises
    ------
    ValueError
        If the text does not fit its kind.
    """
    decoder = _DECODERS.get(kind_of(json))
    try:
        return decoder.decode(json) if decoder else _PLAIN.decode(json)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem
