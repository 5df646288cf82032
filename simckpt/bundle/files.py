"""The file operations that durability rests on, behind one small seam.

Every byte of a journal, and every step by which a folded file takes its place, goes through a
`FileSystem`. Tests put a twin in its place that records the operations, in order to rebuild
each state a power cut could leave, or that fails as a full disk does.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import Protocol

try:
    import fcntl
except ImportError:  # pragma: no cover - not on POSIX
    fcntl = None  # type: ignore[assignment]


class FileSystem(Protocol):
    """What the writer asks of storage. Every method raises OSError when storage refuses."""

    @abstractmethod
    def create(self, path: Path, *, replace: bool = False) -> int:
        """Open a new file for writing; FileExistsError if it is there, unless `replace`."""

    @abstractmethod
    def open(self, path: Path) -> int:
        """Open an existing file for writing."""

    @abstractmethod
    def lock(self, handle: int) -> bool | None:
        """Take the file's lock without waiting; False if another process has it.

        None if files cannot be locked here.
        """

    @abstractmethod
    def is_at(self, handle: int, path: Path) -> bool | None:
        """Whether the open file is the one at `path`; None if nothing is there."""

    @abstractmethod
    def read(self, handle: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on."""

    @abstractmethod
    def write(self, handle: int, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""

    @abstractmethod
    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to `size` bytes."""

    @abstractmethod
    def fsync(self, handle: int) -> None:
        """Return once the file's bytes are on storage."""

    @abstractmethod
    def close(self, handle: int) -> None:
        """Give the handle back."""

    @abstractmethod
    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` in one step."""

    @abstractmethod
    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens if it is not there."""

    @abstractmethod
    def sync_folder(self, folder: Path) -> None:
        """Return once renames, creations and removals in `folder` are on storage."""

    @abstractmethod
    def adopt(self, path: Path) -> int:
        """Open a file that a library has just written, to finish and sync it."""


class LocalFiles:
    """The real file system."""

    def create(self, path: Path, *, replace: bool = False) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replace else os.O_EXCL)
        return os.open(path, flags, 0o666)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def lock(self, handle: int) -> bool | None:
        if fcntl is None:  # pragma: no cover - not on POSIX
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some parallel file systems have no locks; the run matters more than the lock.
            return None
        return True

    def is_at(self, handle: int, path: Path) -> bool | None:
        try:
            return os.path.samestat(os.fstat(handle), path.stat())
        except FileNotFoundError:
            return None

    def read(self, handle: int, offset: int, size: int) -> bytes:
        return os.pread(handle, size, offset)

    def write(self, handle: int, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view = view[written:]
            offset += written

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def fsync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)  # noqa: PTH105 - beside the other os calls of this seam

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def adopt(self, path: Path) -> int:
        return self.open(path)
