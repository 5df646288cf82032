"""One writer a bundle: the lock on the journal, and the lease in its header.

The lock is the operating system's, and goes with the process. But a child that the run forked
keeps it after the run's death, and some parallel file systems have no locks. So the header also
names the host, process and its time of birth, and a lease whose process is dead is void.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ..errors import BundleBusyError
from .files import FileSystem
from .framing import HEADER_SIZE, LARGEST_ORIGIN, InvalidHeader, Origin, decode_header


def own_lease(run_id: str) -> Origin:
    """The lease of this process."""
    pid = os.getpid()
    return Origin(run_id=run_id, host=socket.gethostname(), pid=pid, born=_born(pid))


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
        if not files.lock(handle) and (holder := _live_holder(handle)):
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


def _live_holder(handle: int) -> Origin | None:
    try:
        origin = decode_header(os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN, 0)).origin
    except InvalidHeader:
        return Origin(run_id="", host="this host")
    dead = origin.host == socket.gethostname() and _born(origin.pid) != origin.born
    return None if dead else origin


def _born(pid: int) -> str:
    """When a process was started, in clock ticks since boot; empty if it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
