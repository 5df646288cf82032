"""The records of a folded file. Its seal is tested before HDF5 sees a byte."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import count
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedBundleError, NotABundleError
from . import hdf5 as hdf5_file
from .files import open_to_read
from .framing import MEND, SEALED, USER_BLOCK, Seal, check_seal, decode_seal
from .hdf5 import DEFLATE_AT_MOST, FAILED, LENGTH, SECONDS, UNREADABLE, WORTH, Extents, Hdf5File
from .layout import SampleBlock, TileBlock
from .records import Kind

if TYPE_CHECKING:
    from .layout import Layout

# Reading HDF5 in a process of its own, so that a forged file harms nobody.
#
# A folded file whose seal was made to fit what was altered inside is parsed by the HDF5 library,
# which was not made for enemies: such a file can make it loop, take all memory or crash. So a
# reader leaves that to a child that may take little time and memory, and that gives back numbers
# and text, nothing else. The child starts while the file's checksum is tested, and serves all
# bundles that this process opens.
#
# Inside an MPI program no process may be started. There a run reads its own bundle, in place.


_LARGEST_ANSWER = 1 << 20
_DTYPE = re.compile(r"[<>|][iuf][1248]|\|S\d{1,4}")


class Hdf5Reading(Protocol):
    """An open HDF5 file, here or in the child. Methods raise what `hdf5_file.UNREADABLE` lists."""

    @property
    def identity(self) -> tuple[int, int]: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def read(self, name: str, where: slice | tuple[()] = ()) -> Any: ...
    def places(self, name: str) -> Any: ...
    def attribute(self, name: str) -> str: ...
    def close(self) -> None: ...


def open_hdf5(path: Path, *, guarded: bool) -> Hdf5Reading:
    """Open the HDF5 file at `path`, in the child if `guarded` and if there can be one.

    Raises
    ------
    OSError, ValueError
        If HDF5 cannot open it, or does not live through it.
    """
    if not (guarded and can_guard()):
        return Hdf5File(path)
    return GuardedFile(path, _child())


def can_guard() -> bool:
    """Whether this process may start another."""
    return bool(sys.executable) and "mpi4py.MPI" not in sys.modules


def prepare() -> None:
    """Start the child, if there can be one, so that it is ready when it is needed."""
    if can_guard():
        with contextlib.suppress(OSError):
            _child()


class _Answer(msgspec.Struct):
    problem: str = ""
    identity: tuple[int, int] = (0, 0)
    shape: tuple[int, ...] = ()
    dtype: str = ""
    text: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)


class Child:
    """The process that reads HDF5, and what it says."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.RLock()
        self._numbers = count()
        self._popen = subprocess.Popen(  # noqa: S603 - this package's own program, no shell
            [sys.executable, "-P", hdf5_file.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # No threads, whose stacks would count as memory, and no filters from elsewhere.
            env=os.environ
            | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
            # It finds h5py where this program does, whose driver may have added to its path.
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    @property
    def alive(self) -> bool:
        """Whether it can be asked, by this process."""
        return self.process == os.getpid() and self._popen.poll() is None

    def number(self) -> int:
        """A number for a file."""
        return next(self._numbers)

    def ask(self, **request: Any) -> _Answer:
        """Its answer; ValueError if it is that something cannot be read, or there is none."""
        assert self._popen.stdin is not None
        text = msgspec.json.encode(request)
        try:
            self._popen.stdin.write(LENGTH.pack(len(text)) + text)
            self._popen.stdin.flush()
        except (OSError, ValueError):
            raise ValueError(self._last_seen()) from None
        return self._answer(self.length())

    def length(self) -> int:
        """The length of what comes next."""
        (length,) = LENGTH.unpack(self.take(bytearray(LENGTH.size)))
        return int(length)

    def piece(self, length: int, into: Any) -> None:
        """A piece of `length` bytes of values; ValueError if they cannot be read."""
        if length == FAILED:
            self._answer(length)
        self.take(into)

    def take(self, into: Any) -> Any:
        """Fill the buffer `into`."""
        assert self._popen.stdout is not None
        view = memoryview(into).cast("B")
        while view:
            got = self._popen.stdout.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise ValueError(self._last_seen())
            view = view[got:]
        return into

    def nonsense(self) -> ValueError:
        """The error for an answer that makes no sense; the child is ended."""
        self.end()
        return ValueError("HDF5 went astray on it")

    def end(self) -> None:
        """Let it go; in a process that was forked since, only forget it."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError, AttributeError):
                pipe.close()  # type: ignore[union-attr]
        if self.process == os.getpid():
            self._popen.kill()
            self._popen.wait()
        else:
            self._popen.returncode = 0

    def _answer(self, length: int) -> _Answer:
        failed = length == FAILED
        if failed:
            length = self.length()
        if not 0 <= length <= _LARGEST_ANSWER:
            raise self.nonsense()
        try:
            answer = _ANSWER.decode(self.take(bytearray(length)))
        except msgspec.MsgspecError:
            raise self.nonsense() from None
        if failed:
            raise ValueError(answer.problem)
        return answer

    def _last_seen(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=5)
        status = self._popen.returncode
        self.end()
        if status == -signal.SIGXCPU:
            return f"HDF5 did not come to an end with it in {SECONDS} s"
        if status is not None and status < 0:
            return f"HDF5 crashed on it ({signal.Signals(-status).name})"
        return "HDF5 did not live through it"


class GuardedFile:
    """An HDF5 file that the child has open."""

    def __init__(self, path: Path, child: Child) -> None:
        self._child = child
        self._number = child.number()
        self._size = path.stat().st_size
        answer = self._ask("open", path=os.fsencode(path.absolute()).hex())
        self.identity = answer.identity

    def shape(self, name: str) -> tuple[int, ...]:
        return self._ask("shape", name=name).shape

    def places(self, name: str) -> NDArray[Any]:
        with self._child.lock:
            return self._numbers(self._ask("places", name=name))

    def attribute(self, name: str) -> str:
        return self._ask("attribute", name=name).text

    def read(self, name: str, where: slice | tuple[()] = ()) -> NDArray[Any]:
        rows = (where.start, where.stop) if isinstance(where, slice) else ()
        with self._child.lock:
            answer = self._ask("read", name=name, where=rows)
            return self._texts(answer) if not answer.dtype else self._numbers(answer)

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            self._ask("close")

    def _ask(self, what: str, **request: Any) -> _Answer:
        if self._child.process != os.getpid():
            raise ValueError("the process that opened it was forked; open it again")
        with self._child.lock:
            return self._child.ask(file=self._number, what=what, **request)

    def _numbers(self, answer: _Answer) -> NDArray[Any]:
        if not _DTYPE.fullmatch(answer.dtype) or min(answer.shape, default=0) < 0:
            raise self._child.nonsense()
        dtype = np.dtype(answer.dtype)
        size = prod(answer.shape) * dtype.itemsize
        if size > DEFLATE_AT_MOST * self._size:
            raise self._child.nonsense()
        values = np.empty(answer.shape, dtype)
        view, at = values.reshape(-1).view(np.uint8).data, 0
        while length := self._child.length():
            if at + length > size:
                raise self._child.nonsense()
            self._child.piece(length, view[at : at + max(0, length)])
            at += length
        if at != size:
            raise self._child.nonsense()
        return values

    def _texts(self, answer: _Answer) -> NDArray[Any]:
        left = self._size
        if min(answer.shape, default=0) < 0 or prod(answer.shape) > left:
            raise self._child.nonsense()
        texts = np.empty(answer.shape, object)
        for i in range(texts.size):
            length = self._child.length()
            left -= max(0, length)
            if left < 0:
                # Texts are not packed, and each is there once.
                raise self._child.nonsense()
            text = bytearray(max(0, length))
            self._child.piece(length, text)
            texts.flat[i] = bytes(text)
        return texts


_serving: Child | None = None
_starting = threading.Lock()


def _child() -> Child:
    global _serving  # noqa: PLW0603 - one child serves the process, however many bundles it reads
    with _starting:
        if _serving is not None and not _serving.alive:
            _serving.end()
            _serving = None
        if _serving is None:
            _serving = Child()
        return _serving


@atexit.register
def _end() -> None:
    if _serving is not None:
        _serving.end()


_TEXT_WINDOW = 1 << 18

T = TypeVar("T")


class FoldedFile:
    """The records of a folded file, by kind and number; arrays are read when asked for.

    Parameters
    ----------
    path : Path
        The ``.simckpt.h5``.
    sealed : bool
        Test the file against its seal. Without that HDF5 meets whatever is there, and `seal`
        says no more than what a sound user block says.
    guarded : bool
        Leave HDF5 to a process of its own where one can be had. A writer, which reads what it
        has itself written, does without.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If it is not a whole bundle of a known version.
    """

    def __init__(self, path: Path, *, sealed: bool = True, guarded: bool = True) -> None:
        self.path = path
        opened = _open_checked if sealed else _open_unchecked
        self.seal, self._file = opened(path, guarded)
        self._known: dict[str, int] = {}
        self._extents: dict[str, Extents | None] = {}
        self._handle = -1
        try:
            self._lengths = {"records/kind": self.seal.records, "records/chain": self.seal.records}
            self.kinds = self.read("records/kind")
            if not np.isin(self.kinds, [*Kind]).all():
                raise self._unfit("records/kind")  # noqa: TRY301 - the file has to be closed
            self._texts = np.flatnonzero(
                (self.kinds != Kind.SAMPLE)
                & (self.kinds != Kind.TILES)
                & (self.kinds != Kind.DOCUMENT)
            )
            self._lengths |= {
                "series": self._count(Kind.SAMPLE),
                "documents": self._count(Kind.DOCUMENT),
                "records/tile_group": self._count(Kind.TILES),
                "records/text_end": len(self._texts),
            }
            self._ends = self.read("records/text_end")
            if np.any(np.diff(self._ends, prepend=0) < 0):
                raise self._unfit("records/text_end")  # noqa: TRY301 - as above
            self._lengths["records/text"] = self.text_bytes()
        except BaseException:
            self.close()
            raise
        self._window = 0, b""

    @property
    def next(self) -> int:
        """The number of the record that would follow."""
        return self.seal.records

    @property
    def chains(self) -> NDArray[np.uint64]:
        return self.read("records/chain")

    def read(self, name: str, where: slice | tuple[()] = ()) -> NDArray[Any]:
        """The array `name`, or the rows `where` of it.

        Raises
        ------
        DamagedBundleError
            If it cannot be read, or is not of the type and length that it must have.
        """
        length = self._lengths.get(name, self._lengths.get(name.partition("/")[0]))
        values = self._guarded(name, lambda: np.asarray(self._file.read(name, where)))
        if where == () and values.ndim:
            # One question less to the process that reads.
            self._known[name] = len(values)
        if length not in (None, self.length(name)) or _code(values.dtype) != _type(name):
            raise self._unfit(name)
        return values

    def length(self, name: str) -> int:
        """The first extent of the array `name`."""
        if name not in self._known:
            self._known[name] = self._guarded(name, lambda: self._file.shape(name)[0])
        return self._known[name]

    @property
    def run_id(self) -> str:
        """The run that the file says it is of."""
        return self._guarded("run_id", lambda: self._file.attribute("run_id"))

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
        texts = self.read(f"documents/{name}").tolist()
        return self._guarded(f"documents/{name}", lambda: [bytes(v).decode() for v in texts])

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
        n = stop - start
        columns = layout.schemas[schema].columns
        values = np.empty((n, len(columns)))
        for i, column in enumerate(columns):
            values[:, i] = self._rows(f"series/{layout.variables[column.name]}", start, (n,))
        words = np.empty((n, layout.schemas[schema].digests if digests else 0), np.uint64)
        for place in layout.slices[schema] if digests else ():
            row = group_rows[place.group]
            words[:, place.start : place.stop] = self.digests(layout, place.group, row, n)
        return SampleBlock(
            schema=schema,
            step=self._rows("series/step", start, (n,)),
            t=self._rows("series/t", start, (n,)),
            wall=self._rows("series/wall", start, (n,)),
            faults=self._rows("series/faults", start, (n,)),
            values=values,
            digests=words,
        )

    def digests(self, layout: Layout, group: int, row: int, n: int) -> NDArray[np.uint64]:
        """Rows `row` to ``row + n`` of the digests of tile group number `group`, ``[n, tiles]``."""
        place = layout.groups[group]
        name = f"tiles/{place.name}/digest"
        if 8 * n * place.tiles.size >= WORTH:
            extents = self._guarded(name, lambda: self._lying(name, place.tiles.size))
            if extents is not None:
                return self._guarded(name, lambda: extents.read(row, n))
        return self._rows(name, row, (n, *place.tiles.shape)).reshape(n, -1)

    def tile_rows(self, layout: Layout, group: int, start: int, stop: int) -> TileBlock:
        """The rows `start` to `stop` of the statistics of tile group number `group`."""
        place, n = layout.groups[group], stop - start
        minimum, maximum, mean = (
            self._rows(f"tiles/{place.name}/{what}", start, (n, *place.tiles.shape))
            for what in ("minimum", "maximum", "mean")
        )
        step = self._rows(f"tiles/{place.name}/snapshot", start, (n,))
        return TileBlock(group, place.tiles.field, step, minimum, maximum, mean)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _lying(self, name: str, width: int) -> Extents | None:
        """Where the array `name` lies, if it can be read without HDF5."""
        if name not in self._extents:
            self._extents[name] = self._found(name, width)
        return self._extents[name]

    def _found(self, name: str, width: int) -> Extents | None:
        if self._handle < 0:
            handle = open_to_read(self.path)
            status = os.fstat(handle)
            if (status.st_dev, status.st_ino) != self._file.identity:
                os.close(handle)
                return None
            self._handle = handle
        rows, *places = self._file.places(name)
        if not places:
            return None
        first = self._file.read(name, slice(0, 1)).reshape(-1)
        # Some releases of HDF5 count from the end of the user block.
        for shift in (0, USER_BLOCK):
            extents = Extents(self._handle, np.array(places, np.int64) + shift, int(rows), width)
            if first.dtype.str == "<u8" and np.array_equal(extents.read(0, 1)[0], first):
                return extents
        return None

    def _rows(self, name: str, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """So many rows of the array `name`, of that shape in all."""
        values = self.read(name, slice(start, start + shape[0]))
        if values.shape != shape:
            raise self._unfit(name)
        return values

    def _count(self, kind: Kind) -> int:
        return int(np.count_nonzero(self.kinds == kind))

    def _unfit(self, name: str) -> DamagedBundleError:
        return DamagedBundleError(self.path, f"the array {name} does not hold what it must", MEND)

    def _guarded(self, name: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except UNREADABLE as problem:
            raise DamagedBundleError(
                self.path, f"{name} cannot be read ({problem})", MEND
            ) from problem


_TYPES = {
    "records/kind": "u1",
    "records/chain": "u8",
    "records/text": "u1",
    "records/text_end": "i8",
    "records/tile_group": "i8",
    "series/step": "i8",
    "series/faults": "i8",
    "documents/hash": "S64",
    "documents/kind": "O",
    "documents/json": "O",
}


def _type(name: str) -> str:
    if not name.startswith("tiles/"):
        return _TYPES.get(name, "f8")
    return {"digest": "u8", "snapshot": "i8"}.get(name.rpartition("/")[2], "f8")


def _code(dtype: np.dtype[Any]) -> str:
    return "O" if dtype.kind == "O" else dtype.newbyteorder("<").str[1:]


def _open_unchecked(path: Path, guarded: bool) -> tuple[Seal, Hdf5Reading]:
    handle = _opened(path)
    try:
        block = os.pread(handle, SEALED, 0)
    finally:
        os.close(handle)
    try:
        file = open_hdf5(path, guarded=guarded)
        records = int(file.shape("records/kind")[0])
    except UNREADABLE as problem:
        raise DamagedBundleError(path, f"HDF5 cannot open it ({problem})") from problem
    try:
        return decode_seal(path, block)._replace(records=records), file
    except (DamagedBundleError, NotABundleError):
        return Seal(0, records, bytes(32), bytes(32)), file


def _opened(path: Path) -> int:
    try:
        return open_to_read(path)
    except FileNotFoundError:
        raise NotABundleError(path, "is not there") from None


def _open_checked(path: Path, guarded: bool) -> tuple[Seal, Hdf5Reading]:
    if guarded:
        prepare()
    # The file may be replaced by its successor between the test and the opening; what HDF5
    # opened has to be the file that was tested.
    for _ in range(10):
        handle = _opened(path)
        try:
            seal = check_seal(path, handle)
            tested = os.fstat(handle)
        finally:
            os.close(handle)
        try:
            file = open_hdf5(path, guarded=guarded)
        except UNREADABLE as problem:
            raise DamagedBundleError(path, f"HDF5 cannot open it ({problem})", MEND) from problem
        if file.identity == (tested.st_dev, tested.st_ino):
            return seal, file
        file.close()
    raise DamagedBundleError(path, "was replaced each time it was opened", "Open it again.")
