"""Compiled kernels, made once on each node: one process compiles, the others wait and load."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from .cache import cache_folder, condition

PATIENCE = 120.0
"""Seconds after which a process compiles for itself: whoever holds the lock may be stuck."""

POLL = 0.02


def lock_path() -> Path:
    """The lock file, beside the kernels: where it cannot be made, waiting would leave nothing."""
    folder = cache_folder()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder / "lock"


@contextlib.contextmanager
def one_at_first(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Let one process in alone; those that come meanwhile wait for it and then go in together.

    Never fails: where files cannot be locked, or the wait is too long, everybody goes in. What was
    found wrong with the cache is said by those that did not wait.
    """
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        condition.say()
        return
    try:
        alone = _locked(descriptor, fcntl.LOCK_EX)
        if not alone:
            until = time.monotonic() + patience
            while not _locked(descriptor, fcntl.LOCK_SH) and time.monotonic() < until:
                time.sleep(POLL)
        yield
        if alone:
            condition.say()
    finally:
        os.close(descriptor)


def _locked(descriptor: int, kind: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def warm_kernels() -> float:
    """Compile the kernels, or load them from the cache; returns the seconds that it took.

    Examples
    --------
    >>> warm_kernels() >= 0
    True
    """
    begin = time.perf_counter()
    with one_at_first(lock_path()):
        from .sampler import ready_grids, ready_ids

        ready_grids()
        ready_ids()
    return time.perf_counter() - begin
