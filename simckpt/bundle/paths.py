"""Where the files of a bundle lie: one stem, and a name for each file beside it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..errors import NotABundleError

FOLDED = ".simckpt.h5"
JOURNAL = ".simckpt.journal"
PART = ".part"
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
        return self.stem.with_name(self.stem.name + FOLDED)

    @property
    def journal(self) -> Path:
        return self.stem.with_name(self.stem.name + JOURNAL)

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
    given = Path(path)
    name = given.name
    if name in ("", ".."):
        raise NotABundleError(given, "is a folder; name a bundle in it")
    for suffix in (FOLDED + PART, JOURNAL + PART, FOLDED, JOURNAL, ".simckpt", ".h5"):
        if name.endswith(suffix) and len(name) > len(suffix):
            return BundlePaths(given.with_name(name.removesuffix(suffix)))
    return BundlePaths(given)


def near_matches(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of bundles in the folder of `path` that resemble it, or all if there are few."""
    wanted = bundle_paths(path).stem
    try:
        names = {n for n in os.listdir(wanted.parent) if n.endswith((FOLDED, JOURNAL))}  # noqa: PTH208 - the folder is only listed, and may be unreadable
    except OSError:
        return ()
    stems = sorted({bundle_paths(n).stem.name for n in names})
    close = stems if len(stems) <= 3 else get_close_matches(wanted.name, stems, n=3, cutoff=0.5)
    return tuple(stem + FOLDED if stem + FOLDED in names else stem + JOURNAL for stem in close)
