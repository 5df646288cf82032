"""What every recorded thing is: a frozen struct with a canonical encoding and a content hash.

A *document* is a record that is stored once by the hash of its canonical JSON: keys sorted,
no white space, its ``kind`` among the keys. Two equal records have equal bytes, so an
unchanged environment costs one reference.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import blake3
import msgspec

FORMAT_VERSION = 1

Hash: TypeAlias = str
"""BLAKE3 of some bytes, 64 lower-case hexadecimal digits."""

Json: TypeAlias = Any
"""A value made of None, bool, int, finite float, str, list and dict with str keys."""

Facts: TypeAlias = dict[str, Json]


class Record(msgspec.Struct, frozen=True):
    """Base of all that is recorded."""


class Document(Record, frozen=True, tag_field="kind"):
    """Base of the records that are stored once by content hash."""


def hash_bytes(data: bytes) -> Hash:
    """BLAKE3 of `data` as 64 hexadecimal digits."""
    return blake3.blake3(data).hexdigest()


def canonical_json(record: object) -> bytes:
    """The one JSON encoding of a record: keys sorted, no white space, UTF-8."""
    return msgspec.json.encode(record, order="sorted")


def content_hash(record: object) -> Hash:
    """BLAKE3 of the canonical JSON of `record`."""
    return hash_bytes(canonical_json(record))
