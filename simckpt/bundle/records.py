"""Records to bytes and back: the one encoding of each kind, and the chain through them.

Samples and rows of tile statistics are MessagePack arrays. Every other record is its canonical
JSON, which an HDF5 file can hold as text and give back byte for byte. The *link* of a record is
the BLAKE3 of the link before it, its kind and its payload: a running hash of the whole record
stream. Neither depends on the file the bytes lie in.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, TypeVar

import blake3
import msgspec

from ..errors import SetupError
from ..model import changes, numerics, series, transform
from ..model import documents as artifact
from ..model import documents as environment
from ..model import documents as flight
from ..model import documents as intent
from ..model import documents as manifest
from ..model import series as segment
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
    StoredDocument,
    TileRow,
)

FIRST_LINK = bytes(32)
"""The link before the first record of a run."""

LARGEST_PAYLOAD = 1 << 27
"""Bytes of the largest record: 128 MiB, 16 million tiles. Tested before memory is taken."""


class Kind(IntEnum):
    """The number that stands for each kind of record in a file; part of the format."""

    RUN = 1
    DOCUMENT = 2
    SEGMENT = 3
    SCHEMA = 4
    SAMPLE = 5
    TILES = 6
    EVENT = 7
    CHECKPOINT = 8
    SEGMENT_END = 9


_TYPES: dict[Kind, type[Any]] = {
    Kind.RUN: RunOpened,
    Kind.SEGMENT: Segment,
    Kind.SCHEMA: SegmentSchema,
    Kind.EVENT: Event,
    Kind.CHECKPOINT: Checkpoint,
    Kind.SEGMENT_END: SegmentEnd,
}
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}
_JSON = {kind: msgspec.json.Decoder(type_) for kind, type_ in _TYPES.items()}
_SAMPLE = msgspec.msgpack.Decoder(Sample)
_TILES = msgspec.msgpack.Decoder(TileRow)
_PACK = msgspec.msgpack.Encoder()

R = TypeVar("R")


class UnreadablePayload(ValueError):
    """Bytes that are not the encoding of a record of their kind."""


def encode(record: R) -> tuple[R, Kind, bytes]:
    """The record as it will be read back, its kind, and its payload.

    Numbers take the type that the model gives them, so that what is hashed is what is read.

    Raises
    ------
    SetupError
        If a value in the record has no encoding: not a number, text or container, an infinite
        time stamp, a step outside 64 bits.
    """
    try:
        kind, payload = _encode(record)
        normal: R = decode(kind, payload)  # type: ignore[assignment]
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise SetupError(
            type(record).__name__, record, f"cannot be recorded: {problem}"
        ) from problem
    if len(payload) > LARGEST_PAYLOAD:
        raise SetupError(
            type(record).__name__,
            f"{len(payload)} bytes",
            f"is larger than the largest record of {LARGEST_PAYLOAD} bytes",
            mend="Use larger tiles.",
        )
    return normal, kind, payload


def _encode(record: object) -> tuple[Kind, bytes]:
    if isinstance(record, Sample):
        return Kind.SAMPLE, sample_payload(
            int(record.step),
            float(record.t),
            float(record.wall),
            bytes(record.values),
            bytes(record.digests),
            int(record.faults),
        )
    if isinstance(record, TileRow):
        return Kind.TILES, tiles_payload(
            int(record.step),
            str(record.field),
            bytes(record.minimum),
            bytes(record.maximum),
            bytes(record.mean),
        )
    if isinstance(record, StoredDocument):
        if hash_bytes(record.json) != record.hash:
            raise ValueError("its hash is not that of its text")
        return Kind.DOCUMENT, bytes(record.json)
    kind = _KINDS.get(type(record))
    if kind is None:
        raise TypeError(f"{type(record).__name__} is not a journal record")
    # Encoding what was decoded gives 5.0 where the caller wrote 5: one record, one encoding.
    return kind, canonical_json(_JSON[kind].decode(canonical_json(record)))


def sample_payload(
    step: int, t: float, wall: float, values: bytes, digests: bytes, faults: int
) -> bytes:
    """The payload of a sample."""
    return _PACK.encode((step, t, wall, values, digests, faults))


def tiles_payload(step: int, field: str, minimum: bytes, maximum: bytes, mean: bytes) -> bytes:
    """The payload of a row of tile statistics."""
    return _PACK.encode((step, field, minimum, maximum, mean))


def decode(kind: int, payload: bytes | memoryview) -> JournalRecord:
    """The record that `payload` encodes.

    Raises
    ------
    UnreadablePayload
        If it encodes none of that kind.
    """
    try:
        if kind == Kind.SAMPLE:
            return _in_64_bits(_SAMPLE.decode(payload))
        if kind == Kind.TILES:
            return _in_64_bits(_TILES.decode(payload))
        if kind == Kind.DOCUMENT:
            text = bytes(payload)
            return StoredDocument(hash=hash_bytes(text), json=text)
        return _JSON[Kind(kind)].decode(payload)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise UnreadablePayload(f"not a readable record of kind {kind}: {problem}") from problem


def decode_samples(payloads: Iterable[bytes]) -> list[Sample]:
    """The samples that `payloads` encode; raises as `decode` does."""
    try:
        return [_SAMPLE.decode(payload) for payload in payloads]
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise UnreadablePayload(f"not a readable sample: {problem}") from problem


N = TypeVar("N", Sample, TileRow)


def _in_64_bits(record: N) -> N:
    numbers = [record.step, record.faults] if isinstance(record, Sample) else [record.step]
    if not all(-(1 << 63) <= n < 1 << 63 for n in numbers):
        raise UnreadablePayload("a step or count does not fit in 64 bits")
    return record


def next_link(link: bytes, kind: int, payload: bytes | memoryview) -> bytes:
    """The link of a record that follows one whose link is `link`."""
    return blake3.blake3(link + bytes((kind,)) + payload).digest()


def short(link: bytes) -> int:
    """The part of a link that is kept beside each record: its first 8 bytes as a number."""
    return int.from_bytes(link[:8], "little")


# Documents by kind: the struct of the model that each one decodes to.


_MODULES = (
    artifact,
    changes,
    environment,
    flight,
    intent,
    manifest,
    numerics,
    segment,
    series,
    transform,
)


class _Kind(msgspec.Struct):
    kind: str = ""


_KIND = msgspec.json.Decoder(_Kind)


def document_types() -> dict[str, type[Document]]:
    """Every kind of document of the model."""
    return {
        str(value.__struct_config__.tag): value
        for module in _MODULES
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
