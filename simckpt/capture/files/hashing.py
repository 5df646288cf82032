"""Content hashes of files that other programs may still be writing."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import blake3

from ...model.record import Hash

BLOCK = 8 * 2**20
PARALLEL_FROM = 2**20
"""Bytes from which more than one thread is worth its start."""


@dataclass(frozen=True)
class FileHash:
    """A file as it was when it was hashed; `hash` is None if it changed meanwhile."""

    size: int
    mtime: float
    hash: Hash | None
    problem: str = ""


class TimeUsedUp(Exception):
    """The time for hashing was over before the file was."""


def hash_file(path: Path, deadline: float = float("inf")) -> FileHash:
    """BLAKE3 of a file's bytes, by as many threads as there are cores for a large one.

    Parameters
    ----------
    path : Path
        A regular file; OSError if it cannot be read.
    deadline : float
        In the time of `time.monotonic`; past it, `TimeUsedUp`.

    Notes
    -----
    The file is read block by block and not mapped into memory: a mapped file that somebody
    truncates, or whose server goes away, kills the process with SIGBUS.
    """
    with open_regular(path) as file:
        before = os.fstat(file.fileno())
        if before.st_size <= PARALLEL_FROM:
            # One read past the size tells a file that grew meanwhile.
            content = file.read(before.st_size + 1)
            digest = blake3.blake3(content).hexdigest()
        else:
            digest = _hash_blocks(file, before.st_size, deadline)
        after = os.stat(path)  # noqa: PTH116 - by name: a file that was replaced has changed too
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ino,
    ):
        return FileHash(after.st_size, after.st_mtime, None, "changed while it was read")
    return FileHash(before.st_size, before.st_mtime, digest)


def content_hasher() -> blake3.blake3:
    """A hasher on as many threads as may be; on one in a forked process, which has no others."""
    return blake3.blake3(max_threads=_threads)


def _alone() -> None:
    global _threads  # noqa: PLW0603 - the library's threads are one pool of the process
    _threads = 1


_threads: int = blake3.blake3.AUTO
os.register_at_fork(after_in_child=_alone)


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading; OSError for anything else, on which a reader may wait."""
    file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(None, "not a regular file", None)
    return file


def _hash_blocks(file: object, size: int, deadline: float) -> Hash:
    hasher = content_hasher()
    block = memoryview(bytearray(min(BLOCK, size)))
    while True:
        n = file.readinto(block)  # type: ignore[attr-defined]
        if not n:
            return str(hasher.hexdigest())
        hasher.update(block[:n])
        if time.monotonic() > deadline:
            raise TimeUsedUp
