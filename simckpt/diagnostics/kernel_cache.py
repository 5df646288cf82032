"""Where compiled kernels are kept: a folder for each version of their source.

Numba looks at the age of a function's own file only. A kernel whose callee has changed in another
file, or a package that was installed over an older one, would be answered with stale code; so the
folder's name holds a hash of all kernel sources.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..errors import SetupError, SimckptWarning

KERNELS = Path(__file__).parent / "kernels"


@cache
def source_hash() -> str:
    """16 hexadecimal digits that change with any kernel's source."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(KERNELS.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def cache_folder() -> Path:
    """The folder of this version's kernels.

    It lies in SIMCKPT_CACHE_DIR, else in NUMBA_CACHE_DIR, else in the user's cache folder.
    """
    base = os.environ.get("SIMCKPT_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    if not base:
        users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - does not raise without a home
        if users.startswith("~"):
            # Of a user without a home; a folder of that name must not appear where the run is.
            users = "/nonexistent/.cache"
        base = str(Path(users) / "simckpt")
    return Path(base) / f"kernels-{source_hash()}"


class CacheCondition:
    """What this process has found wrong with the cache; it has the kernels in any case."""

    def __init__(self) -> None:
        self._refusal = ""
        self._damage = ""
        self._files = 0
        self._last_text = ""

    def damaged(self, path: Path, error: Exception) -> None:
        """A file could not be used, and has been discarded where that is allowed."""
        self._files += 1
        self._damage = self._damage or f"{path.name}: {_text(error)}"

    def refused(self, error: Exception) -> None:
        """A kernel could not be kept."""
        self._refusal = self._refusal or _text(error)

    @property
    def unkept(self) -> str:
        """Why kernels could not be kept, and the mend; empty if they could."""
        if not self._refusal:
            return ""
        return (
            f"the kernel cache {cache_folder()} cannot be written to ({self._refusal}): every "
            "process compiles anew what is not in it. Mend that, or set SIMCKPT_CACHE_DIR to a "
            "folder that can be written to, and run `simckpt warm`"
        )

    @property
    def mended(self) -> str:
        """What was damaged and is compiled anew; empty if nothing was."""
        if not self._files:
            return ""
        first = f"{self._damage}{' and others' if self._files > 1 else ''}"
        return (
            f"the kernel cache {cache_folder()} held what is damaged ({first}): that is not "
            "used, and compiled anew. If this is said again, remove the folder and run "
            "`simckpt warm`"
        )

    def say(self) -> None:
        """Warn of what was found since it was last said; never raises."""
        text = ". ".join(part for part in (self.mended, self.unkept) if part)
        if text == self._last_text:
            return
        self._last_text = text
        try:
            warnings.warn(text, SimckptWarning, stacklevel=4)
        except SimckptWarning:
            # Where warnings are errors, this one would cost this rank, and no other, its samples.
            sys.stderr.write(f"simckpt: {text}\n")


condition = CacheCondition()


def _text(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else error
    return " ".join(f"{type(error).__name__}: {text}".split())[:200]


# Compiled kernels, made once on each node: one process compiles, the others wait and load.


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


# How many threads share the work of a sample on one rank.


VARIABLE = "SIMCKPT_THREADS"
MOST = 1024


def threads_wanted() -> int:
    """The number of threads that SIMCKPT_THREADS asks for; 1 without it.

    Raises
    ------
    SetupError
        If it is something else than a number of threads.
    """
    text = os.environ.get(VARIABLE, "1")
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= MOST:
        raise SetupError(
            VARIABLE,
            text,
            f"is not a number of threads from 1 to {MOST}",
            mend=f"Set the environment variable to a number, or unset it: unset {VARIABLE}.",
        )
    return int(text)
