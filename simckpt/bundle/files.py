"""The files of a bundle, and the file operations that durability rests on.

Every byte of a journal, and every step by which an ``.h5`` takes its place, goes through
`LocalFiles`. Tests put a subclass in its place that records the operations, in order to rebuild
each state a power cut could leave, or that fails as a full disk does.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from ..errors import NotABundleError

try:
    import fcntl
except ImportError:  # pragma: no cover - not on POSIX
    fcntl = None  # type: ignore[assignment]


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that is there: no pipe, which would wait for its writer, and no device.

    Raises
    ------
    NotABundleError
        If something else than a file is there.
    OSError
        If it cannot be opened.
    """
    try:
        handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    except IsADirectoryError:
        raise _not_regular(path, stat.S_IFDIR) from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise _not_regular(path, mode)
    return handle


def _not_regular(path: Path, mode: int) -> NotABundleError:
    what = next((name for is_it, name in _FILE_TYPES if is_it(mode)), "no file")
    return NotABundleError(path, f"is {what}", "Name a bundle, or move that elsewhere.")


_FILE_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_to_read(path: Path) -> int:
    """`open_regular` for readers: what storage refuses is a NotABundleError, too.

    Raises
    ------
    NotABundleError
        If it cannot be opened, or is no file.
    FileNotFoundError
        If nothing is there.
    """
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as problem:
        # A ValueError is that of a name which cannot be one.
        reason = getattr(problem, "strerror", None) or problem
        raise NotABundleError(path, f"cannot be read ({reason})") from problem


def copy_regular(source: Path, target: Path) -> None:
    """Copy a file, with its times, to a place that is free; raises as `open_to_read` does."""
    with os.fdopen(open_to_read(source), "rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
    shutil.copystat(source, target)


def set_aside(path: Path) -> Path:
    """A copy of a damaged file beside it, which no later one overwrites."""
    number = 1
    while (copy := path.with_name(f"{path.name}.damaged{number}")).exists():
        number += 1
    try:
        copy_regular(path, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


class LocalFiles:
    """What the writer asks of storage. Every method raises OSError when storage refuses.

    A process forked from the one that made this has the same open files, and must not touch them:
    there every change is refused, and nothing is removed.
    """

    _process: int

    def __new__(cls, *_: object, **__: object) -> Self:
        self = super().__new__(cls)
        self._process = os.getpid()
        return self

    def create(self, path: Path, *, replace: bool = False) -> int:
        """Open a new file for writing; FileExistsError if it is there, unless `replace`."""
        self._check_process()
        # A link that somebody put in the place of a part is not followed to what it names.
        over = os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (over if replace else os.O_EXCL)
        return os.open(path, flags, 0o666)

    def open(self, path: Path) -> int:
        """Open an existing file for writing."""
        self._check_process()
        return open_regular(path, os.O_RDWR)

    def adopt(self, path: Path) -> int:
        """Open a file that a library has just written, to finish and sync it."""
        return self.open(path)

    def lock(self, handle: int) -> bool | None:
        """Take the file's lock without waiting; False if another process has it.

        None if files cannot be locked here.
        """
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
        """Whether the open file is the one at `path`; None if nothing is there."""
        try:
            return os.path.samestat(os.fstat(handle), path.stat())
        except FileNotFoundError:
            return None

    def read(self, handle: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on."""
        return os.pread(handle, size, offset)

    def write(self, handle: int, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""
        if os.getpid() != self._process:
            self._check_process()
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view = view[written:]
            offset += written

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        self._check_process()
        os.ftruncate(handle, size)

    def fsync(self, handle: int) -> None:
        """Return once the file's bytes are on storage."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Close the file."""
        os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` in one step."""
        self._check_process()
        os.replace(source, target)  # noqa: PTH105 - beside the other os calls of this class

    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens if it is not there."""
        if os.getpid() == self._process:
            path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Return once renames, creations and removals in `folder` are on storage."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise OSError(errno.EPERM, "this process was forked from the one that writes")


H5_SUFFIX = ".simckpt.h5"
JOURNAL_SUFFIX = ".simckpt.journal"
PART_SUFFIX = ".part"
"""Added to a name while the file is being written; never read, and overwritten by the next."""


@dataclass(frozen=True)
class BundlePaths:
    """The files of one bundle.

    Attributes
    ----------
    stem : Path
        What the names have in common: ``runs/kh``.
    h5 : Path
        ``runs/kh.simckpt.h5``, always whole where it exists.
    journal : Path
        ``runs/kh.simckpt.journal``, there while the run goes on, or after it was killed.
    """

    stem: Path

    @property
    def h5(self) -> Path:
        return self.stem.with_name(self.stem.name + H5_SUFFIX)

    @property
    def journal(self) -> Path:
        return self.stem.with_name(self.stem.name + JOURNAL_SUFFIX)

    def exists(self) -> bool:
        """Whether either file is there; raises as `is_there` does."""
        return is_there(self.h5) or is_there(self.journal)

    def absolute(self) -> BundlePaths:
        """The same files, wherever the program goes afterwards."""
        return BundlePaths(self.stem.absolute())


def is_there(path: Path) -> bool:
    """Whether something is at `path`; NotABundleError where the system cannot tell."""
    try:
        return path.exists()
    except OSError as problem:
        long = problem.errno == errno.ENAMETOOLONG
        mend = "Choose a shorter name." if long else f"Check that {path.parent} is yours to read."
        raise NotABundleError(path, f"cannot be looked at ({problem.strerror})", mend) from problem
    except ValueError as problem:
        raise NotABundleError(path, f"cannot be a file's name ({problem})") from problem


def bundle_paths(path: str | os.PathLike[str]) -> BundlePaths:
    """The files of the bundle that `path` names.

    ``runs/kh``, ``runs/kh.h5``, ``runs/kh.simckpt``, ``runs/kh.simckpt.h5`` and
    ``runs/kh.simckpt.journal`` all name the same bundle.

    Raises
    ------
    NotABundleError
        If it has no name, as ``.`` has none.
    """
    target = Path(path)
    name = target.name
    if name in ("", ".."):
        raise NotABundleError(target, "is a folder; name a bundle in it")
    for suffix in (
        H5_SUFFIX + PART_SUFFIX,
        JOURNAL_SUFFIX + PART_SUFFIX,
        H5_SUFFIX,
        JOURNAL_SUFFIX,
        ".simckpt",
        ".h5",
    ):
        if name.endswith(suffix) and len(name) > len(suffix):
            return BundlePaths(target.with_name(name.removesuffix(suffix)))
    return BundlePaths(target)


def near_matches(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of bundles in the folder of `path` that resemble it, or all if there are few."""
    stem = bundle_paths(path).stem
    try:
        names = {n for n in os.listdir(stem.parent) if n.endswith((H5_SUFFIX, JOURNAL_SUFFIX))}  # noqa: PTH208 - the folder is only listed, and may be unreadable
    except OSError:
        return ()
    stems = sorted({bundle_paths(n).stem.name for n in names})
    close = stems if len(stems) <= 3 else get_close_matches(stem.name, stems, n=3, cutoff=0.5)
    return tuple(
        stem + H5_SUFFIX if stem + H5_SUFFIX in names else stem + JOURNAL_SUFFIX for stem in close
    )
