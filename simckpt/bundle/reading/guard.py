"""Reading HDF5 in a process of its own, so that a forged file harms nobody.

A folded file whose seal was made to fit what was altered inside is parsed by the HDF5 library,
which was not made for enemies: such a file can make it loop, take all memory or crash. So a
reader leaves that to a child that may take little time and memory, and that gives back numbers
and text, nothing else. The child starts while the file's checksum is tested, and serves all
bundles that this process opens.

Inside an MPI program no process may be started. There a run reads its own bundle, in place.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from itertools import count
from math import prod
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..format import hdf5_file
from ..format.hdf5_file import DEFLATE_AT_MOST, FAILED, LENGTH, SECONDS, Hdf5File

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
