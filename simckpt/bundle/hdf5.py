"""HDF5 as a bundle may use it: arrays that are in the file itself, read by name.

A stranger's file can have links to other files, arrays whose values lie in other files, and
filters that are libraries to be loaded. None of these is in a bundle, and none is followed. What
is left, HDF5 parses; its defects are met in a process of its own where one can be had: this
module is also the program of that process (see `guard`). Run as a program it stands alone, and
imports nothing of the package.

Requests and answers are a length in 4 bytes and so much JSON. After the answer to a read come
pieces of the values, each with its length, and an empty one; -1 in place of a length, and then
an answer that says what went wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

PIECE = 4 << 20
SECONDS = 2
"""Of processor time for a piece of values; a sound file needs a tenth of a second."""

MEMORY = 160 << 20
"""Beyond what the libraries take, and beyond four times the size of the file."""

FAILED = -1
LENGTH = struct.Struct("<i")
DEFLATE_AT_MOST = 1100
"""No deflated byte stands for more: an array larger than this in its file is none."""

UNREADABLE = (
    OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError, AttributeError, MemoryError,
    OverflowError, NotImplementedError,
)  # fmt: skip
"""What h5py raises on a file whose seal was made to fit what is damaged inside."""

_FILTERS = {1, 2}
"""Deflate and shuffle: those that the fold uses, and that HDF5 has without loading anything."""


class Hdf5File:
    """An HDF5 file that is open for reading.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OSError
        If HDF5 cannot open it. Every method raises one of `UNREADABLE`.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._file = h5py.File(path, "r", locking=False)
        status = os.fstat(self._file.id.get_vfd_handle())
        self.identity = status.st_dev, status.st_ino
        self._largest = DEFLATE_AT_MOST * status.st_size

    def shape(self, name: str) -> tuple[int, ...]:
        """The extents of the array `name`."""
        shape: tuple[int, ...] = self._dataset(name).shape
        return shape

    def read(self, name: str, where: slice | tuple[()] = ()) -> Any:
        """The array `name`, or the rows `where` of it."""
        dataset = self._dataset(name)
        self._bounded(dataset, where)
        return dataset[where]

    def pieces(self, name: str, where: slice | tuple[()] = ()) -> Iterator[Any]:
        """The same in pieces of a few MiB, after the type and the shape of the whole."""
        dataset = self._dataset(name)
        shape = self._bounded(dataset, where)
        yield dataset.dtype, shape
        if not shape:
            yield dataset[()]
            return
        start = where.indices(dataset.shape[0])[0] if isinstance(where, slice) else 0
        row = dataset.dtype.itemsize
        for extent in shape[1:]:
            row *= extent
        rows = max(1, PIECE // max(1, row))
        for at in range(start, start + shape[0], rows):
            yield dataset[at : min(at + rows, start + shape[0])]

    def places(self, name: str) -> Any:
        """Where each chunk of rows of the array `name` begins, with the rows of a chunk before.

        Nothing but that number if the file holds them in another form than memory does.
        """
        import numpy as np

        dataset = self._dataset(name)
        chunks, created = dataset.chunks, dataset.id.get_create_plist()
        if chunks is None:
            return np.zeros(1, "<i8")
        places = np.full(1 + -(-dataset.shape[0] // chunks[0]), -1, "<i8")
        places[0] = chunks[0]
        plain = not created.get_nfilters() and dataset.dtype.str[0] == "<"
        if not plain or chunks[1:] != dataset.shape[1:]:
            return places[:1]

        def note(chunk: Any) -> None:
            places[1 + chunk.chunk_offset[0] // chunks[0]] = chunk.byte_offset

        dataset.id.chunk_iter(note)
        return places

    def attribute(self, name: str) -> str:
        """An attribute of the file, as text."""
        return str(self._file.attrs.get(name, ""))

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def _bounded(self, dataset: h5py.Dataset, where: slice | tuple[()]) -> tuple[int, ...]:
        shape = list(dataset.shape)
        if isinstance(where, slice):
            shape[0] = len(range(*where.indices(shape[0])))
        size = dataset.dtype.itemsize
        for extent in shape:
            size *= extent
        if size > self._largest:
            raise ValueError(f"{size} bytes are more than the file can hold")
        return tuple(shape)

    def _dataset(self, name: str) -> h5py.Dataset:
        import h5py

        item: Any = self._file
        for part in name.split("/"):
            if type(item.get(part, getlink=True)) is not h5py.HardLink:
                raise ValueError("it is not in this file")
            item = item[part]
        # A null space has no shape; other types than these are not read.
        if getattr(item, "shape", None) is None or item.dtype.kind not in "iufSO":
            raise ValueError("it is not an array of numbers or text")
        created = item.id.get_create_plist()
        filters = {created.get_filter(i)[0] for i in range(created.get_nfilters())}
        if item.is_virtual or item.external or not filters <= _FILTERS:
            raise ValueError("its values are not in this file, or packed in an unknown way")
        return item


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    files: dict[int, Hdf5File] = {}
    while head := requests.read(LENGTH.size):
        request = json.loads(requests.read(*LENGTH.unpack(head)))
        _allow_time()
        try:
            _answer(files, request, answers)
        except UNREADABLE as problem:
            memory = isinstance(problem, MemoryError)
            answers.write(LENGTH.pack(FAILED))
            _say(answers, {"problem": "it needs too much memory" if memory else str(problem)})
        answers.flush()


def _answer(files: dict[int, Hdf5File], request: dict[str, Any], answers: BinaryIO) -> None:
    number, what = request["file"], request["what"]
    if what == "open":
        path = Path(os.fsdecode(bytes.fromhex(request["path"])))
        _allow_memory(path)
        files[number] = file = Hdf5File(path)
        _say(answers, {"identity": file.identity})
    elif what == "close":
        files.pop(number).close()
        _say(answers, {})
    elif what == "shape":
        _say(answers, {"shape": files[number].shape(request["name"])})
    elif what == "attribute":
        _say(answers, {"text": files[number].attribute(request["name"])})
    elif what == "places":
        places = files[number].places(request["name"])
        _values(iter([(places.dtype, places.shape), places]), answers)
    else:
        where = slice(*request["where"]) if request["where"] else ()
        _values(files[number].pieces(request["name"], where), answers)


def _values(pieces: Iterator[Any], answers: BinaryIO) -> None:
    dtype, shape = next(pieces)
    texts = dtype.kind == "O"
    _say(answers, {"dtype": "" if texts else dtype.str, "shape": shape})
    for piece in pieces:
        for data in [bytes(text) for text in piece.ravel()] if texts else [piece.tobytes()]:
            answers.write(LENGTH.pack(len(data)))
            answers.write(data)
        _allow_time()
    if not texts:
        answers.write(LENGTH.pack(0))


def _say(answers: BinaryIO, what: dict[str, Any]) -> None:
    text = json.dumps(what).encode()
    answers.write(LENGTH.pack(len(text)))
    answers.write(text)


def _allow_time() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        until = int(used.ru_utime + used.ru_stime) + 1 + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (until, hard))


def _allow_memory(path: Path) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + max(MEMORY, 4 * path.stat().st_size)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import h5py

    serve(sys.stdin.buffer, sys.stdout.buffer)


# Arrays as netCDF-4 has them: each with a dimension scale along every axis.


SMALL = 16 << 10
"""Arrays of fewer bytes are stored in one piece, larger ones in chunks."""

CHUNK = 64 << 10
_VALUES_AT_ONCE = 64 << 10


def scale_of_size(group: h5py.Group, name: str, size: int) -> h5py.Dataset:
    """A dimension without coordinates, as netCDF-4 writes it: its values take no space."""
    dataset = group.create_dataset(name, (size,), ">f4")
    dataset.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")
    return dataset


def scale(group: h5py.Group, name: str, size: int) -> h5py.Dataset:
    """A dimension whose coordinates are integers, to be filled in."""
    dataset = _create(group, name, (size,), np.dtype(np.int64))
    dataset.make_scale(name)
    return dataset


def array(
    group: h5py.Group,
    name: str,
    scales: Sequence[h5py.Dataset],
    dtype: Any,
    long_name: str = "",
    fill: float | None = None,
) -> h5py.Dataset:
    """An array along `scales`, to be filled in."""
    dataset = _create(group, name, tuple(s.shape[0] for s in scales), np.dtype(dtype), fill)
    for dimension, along in zip(dataset.dims, scales, strict=True):
        dimension.attach_scale(along)
    if long_name:
        dataset.attrs["long_name"] = plain(long_name)
    return dataset


def text() -> Any:
    """The type of an array of texts."""
    import h5py

    return h5py.string_dtype()


def plain(value: Any) -> Any:
    """A value that HDF5 can hold: its texts end at a NUL."""
    return value.replace("\0", "␀") if isinstance(value, str) else value


def fill(dataset: h5py.Dataset, values: NDArray[Any]) -> Iterator[None]:
    """Write `values` into `dataset`, some at a time."""
    for at in range(0, len(values), _VALUES_AT_ONCE):
        dataset[at : at + _VALUES_AT_ONCE] = values[at : at + _VALUES_AT_ONCE]
        yield


def _create(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: float | None = None,
) -> h5py.Dataset:
    row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    if dtype.kind == "O" or shape[0] * row <= SMALL:
        return group.create_dataset(name, shape, dtype, fillvalue=fill)
    chunk = (max(1, min(shape[0], CHUNK // max(1, row))), *shape[1:])
    if name == "digest" or name == "chain":
        # Digests are as good as random: packing them costs time and gains nothing.
        return group.create_dataset(name, shape, dtype, chunks=chunk)
    return group.create_dataset(
        name, shape, dtype, chunks=chunk, shuffle=dtype.itemsize > 1, compression=1, fillvalue=fill
    )


# An array that lies in its file as it lies in memory, read without HDF5.
#
# Tile digests are nearly all of a long bundle and cannot be packed. HDF5 says where their chunks
# begin; the bytes are then read from the file itself, whose seal has vouched for them, with no
# process and no copy in between.


WORTH = 1 << 18
"""Bytes from which on it is worth asking where an array lies."""


class Extents:
    """The chunks of an array of rows.

    Parameters
    ----------
    handle : int
        The open file.
    places : int64 array
        Where each chunk begins.
    rows : int
        Rows in a chunk.
    width : int
        Numbers in a row, 8 bytes each.

    Raises
    ------
    ValueError
        If a chunk would not lie in the file.
    """

    def __init__(self, handle: int, places: NDArray[np.int64], rows: int, width: int) -> None:
        self._handle = handle
        self._places = places
        self._rows = rows
        self._row_bytes = 8 * width
        self._width = width
        size = os.fstat(handle).st_size
        if rows < 1:
            raise ValueError("its chunks hold no rows")
        if len(places) and (places.min() < 0 or places.max() + rows * self._row_bytes > size):
            raise ValueError("a chunk is not in the file")
        # Chunks that follow one another in the file are read in one go.
        ends = np.flatnonzero(np.diff(places) != rows * self._row_bytes)
        last = np.append(ends, len(places) - 1)
        self._last = last[np.searchsorted(last, np.arange(len(places)))]

    def read(self, start: int, count: int) -> NDArray[np.uint64]:
        """The rows `start` to ``start + count``.

        Raises
        ------
        ValueError, OSError
            If they are not there.
        """
        out = np.empty((count, self._width), "<u8")
        view = out.reshape(-1).view(np.uint8).data
        at = 0
        while at < len(view):
            chunk, row = divmod(start + at // self._row_bytes, self._rows)
            if chunk >= len(self._places):
                raise ValueError("a row is not in the file")
            rows = (int(self._last[chunk]) + 1 - chunk) * self._rows - row
            length = min(rows * self._row_bytes, len(view) - at)
            place = int(self._places[chunk]) + row * self._row_bytes
            got = os.preadv(self._handle, [view[at : at + length]], place)
            if got != length:
                raise ValueError("the file ends within a row")
            at += length
        return out
