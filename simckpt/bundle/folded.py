"""A folded bundle: the user block that vouches for the file, and the arrays inside it.

The first 512 bytes hold ``magic[8] version:u32 0:u32 length:u64 records:u64 link[32] blake3[32]
crc:u32`` and zeros; `blake3` is that of the `length` bytes which follow. All of it is tested
before HDF5 sees a byte.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from zlib import crc32

import blake3
import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedBundleError, NewerFormatError, NotABundleError
from ..model.record import FORMAT_VERSION
from .blocks import SampleBlock, TileBlock
from .codec import Kind

if TYPE_CHECKING:
    import h5py

    from .layout import Layout

MAGIC = b"CDFsmckp"
"""Begins like a netCDF file's, by which xarray chooses its reader; the fourth byte is none of
netCDF-3's, so that readers of netCDF and of HDF5 look for the HDF5 signature further on."""

USER_BLOCK = 512

_VERSION = struct.Struct("<8sI")
_SEAL = struct.Struct("<8sIIQQ32s32s")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HASH_WINDOW = 16 << 20
_TEXT_WINDOW = 1 << 18

T = TypeVar("T")

_UNREADABLE = (
    OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError, AttributeError, MemoryError,
    OverflowError, NotImplementedError,
)  # fmt: skip
"""What h5py raises on a file whose seal was made to fit what is damaged inside."""


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
    """What the user block `data` says.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If it is none, of a later version, or damaged.
    """
    if not data.startswith(MAGIC):
        what = "an HDF5 file, but not a simckpt bundle" if _HDF5_MAGIC in data else "not a bundle"
        if not data or not any(data):
            raise DamagedBundleError(path, "is empty" if not data else "begins with zeros")
        raise NotABundleError(path, f"is {what}")
    if len(data) < USER_BLOCK:
        raise DamagedBundleError(path, f"ends after {len(data)} bytes, within its user block")
    _, version = _VERSION.unpack_from(data)
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            path,
            f"was written in format version {version}; this simckpt knows versions up to "
            f"{FORMAT_VERSION}",
            "Install a newer simckpt.",
        )
    fixed = data[: _SEAL.size]
    (crc,) = struct.unpack_from("<I", data, _SEAL.size)
    if version < 1 or crc32(fixed) != crc or any(data[_SEAL.size + 4 : USER_BLOCK]):
        raise DamagedBundleError(path, "its user block (the first 512 bytes) is damaged", _MEND)
    _, _, _, length, records, link, hash_ = _SEAL.unpack(fixed)
    return Seal(length, records, link, hash_)


_MEND = "Try: simckpt recover --salvage <bundle>."


def hash_rest(handle: int) -> tuple[int, bytes]:
    """Length and BLAKE3 of what follows the user block."""
    hasher = blake3.blake3(max_threads=blake3.blake3.AUTO)
    offset = USER_BLOCK
    while window := os.pread(handle, _HASH_WINDOW, offset):
        hasher.update(window)
        offset += len(window)
    return offset - USER_BLOCK, hasher.digest()


def check_seal(path: Path, handle: int) -> Seal:
    """Read the user block and test the rest of the file against it.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If the file is not whole and of a known version.
    """
    seal = decode_seal(path, os.pread(handle, USER_BLOCK, 0))
    length = os.fstat(handle).st_size - USER_BLOCK
    if length != seal.length:
        raise DamagedBundleError(
            path, f"holds {length} bytes after its user block, which says {seal.length}", _MEND
        )
    if hash_rest(handle)[1] != seal.hash:
        raise DamagedBundleError(
            path, "was altered after it was written: its BLAKE3 does not hold", _MEND
        )
    return seal


class FoldedFile:
    """The records of a folded file, by kind and number; arrays are read when asked for.

    Parameters
    ----------
    path : Path
        The ``.simckpt.h5``.
    sealed : bool
        Test the file against its seal. Without that HDF5 meets whatever is there, and `seal`
        says no more than what a sound user block says.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If it is not a whole bundle of a known version.
    """

    def __init__(self, path: Path, *, sealed: bool = True) -> None:
        self.path = path
        self.seal, self._file = _open_checked(path) if sealed else _open_unchecked(path)
        try:
            self.kinds = self.read("records/kind").astype(np.uint8)
            self._texts = np.flatnonzero(
                (self.kinds != Kind.SAMPLE)
                & (self.kinds != Kind.TILES)
                & (self.kinds != Kind.DOCUMENT)
            )
            self._ends = self.read("records/text_end")
            self._check_sums()
        except BaseException:
            self.close()
            raise
        self._window = 0, b""

    def _check_sums(self) -> None:
        if len(self.kinds) != self.seal.records:
            raise DamagedBundleError(self.path, "holds another number of records than it says")
        if len(self._ends) != len(self._texts) or np.any(np.diff(self._ends, prepend=0) < 0):
            raise DamagedBundleError(self.path, "holds texts that do not add up")

    @property
    def next(self) -> int:
        """The number of the record that would follow."""
        return self.seal.records

    @property
    def chains(self) -> NDArray[np.uint64]:
        return self.read("records/chain").astype(np.uint64)

    def read(self, name: str, where: Any = ()) -> NDArray[Any]:
        """The array `name`, or the part `where` of it."""
        return self._reading(name, lambda dataset: np.asarray(dataset[where]))

    def length(self, name: str) -> int:
        """The first extent of the array `name`."""
        return self._reading(name, lambda dataset: int(dataset.shape[0]))

    @property
    def run_id(self) -> str:
        """The run that the file says it is of."""
        return self._guarded("attribute run_id", lambda: str(self._file.attrs.get("run_id", "")))

    def text_numbers(self, kind: Kind) -> NDArray[np.int64]:
        """Which texts are of `kind`."""
        return np.flatnonzero(self.kinds[self._texts] == kind)

    def text(self, number: int) -> bytes:
        """The payload of text number `number`."""
        start, end = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
        at, window = self._window
        if not (at <= start and end <= at + len(window)):
            at = start
            window = self.read("records/text", slice(at, max(end, at + _TEXT_WINDOW))).tobytes()
            self._window = at, window
        return window[start - at : end - at]

    def text_bytes(self) -> int:
        """Length of all texts together."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def text_ends(self) -> NDArray[np.int64]:
        """Where each text ends in the text of all."""
        return self._ends

    def document(self, number: int) -> bytes:
        """The JSON of document number `number`."""
        return bytes(self.read("documents/json", slice(number, number + 1))[0])

    def document_column(self, name: str) -> list[str]:
        """``hash`` or ``kind`` of every document."""
        return [bytes(v).decode() for v in self.read(f"documents/{name}").tolist()]

    def samples(
        self,
        layout: Layout,
        schema: int,
        start: int,
        stop: int,
        group_rows: dict[int, int],
        digests: bool = True,
    ) -> SampleBlock:
        """The samples `start` to `stop`, all of schema number `schema`.

        `group_rows` gives, for each tile group of the schema, the row of sample `start` in it.
        """
        rows, n = slice(start, stop), stop - start
        columns = layout.schemas[schema].columns
        values = np.empty((n, len(columns)))
        for i, column in enumerate(columns):
            values[:, i] = self.read(f"series/{layout.variables[column.name]}", rows)
        words = np.empty((n, layout.schemas[schema].digests if digests else 0), np.uint64)
        for place in layout.slices[schema] if digests else ():
            row = group_rows[place.group]
            words[:, place.start : place.stop] = self.digests(layout, place.group, row, n)
        return SampleBlock(
            schema=schema,
            step=self.read("series/step", rows),
            t=self.read("series/t", rows),
            wall=self.read("series/wall", rows),
            faults=self.read("series/faults", rows),
            values=values,
            digests=words,
        )

    def digests(self, layout: Layout, group: int, row: int, n: int) -> NDArray[np.uint64]:
        """Rows `row` to ``row + n`` of the digests of tile group number `group`, ``[n, tiles]``."""
        name = f"tiles/{layout.groups[group].name}/digest"
        return self.read(name, slice(row, row + n)).reshape(n, -1).astype(np.uint64, copy=False)

    def tile_rows(self, layout: Layout, group: int, start: int, stop: int) -> TileBlock:
        """The rows `start` to `stop` of the statistics of tile group number `group`."""
        place, rows = layout.groups[group], slice(start, stop)
        minimum, maximum, mean = (
            self.read(f"tiles/{place.name}/{what}", rows) for what in ("minimum", "maximum", "mean")
        )
        step = self.read(f"tiles/{place.name}/snapshot", rows)
        return TileBlock(group, place.tiles.field, step, minimum, maximum, mean)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _reading(self, name: str, read: Callable[[h5py.Dataset], T]) -> T:
        return self._guarded(f"array {name}", lambda: read(self._file[name]))

    def _guarded(self, what: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except _UNREADABLE as problem:
            raise DamagedBundleError(
                self.path, f"the {what} cannot be read ({problem})", _MEND
            ) from problem


def _open_unchecked(path: Path) -> tuple[Seal, h5py.File]:
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)
        records = int(file["records/kind"].shape[0])
    except _UNREADABLE as problem:
        raise DamagedBundleError(path, f"HDF5 cannot open it ({problem})") from problem
    with path.open("rb") as data:
        block = data.read(USER_BLOCK)
    try:
        return decode_seal(path, block)._replace(records=records), file
    except (DamagedBundleError, NotABundleError):
        return Seal(0, records, bytes(32), bytes(32)), file


def _open_checked(path: Path) -> tuple[Seal, h5py.File]:
    import h5py

    # The file may be replaced by its successor between the test and the opening; what HDF5
    # opened has to be the file that was tested.
    for _ in range(10):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            seal = check_seal(path, handle)
            tested = os.fstat(handle)
        finally:
            os.close(handle)
        try:
            file = h5py.File(path, "r", locking=False)
        except OSError as problem:
            raise DamagedBundleError(path, f"HDF5 cannot open it ({problem})", _MEND) from problem
        opened = os.fstat(file.id.get_vfd_handle())
        if (opened.st_dev, opened.st_ino) == (tested.st_dev, tested.st_ino):
            return seal, file
        file.close()
    raise DamagedBundleError(path, "was replaced each time it was opened", "Open it again.")
