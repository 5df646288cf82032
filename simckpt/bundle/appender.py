"""The journal being written: its frames in memory and on storage, and the lease on it."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import BundleBusyError, NotABundleError, SetupError
from ..model.series import Event
from .files import FileSystem, LocalFiles, open_to_read
from .framing import (
    HEADER_SIZE,
    LARGEST_ORIGIN,
    InvalidHeader,
    Origin,
    decode_header,
    encode_frame,
)

Durability = Literal["fsync", "flush"]


@dataclass(frozen=True, kw_only=True)
class WriterOptions:
    """Settings of a `BundleWriter`.

    Parameters
    ----------
    durability : {"fsync", "flush"}
        Whether a commit waits for storage, or only for the operating system: ``"flush"``
        survives a killed process, not a power cut.
    write_bytes, write_seconds : int, float
        What is appended goes to the operating system once so many bytes are buffered, or at an
        append so long after the last time.
    fold_bytes : int
        The journal is folded when it is larger than this and than the folded file.
    fold_share, fold_seconds : float
        A fold under way takes at most this share of the time, and so many seconds in one go.
    hold_bytes : int
        While storage refuses, so many bytes of records are held in memory; more are refused.
    files : FileSystem
        Storage.
    clock : callable
        Seconds, for the age of what is buffered.

    Raises
    ------
    SetupError
        If `durability` is neither, or a bound is not positive.
    """

    durability: Durability = "fsync"
    write_bytes: int = 256 << 10
    write_seconds: float = 1.0
    fold_bytes: int = 8 << 20
    fold_share: float = 0.1
    fold_seconds: float = 0.005
    hold_bytes: int = 64 << 20
    files: FileSystem = field(default_factory=LocalFiles)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.durability not in ("fsync", "flush"):
            raise SetupError(
                "durability", self.durability, "is unknown", choices=("fsync", "flush")
            )
        if not (self.fold_share > 0.0 and self.fold_seconds > 0.0):
            raise SetupError(
                "fold_share, fold_seconds",
                (self.fold_share, self.fold_seconds),
                "are not positive: no fold would ever end",
            )
        for name in ("write_bytes", "fold_bytes", "hold_bytes"):
            if getattr(self, name) < 1:
                raise SetupError(name, getattr(self, name), "is not a positive number of bytes")


# The journal being written: frames held until storage has confirmed them.
#
#     buffered   encoded, in memory alone
#     written    given to the operating system: outlives the process, not the machine
#     synced     storage has confirmed it; only now is a checkpoint acknowledged
#
# Frames stay in memory until they are synced. When storage refuses a write or a sync, it is not
# known which bytes it kept; so the next attempt cuts the file back to what was synced and writes
# everything since then again. Nothing is ever written after bytes whose fate is unknown, nor
# behind an end that is not where this writer put it: something else wrote to the file then.


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


# One writer a bundle: the lock on the journal, and the lease in its header.
#
# The lock is the operating system's, and goes with the process. But a child that the run forked
# keeps it after the run's death, and some parallel file systems have no locks, or locks that other
# hosts do not see. So the header also names the host, process and its time of birth. A lease whose
# process is dead is void. Of a process on another host nobody here can tell; but who lives writes,
# so a journal that was written to just now is watched for a moment.
#
# Should both be taken in, as it is when a run writes seldom: the later one puts a new journal in
# the place, which the former finds at its next commit. It then writes no more, and says so.


RECENT = 60.0
"""A journal on another host's lease is watched if it is no older, in seconds."""

WATCH = 2.0
"""Twice as long as a run lets samples wait before it writes them."""


def own_lease(run_id: str) -> Origin:
    """The lease of this process."""
    pid = os.getpid()
    return Origin(run_id=run_id, host=socket.gethostname(), pid=pid, born=_born(pid))


def writer_lives(journal: Path) -> bool | None:
    """Whether the process that writes a journal is there; None if that cannot be told from here.

    Of a run on another host nobody here can tell.
    """
    try:
        handle = open_to_read(journal)
    except FileNotFoundError:
        return False
    except NotABundleError:
        return None
    try:
        origin = decode_header(os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN, 0)).origin
    except (InvalidHeader, OSError):
        return None
    finally:
        os.close(handle)
    if origin.host != socket.gethostname():
        return None
    return bool(origin.born) and _born(origin.pid) == origin.born


def lock_journal(journal: Path, files: FileSystem) -> int | None:
    """Open and lock the journal; None if there is none.

    Raises
    ------
    BundleBusyError
        If another live process writes it.
    OSError
        If it cannot be opened for writing.
    """
    while True:
        try:
            handle = files.open(journal)
        except FileNotFoundError:
            return None
        if holder := _holder(handle, files.lock(handle)):
            files.close(handle)
            raise BundleBusyError(
                journal,
                f"is being written by process {holder.pid} on {holder.host}",
                "Wait until it has ended, or choose another path.",
            )
        # A writer that folds puts a new journal in the place of the one it holds: the lock of
        # the old one says nothing of the new.
        if files.is_at(handle, journal):
            return handle
        files.close(handle)


def _holder(handle: int, locked: bool | None) -> Origin | None:
    """Who writes the journal, as far as can be told; None if nobody does."""
    try:
        origin = decode_header(os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN, 0)).origin
    except InvalidHeader:
        return Origin(run_id="", host="this host") if locked is False else None
    if origin.host == socket.gethostname():
        # Who has the lock knows better than the header.
        return None if locked or _born(origin.pid) != origin.born else origin
    return origin if locked is False or (origin.host and _grows(handle)) else None


def _grows(handle: int) -> bool:
    before = os.fstat(handle)
    if time.time() - before.st_mtime > RECENT:
        return False
    until = time.monotonic() + WATCH
    while time.monotonic() < until:
        time.sleep(0.05)
        now = os.fstat(handle)
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return True
    return False


def _born(pid: int) -> str:
    """When a process was started, in clock ticks since boot; empty if it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


# Samples that were refused because storage failed for too long, and how the bundle says so.


class Losses:
    """What was lost since it was last said.

    Attributes
    ----------
    lost : int
        Samples and rows of tiles that were refused, in all.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._missing: tuple[int, ...] = ()

    def note(self, step: int) -> None:
        """One of `step` was refused."""
        self.lost += 1
        self._missing = (*self._missing[:1], step)

    def said(self, wall: float, trouble: str) -> tuple[Event, ...]:
        """The event that says what was lost since the last one, if anything was."""
        if not self._missing:
            return ()
        first, last = self._missing[0], self._missing[-1]
        self._missing = ()
        return (
            Event(
                name="samples_lost",
                severity="error",
                step=first,
                wall=wall,
                text=f"samples of the steps {first} to {last} were lost: storage refused them "
                f"for too long ({trouble})",
                facts={"first": first, "last": last, "lost": self.lost},
            ),
        )
