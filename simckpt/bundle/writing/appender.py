"""The journal being written: frames held until storage has confirmed them.

    buffered   encoded, in memory alone
    written    given to the operating system: outlives the process, not the machine
    synced     storage has confirmed it; only now is a checkpoint acknowledged

Frames stay in memory until they are synced. When storage refuses a write or a sync, it is not
known which bytes it kept; so the next attempt cuts the file back to what was synced and writes
everything since then again. Nothing is ever written after bytes whose fate is unknown, nor
behind an end that is not where this writer put it: something else wrote to the file then.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from ..files import FileSystem
from ..format.framing import encode_frame
from .options import Durability

_WITNESS = 64
"""Bytes at the end of what was written that tell whether it is still there."""


class JournalAltered(OSError):
    """Something else has cut or overwritten the journal that is being written."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "something else has cut or overwritten the journal")


class Appender:
    """One open journal.

    Parameters
    ----------
    files : FileSystem
        Storage.
    path : Path
        The journal.
    handle : int
        Its open file, of which the bytes before `end` are synced.
    header : bytes
        What it begins with.
    end : int
        Where the next frame goes.
    durability : {"fsync", "flush"}
        With ``"flush"``, `sync` leaves the time of writing to the operating system.

    Attributes
    ----------
    folder_pending : bool
        The file's name in its folder is not on storage yet: the next `sync` sees to it.
    """

    def __init__(
        self,
        files: FileSystem,
        path: Path,
        handle: int,
        header: bytes,
        end: int,
        durability: Durability,
    ) -> None:
        self._files = files
        self.path = path
        self.header = header
        self._handle = handle
        self._durability = durability
        self._synced = end
        self._frames = bytearray()
        self._written = 0
        self._doubtful = False
        self._witness = files.read(handle, max(0, end - _WITNESS), min(end, _WITNESS))
        self.folder_pending = True

    @property
    def handle(self) -> int:
        """The open file."""
        return self._handle

    @property
    def synced(self) -> int:
        """Bytes of the journal that storage has confirmed."""
        return self._synced

    @property
    def held(self) -> int:
        """Bytes of frames in memory that are not synced."""
        return len(self._frames)

    @property
    def buffered(self) -> int:
        """Bytes of frames that the operating system has not got."""
        return len(self._frames) - self._written

    @property
    def size(self) -> int:
        """Bytes of the journal once all is written."""
        return self._synced + len(self._frames)

    @property
    def frames(self) -> bytes:
        """Those frames."""
        return bytes(self._frames)

    def add(self, kind: int, sequence: int, chain: int, payload: bytes) -> None:
        """Hold the frame of a record."""
        self._frames += encode_frame(kind, sequence, chain, payload)

    def write(self) -> None:
        """Give what is buffered to the operating system.

        Raises
        ------
        JournalAltered
            If the file does not end where it should. Nothing was written then.
        OSError
            If storage refuses.
        """
        if self.buffered or self._doubtful:
            self._check_end()
        if self._doubtful:
            self._attempt(self._cut_back)
        if self.buffered:
            self._attempt(self._write)

    def sync(self) -> None:
        """Return once all frames are on storage; OSError if it refuses."""
        self.write()
        if self._frames and self._durability == "fsync":
            self._attempt(lambda: self._files.fsync(self._handle))
        if self.folder_pending:
            self._files.sync_folder(self.path.parent)
            self.folder_pending = False
        self._synced += len(self._frames)
        self._witness = self._seen(len(self._frames))
        self._frames.clear()
        self._written = 0

    def check(self) -> None:
        """JournalAltered unless the file begins and ends as it should."""
        self._check_end()
        if self._files.read(self._handle, 0, len(self.header)) != self.header:
            raise JournalAltered

    def _check_end(self) -> None:
        # What was given to a storage that then refused may be there, or not.
        written = 0 if self._doubtful else self._written
        seen, end = self._seen(written), self._synced + written
        there = self._files.read(self._handle, end - len(seen), len(seen) + 1)
        if there[: len(seen)] != seen or (len(there) > len(seen) and not self._doubtful):
            raise JournalAltered

    def _seen(self, written: int) -> bytes:
        """The last bytes of the file, when so many bytes of frames are written."""
        if written >= _WITNESS:
            return bytes(memoryview(self._frames)[written - _WITNESS : written])
        return (self._witness + self._frames[:written])[-_WITNESS:]

    def close(self) -> None:
        """Give the file back; what is not written is lost."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            self._files.close(handle)

    def _write(self) -> None:
        data = bytes(memoryview(self._frames)[self._written :])
        self._files.write(self._handle, self._synced + self._written, data)
        self._written = len(self._frames)

    def _cut_back(self) -> None:
        self._files.truncate(self._handle, self._synced)
        self._written = 0
        self._doubtful = False

    def _attempt(self, operation: Callable[[], None]) -> None:
        try:
            operation()
        except BaseException:
            self._doubtful = True
            raise
