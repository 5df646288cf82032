"""The journal's bytes: a header, then one frame a record. Nothing here opens a file.

Header: ``magic[8] version:u32 size:u32 first:u64 link[32] crc:u32``, then `size` bytes of JSON.
Frame: ``mark[4] crc:u32 size:u32 kind:u8 0:u8[3] sequence:u64 chain:u64``, then the payload.
All little-endian. A CRC-32 is over everything of its header or frame but the mark and itself.
`chain` is the first 8 bytes of the link of the record (see `codec`), so that each
record testifies to all before it. The first twelve bytes are the same in every version.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

import msgspec

from ...model.record import FORMAT_VERSION
from .codec import LARGEST_PAYLOAD, Kind

MAGIC = b"SIMCKPTJ"
MARK = b"\xf5SCK"

_VERSION = struct.Struct("<8sI")
_HEADER = struct.Struct("<8sIIQ32sI")
_FRAME = struct.Struct("<4sIIBxxxQQ")
_BODY = struct.Struct("<IBxxxQQ")
HEADER_SIZE = _HEADER.size
FRAME_SIZE = _FRAME.size
LARGEST_ORIGIN = 4096


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Whose journal this is, and who holds it: a lease that another run can read."""

    run_id: str
    host: str = ""
    pid: int = 0
    born: str = ""


class Header(NamedTuple):
    """A journal's header: its records follow record number ``first - 1``, whose link is `link`."""

    origin: Origin
    first: int
    link: bytes
    size: int


class Frame(NamedTuple):
    """What a frame says of the record in it."""

    kind: int
    size: int
    sequence: int
    chain: int


class InvalidHeader(ValueError):
    """The first bytes are not the header of a journal."""


class ForeignHeader(InvalidHeader):
    """The file is not a journal at all."""


class NewerHeader(InvalidHeader):
    """The journal was written in a later version of the format."""


class DoubtfulHeader(InvalidHeader):
    """It says a later version, and its checksum does not hold."""

    def __init__(self, version: int) -> None:
        super().__init__(f"format version {version}")
        self.version = version


class CutHeader(InvalidHeader):
    """The file ends within its header: the writer was stopped as it made it."""


def encode_header(origin: Origin, first: int, link: bytes) -> bytes:
    """The header of a journal."""
    text = msgspec.json.encode(origin)
    fixed = _HEADER.pack(MAGIC, FORMAT_VERSION, len(text), first, link, 0)[:-4]
    return fixed + struct.pack("<I", crc32(text, crc32(fixed))) + text


def decode_header(data: bytes) -> Header:
    """The header at the start of `data`, the first `HEADER_SIZE` + `LARGEST_ORIGIN` bytes.

    Its checksum is judged first: what it covers may have been written by a later version, and
    what it does not was damaged, magic and version among it.

    Raises
    ------
    InvalidHeader
        In the form that says what is the matter.
    """
    if not any(data[:HEADER_SIZE]):
        # A file whose length reached storage before its bytes did, or that has none.
        raise CutHeader("the header was never written")
    begins = data.startswith(MAGIC) or MAGIC.startswith(data[:8])
    if len(data) < HEADER_SIZE:
        raise CutHeader(_CUT) if begins else ForeignHeader(_FOREIGN)
    magic, version, size, first, link, crc = _HEADER.unpack_from(data)
    text = data[HEADER_SIZE : HEADER_SIZE + size]
    fixed = data[: HEADER_SIZE - 4]
    if crc32(text, crc32(fixed)) != crc:
        known = any(
            crc32(text, crc32(_VERSION.pack(MAGIC, v) + fixed[_VERSION.size :])) == crc
            for v in range(1, FORMAT_VERSION + 1)
        )
        if not begins and not known:
            raise ForeignHeader(_FOREIGN)
        if begins and len(text) < size <= LARGEST_ORIGIN:
            raise CutHeader(_CUT)
        if magic == MAGIC and version > FORMAT_VERSION:
            raise DoubtfulHeader(version)
        raise InvalidHeader("its header is damaged: the checksum does not hold")
    if magic != MAGIC:
        raise ForeignHeader(_FOREIGN)
    if version > FORMAT_VERSION:
        raise NewerHeader(f"format version {version}")
    if version < 1 or size > LARGEST_ORIGIN:
        raise InvalidHeader("its header is damaged")
    try:
        origin = msgspec.json.decode(text, type=Origin)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise InvalidHeader(f"its header is damaged: {problem}") from problem
    return Header(origin, first, link, HEADER_SIZE + size)


_CUT = "the file ends within its header"
_FOREIGN = "it does not begin as a journal does"


def encode_frame(kind: int, sequence: int, chain: int, payload: bytes) -> bytes:
    """The frame of one record."""
    body = _BODY.pack(len(payload), kind, sequence, chain)
    return b"%b%b%b%b" % (MARK, crc32(payload, crc32(body)).to_bytes(4, "little"), body, payload)


KINDS = frozenset(int(kind) for kind in Kind)

unpack_frame = _FRAME.unpack_from
"""Mark, CRC, size, kind, sequence and chain of the frame at an offset, none of them tested."""


def peek_frame(data: bytes | memoryview, offset: int) -> Frame | None:
    """What the frame at `offset` says of itself, before its checksum is tested.

    None if no frame begins there; ``offset + FRAME_SIZE`` must lie within `data`.
    """
    mark, _, size, kind, sequence, chain = unpack_frame(data, offset)
    if mark != MARK or size > LARGEST_PAYLOAD or kind not in KINDS:
        return None
    return Frame(kind, size, sequence, chain)


def check_frame(data: memoryview, offset: int, frame: Frame) -> bool:
    """Whether the checksum of the frame at `offset` holds; all of it must lie within `data`."""
    crc = int.from_bytes(data[offset + 4 : offset + 8], "little")
    return crc32(data[offset + 8 : offset + FRAME_SIZE + frame.size]) == crc
