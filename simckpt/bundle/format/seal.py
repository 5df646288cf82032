"""The user block that vouches for a folded file: the first thing read of it, and the last written.

The first 512 bytes hold ``magic[8] version:u32 0:u32 length:u64 records:u64 link[32] blake3[32]
crc:u32`` and zeros; `blake3` is that of the `length` bytes which follow. All of it is tested
before HDF5 sees a byte.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import blake3

from ...errors import (
    DamagedBundleError,
    DoubtfulFormatError,
    NewerFormatError,
    NotABundleError,
)
from ...model.record import FORMAT_VERSION

MAGIC = b"CDFsmckp"
"""Begins like a netCDF file's, by which xarray chooses its reader; the fourth byte is none of
netCDF-3's, so that readers of netCDF and of HDF5 look for the HDF5 signature further on."""

USER_BLOCK = 512
MEND = "Try: simckpt recover --salvage <bundle>."

SEALED = USER_BLOCK + 8
"""What `decode_seal` looks at: the user block, and the signature of HDF5 behind it."""

BYTES_PER_RECORD = 8
"""A folded file keeps 8 bytes of each record's link, which do not compress: it cannot hold more
records than that. Who forges a number is told so before memory is taken for them."""

_VERSION = struct.Struct("<8sI")
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
    fixed = _SEAL.pack(MAGIC, FORMAT_VERSION, 0, seal.length, seal.records, seal.link, seal.hash)
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
    magic, version = _VERSION.unpack(data[: _VERSION.size].ljust(_VERSION.size, b"\0"))
    holds = len(data) >= USER_BLOCK and crc32(fixed) == int.from_bytes(rest[:4], "little")
    if magic != MAGIC and not (holds or _was_sealed(path, fixed, rest, data)):
        what = "an HDF5 file, but not a simckpt bundle" if _HDF5_MAGIC in data else "not a bundle"
        raise NotABundleError(path, f"is {what}")
    if len(data) < USER_BLOCK:
        raise DamagedBundleError(path, f"ends after {len(data)} bytes, within its user block", MEND)
    if holds and magic == MAGIC and version > FORMAT_VERSION:
        raise NewerFormatError(
            path,
            f"was written in format version {version}; this simckpt knows versions up to "
            f"{FORMAT_VERSION}",
            "Install a newer simckpt.",
        )
    if not holds or magic != MAGIC or version < 1 or any(rest[4:]):
        if magic == MAGIC and version > FORMAT_VERSION:
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
    known = (_VERSION.pack(MAGIC, v) + fixed[_VERSION.size :] for v in range(1, FORMAT_VERSION + 1))
    return len(fixed) == _SEAL.size and any(crc32(block) == crc for block in known)


class RestHasher:
    """The length and BLAKE3 of what follows the user block of an open file, in pieces.

    Iterate over it, then take `length` and `digest`.
    """

    def __init__(self, handle: int, window: int = _WINDOW) -> None:
        self._handle = handle
        self._window = window
        # One thread: those of a pool are not there in a process that was forked, which would wait.
        self._hasher = blake3.blake3()
        self.length = 0

    def __iter__(self) -> Iterator[None]:
        while window := os.pread(self._handle, self._window, USER_BLOCK + self.length):
            self._hasher.update(window)
            self.length += len(window)
            yield

    @property
    def digest(self) -> bytes:
        digest: bytes = self._hasher.digest()
        return digest


def check_seal(path: Path, handle: int) -> Seal:
    """Read the user block and test the rest of the file against it.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If the file is not whole and of a known version.
    """
    checking = SealCheck(path, handle)
    for _ in checking:
        pass
    return checking.seal


class SealCheck:
    """`check_seal` in pieces: iterate over it, then take `seal`."""

    def __init__(self, path: Path, handle: int, window: int = _WINDOW) -> None:
        self._path = path
        self._handle = handle
        self._window = window
        self.seal = decode_seal(path, os.pread(handle, SEALED, 0))

    def __iter__(self) -> Iterator[None]:
        path, seal = self._path, self.seal
        length = os.fstat(self._handle).st_size - USER_BLOCK
        if length != seal.length:
            raise DamagedBundleError(
                path, f"holds {length} bytes after its user block, which says {seal.length}", MEND
            )
        if seal.records * BYTES_PER_RECORD > seal.length:
            raise DamagedBundleError(
                path, f"says that it holds {seal.records} records, more than fit in it", MEND
            )
        hasher = RestHasher(self._handle, self._window)
        yield from hasher
        if hasher.digest != seal.hash:
            raise DamagedBundleError(
                path, "was altered after it was written: its BLAKE3 does not hold", MEND
            )
