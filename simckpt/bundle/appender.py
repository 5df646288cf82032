"""The journal being written: its frames in memory and on storage, and the lease on it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import BundleBusyError, NotABundleError, SetupError
from .files import PART_SUFFIX, LocalFiles, open_to_read
from .framing import (
    FRAME_SIZE,
    HEADER_SIZE,
    LARGEST_ORIGIN,
    InvalidHeader,
    Origin,
    decode_header,
    unpack_frame,
)
from .records import KINDS, Kind

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
    hold_bytes : int
        While storage refuses, so many bytes of records are held in memory; more are refused.
    files : LocalFiles
        Storage.
    clock : callable
        Seconds, for the age of what is buffered.

    Raises
    ------
    SetupError
        If `durability` is neither, or a limit is not positive.
    """

    durability: Durability = "fsync"
    write_bytes: int = 256 << 10
    write_seconds: float = 1.0
    hold_bytes: int = 64 << 20
    files: LocalFiles = field(default_factory=LocalFiles)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.durability not in ("fsync", "flush"):
            raise SetupError(
                "durability", self.durability, "is unknown", choices=("fsync", "flush")
            )
        for name in ("write_bytes", "hold_bytes"):
            if getattr(self, name) < 1:
                raise SetupError(name, getattr(self, name), "is not a positive number of bytes")


# Frames are in memory until storage has confirmed them.
#
#     buffered   encoded, in memory alone
#     written    given to the operating system: outlives the process, not the machine
#     synced     storage has confirmed it; only now is a checkpoint acknowledged
#
# When storage refuses a write or a sync, it is not known which bytes it took; so the next attempt
# cuts the file back to what was synced and writes everything since then again. Nothing is ever
# written after bytes whose fate is unknown, nor behind an end that is not where this writer put
# it: something else wrote to the file then.


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
    path : Path
        The journal.
    handle : int
        Its open file, of which the bytes before `end` are synced.
    header : bytes
        What it begins with.
    end : int
        Where the next frame goes.
    options : WriterOptions
        Storage, and how long to wait for it.

    Attributes
    ----------
    synced : int
        Bytes of the journal that storage has confirmed.
    frames : bytearray
        The frames that are not synced. New ones are added at the end.
    written : int
        Bytes of `frames` that the operating system has.
    """

    def __init__(
        self, path: Path, handle: int, header: bytes, end: int, options: WriterOptions
    ) -> None:
        self.path = path
        self.handle = handle
        self.header = header
        self.synced = end
        self.frames = bytearray()
        self.written = 0
        self._files = options.files
        self._waits = options.durability == "fsync"
        self._doubtful = False
        start = max(0, end - _WITNESS)
        self._witness = self._synced_witness = self._files.read(handle, start, end - start)
        self._folder_pending = True

    def write(self) -> None:
        """Give what is buffered to the operating system.

        Raises
        ------
        JournalAltered
            If the file does not end where it should. Nothing was written then.
        OSError
            If storage refuses.
        """
        if self.written == len(self.frames) and not self._doubtful:
            return
        self._check_end()
        try:
            if self._doubtful:
                self._files.truncate(self.handle, self.synced)
                self.written, self._witness = 0, self._synced_witness
                self._doubtful = False
            data = bytes(memoryview(self.frames)[self.written :])
            self._files.write(self.handle, self.synced + self.written, data)
        except BaseException:
            self._doubtful = True
            raise
        self.written = len(self.frames)
        self._witness = (self._witness + data[-_WITNESS:])[-_WITNESS:]

    def sync(self) -> None:
        """Return once all frames are on storage; OSError if it refuses."""
        self.write()
        if self.frames and self._waits:
            try:
                self._files.fsync(self.handle)
            except BaseException:
                self._doubtful = True
                raise
        if self._folder_pending:
            # The name of a new file is not on storage before its folder is.
            self._files.sync_folder(self.path.parent)
            self._folder_pending = False
        self.synced += len(self.frames)
        self._synced_witness = self._witness
        self.frames.clear()
        self.written = 0

    def check(self) -> None:
        """JournalAltered unless the file begins and ends as it should."""
        self._check_end()
        if self._files.read(self.handle, 0, len(self.header)) != self.header:
            raise JournalAltered

    def records(self) -> Iterator[tuple[Kind, bytes]]:
        """Kind and payload of each record in `frames`."""
        at = 0
        while at < len(self.frames):
            _, _, size, kind, _, _ = unpack_frame(self.frames, at)
            at += FRAME_SIZE + size
            yield KINDS[kind], bytes(self.frames[at - size : at])

    def close(self) -> None:
        """Close the file; what is not written is lost."""
        if self.handle >= 0:
            handle, self.handle = self.handle, -1
            self._files.close(handle)

    def _check_end(self) -> None:
        witness, end = self._witness, self.synced + self.written
        if self._doubtful:
            # What was given to a storage that then refused may be there, or not.
            witness, end = self._synced_witness, self.synced
        data = self._files.read(self.handle, end - len(witness), len(witness) + 1)
        if data[: len(witness)] != witness or (len(data) > len(witness) and not self._doubtful):
            raise JournalAltered


def create_journal(path: Path, header: bytes, options: WriterOptions) -> Appender:
    """A journal where there was none; BundleBusyError if another run made one just now."""
    try:
        handle = options.files.create(path)
    except FileExistsError:
        raise BundleBusyError(path, "another run began this bundle at the same moment") from None
    return _begin(path, handle, header, (), options)


def replace_journal(
    path: Path, header: bytes, options: WriterOptions, frames: Iterable[bytes] = ()
) -> Appender:
    """A journal of `header` and `frames` in the place of the one that is there.

    It is made beside that one, synced, and renamed.
    """
    files = options.files
    part = path.with_name(path.name + PART_SUFFIX)
    appender = _begin(path, files.create(part, replace=True), header, frames, options)
    try:
        files.rename(part, path)
    except BaseException:
        appender.close()
        raise
    # From here on the journal is the new one, even if its folder cannot be synced just now.
    with contextlib.suppress(OSError):
        appender.sync()
    return appender


def _begin(
    path: Path, handle: int, header: bytes, frames: Iterable[bytes], options: WriterOptions
) -> Appender:
    files, end = options.files, 0
    try:
        files.lock(handle)
        for data in (header, *frames):
            files.write(handle, end, data)
            end += len(data)
        files.fsync(handle)
        return Appender(path, handle, header, end, options)
    except BaseException:
        files.close(handle)
        raise


# One writer a bundle: the lock on the journal, and the lease in its header.
#
# The lock is the operating system's, and ends with the process. But a child that the run forked
# has it after the run's death, and some parallel file systems have no locks, or locks that other
# hosts do not see. So the header also names the host, process and its time of birth. A lease whose
# process is dead is void. Whether a process on another host lives cannot be told from here; but
# one that lives writes, so a journal that was written to just now is watched for a moment.
#
# Should both fail, as when a run writes seldom: the later writer puts a new journal in the place,
# which the former finds at its next commit. It then writes no more, and says so.


RECENT = 60.0
"""A journal on another host's lease is watched if it is no older, in seconds."""

WATCH = 2.0
"""Twice as long as a run lets samples wait before it writes them."""


def own_lease(run_id: str) -> Origin:
    """The lease of this process."""
    pid = os.getpid()
    return Origin(run_id=run_id, host=socket.gethostname(), pid=pid, born=_born(pid))


def lease_of(journal: Path) -> Origin | None:
    """The lease in the header of a journal; None if there is none to read.

    Raises
    ------
    FileNotFoundError
        If there is no journal.
    """
    try:
        handle = open_to_read(journal)
    except NotABundleError:
        return None
    try:
        return _lease(handle)
    except OSError:
        return None
    finally:
        os.close(handle)


def writer_lives(journal: Path) -> bool | None:
    """Whether the process that writes a journal is there; None if that cannot be told from here.

    Of a run on another host it cannot.
    """
    try:
        lease = lease_of(journal)
    except FileNotFoundError:
        return False
    if lease is None or lease.host != socket.gethostname():
        return None
    return bool(lease.born) and _born(lease.pid) == lease.born


def lock_journal(journal: Path, files: LocalFiles) -> int | None:
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
        # Another writer may have put a new journal in the place meanwhile: the lock of the old
        # one says nothing of the new.
        if files.is_at(handle, journal):
            return handle
        files.close(handle)


def _lease(handle: int) -> Origin | None:
    try:
        return decode_header(os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN, 0)).origin
    except InvalidHeader:
        return None


def _holder(handle: int, locked: bool | None) -> Origin | None:
    """Who writes the journal, as far as can be told; None if nobody does."""
    lease = _lease(handle)
    if lease is None:
        return Origin(run_id="", host="this host") if locked is False else None
    if lease.host == socket.gethostname():
        # Who has the lock knows better than the header.
        return None if locked or _born(lease.pid) != lease.born else lease
    return lease if locked is False or (lease.host and _grows(handle)) else None


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
