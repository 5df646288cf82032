"""The journal's bytes: a header, then one frame a record. Nothing here opens a file.

Header: ``magic[8] version:u32 size:u32 first:u64 link[32] crc:u32``, then `size` bytes of JSON.
Frame: ``magic[4] crc:u32 size:u32 kind:u8 0:u8[3] sequence:u64 chain:u64``, then the payload.
All little-endian. A CRC-32 is over everything of its header, or of its frame after the magic, but
itself.
`chain` is the first 8 bytes of the link of the record (see `records`), so that each
record testifies to all before it. The first twelve bytes are the same in every version.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import blake3
import msgspec

from ..errors import DamagedBundleError, DoubtfulFormatError, NewerFormatError, NotABundleError
from ..model.record import FORMAT_VERSION
from .records import KINDS, LARGEST_PAYLOAD

MAGIC = b"SIMCKPTJ"
FRAME_MAGIC = b"\xf5SCK"

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
        older = any(
            crc32(text, crc32(_VERSION.pack(MAGIC, v) + fixed[_VERSION.size :])) == crc
            for v in range(1, FORMAT_VERSION + 1)
        )
        if not begins and not older:
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
    return b"%b%b%b%b" % (
        FRAME_MAGIC,
        crc32(payload, crc32(body)).to_bytes(4, "little"),
        body,
        payload,
    )


unpack_frame = _FRAME.unpack_from
"""Magic, CRC, size, kind, sequence and chain of the frame at an offset, none of them tested."""


def peek_frame(data: bytes | memoryview, offset: int) -> Frame | None:
    """What the frame at `offset` says of itself, before its checksum is tested.

    None if no frame begins there; ``offset + FRAME_SIZE`` must lie within `data`.
    """
    magic, _, size, kind, sequence, chain = unpack_frame(data, offset)
    if magic != FRAME_MAGIC or size > LARGEST_PAYLOAD or kind not in KINDS:
        return None
    return Frame(kind, size, sequence, chain)


def check_frame(data: memoryview, offset: int, frame: Frame) -> bool:
    """Whether the checksum of the frame at `offset` holds; all of it must lie within `data`."""
    crc = int.from_bytes(data[offset + 4 : offset + 8], "little")
    return crc32(data[offset + 8 : offset + FRAME_SIZE + frame.size]) == crc


# The user block that vouches for a folded file: the first thing read of it, and the last written.
#
# The first 512 bytes hold ``magic[8] version:u32 0:u32 length:u64 records:u64 link[32] blake3[32]
# crc:u32`` and zeros; `blake3` is that of the `length` bytes which follow. All of it is tested
# before HDF5 sees a byte.


MAGIC_SEAL = b"CDFsmckp"
"""Begins like a netCDF file's, by which xarray chooses its reader; the fourth byte is none of
netCDF-3's, so that readers of netCDF and of HDF5 look for the HDF5 signature further on."""

USER_BLOCK = 512
MEND = "Try: simckpt recover --salvage <bundle>."

SEALED = USER_BLOCK + 8
"""What `decode_seal` looks at: the user block, and the signature of HDF5 behind it."""

BYTES_PER_RECORD = 8
"""A folded file keeps 8 bytes of each record's link, which do not compress: it cannot hold more
records than that. Who forges a number is told so before memory is taken for them."""

_VERSION_SEAL = struct.Struct("<8sI")
_SEAL = struct.Struct("<8sIIQQ32s32s")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_WINDOW = 1 << 20


class Seal(NamedTuple):
    """What the user block says of the rest of the file."""

    length: int
    records: int
    link: bytes
    hash: bytes


def encode_seal(seal: Seal) -> bytes:
    """The user block."""
    fixed = _SEAL.pack(
        MAGIC_SEAL, FORMAT_VERSION, 0, seal.length, seal.records, seal.link, seal.hash
    )
    return (fixed + struct.pack("<I", crc32(fixed))).ljust(USER_BLOCK, b"\0")


def decode_seal(path: Path, data: bytes) -> Seal:
    """What the user block `data` says, the first bytes of the file and the signature behind it.

    Its checksum is judged first: magic and version may be what was damaged.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If it is none, of a later version, or damaged.
    """
    if not data or not any(data[:USER_BLOCK]):
        raise DamagedBundleError(path, "begins with zeros" if data else "is empty", MEND)
    fixed, rest = data[: _SEAL.size], data[_SEAL.size : USER_BLOCK]
    magic, version = _VERSION_SEAL.unpack(
        data[: _VERSION_SEAL.size].ljust(_VERSION_SEAL.size, b"\0")
    )
    holds = len(data) >= USER_BLOCK and crc32(fixed) == int.from_bytes(rest[:4], "little")
    if magic != MAGIC_SEAL and not (holds or _was_sealed(path, fixed, rest, data)):
        what = "an HDF5 file, but not a simckpt bundle" if _HDF5_MAGIC in data else "not a bundle"
        raise NotABundleError(path, f"is {what}")
    if len(data) < USER_BLOCK:
        raise DamagedBundleError(path, f"ends after {len(data)} bytes, within its user block", MEND)
    if holds and magic == MAGIC_SEAL and version > FORMAT_VERSION:
        raise NewerFormatError(
            path,
            f"was written in format version {version}; this simckpt knows versions up to "
            f"{FORMAT_VERSION}",
            "Install a newer simckpt.",
        )
    if not holds or magic != MAGIC_SEAL or version < 1 or any(rest[4:]):
        if magic == MAGIC_SEAL and version > FORMAT_VERSION:
            raise DoubtfulFormatError(path, version, FORMAT_VERSION)
        raise DamagedBundleError(path, "its user block (the first 512 bytes) is damaged", MEND)
    _, _, _, length, records, link, hash_ = _SEAL.unpack(fixed)
    return Seal(length, records, link, hash_)


def _was_sealed(path: Path, fixed: bytes, rest: bytes, data: bytes) -> bool:
    """Whether a file without the magic of a bundle is one all the same, as far as can be told."""
    if path.name.endswith(".simckpt.h5") and data[USER_BLOCK:].startswith(_HDF5_MAGIC):
        # HDF5 by itself puts no user block before a file, and nobody else gives it this name.
        return True
    crc = int.from_bytes(rest[:4], "little")
    blocks = (
        _VERSION_SEAL.pack(MAGIC_SEAL, v) + fixed[_VERSION_SEAL.size :]
        for v in range(1, FORMAT_VERSION + 1)
    )
    return len(fixed) == _SEAL.size and any(crc32(block) == crc for block in blocks)


def hash_rest(handle: int) -> tuple[int, bytes]:
    """The length and BLAKE3 of what follows the user block of an open file."""
    # One thread: those of a pool are not there in a process that was forked, which would wait.
    hasher = blake3.blake3()
    length = 0
    while window := os.pread(handle, _WINDOW, USER_BLOCK + length):
        hasher.update(window)
        length += len(window)
    return length, hasher.digest()


def check_seal(path: Path, handle: int) -> Seal:
    """Read the user block and test the rest of the file against it.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If the file is not whole and of a known version.
    """
    seal = decode_seal(path, os.pread(handle, SEALED, 0))
    length = os.fstat(handle).st_size - USER_BLOCK
    if length != seal.length:
        raise DamagedBundleError(
            path, f"holds {length} bytes after its user block, which says {seal.length}", MEND
        )
    if seal.records * BYTES_PER_RECORD > seal.length:
        raise DamagedBundleError(
            path, f"says that it holds {seal.records} records, more than fit in it", MEND
        )
    _, digest = hash_rest(handle)
    if digest != seal.hash:
        raise DamagedBundleError(
            path, "was altered after it was written: its BLAKE3 does not hold", MEND
        )
    return seal
