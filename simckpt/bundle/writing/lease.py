"""One writer a bundle: the lock on the journal, and the lease in its header.

The lock is the operating system's, and goes with the process. But a child that the run forked
keeps it after the run's death, and some parallel file systems have no locks, or locks that other
hosts do not see. So the header also names the host, process and its time of birth. A lease whose
process is dead is void. Of a process on another host nobody here can tell; but who lives writes,
so a journal that was written to just now is watched for a moment.

Should both be taken in, as it is when a run writes seldom: the later one puts a new journal in the
place, which the former finds at its next commit. It then writes no more, and says so.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from ...errors import BundleBusyError, NotABundleError
from ..files import FileSystem, open_to_read
from ..format.framing import HEADER_SIZE, LARGEST_ORIGIN, InvalidHeader, Origin, decode_header

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


def take(journal: Path, files: FileSystem) -> int | None:
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
