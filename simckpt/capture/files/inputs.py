"""Input files by content: found by pattern, each content hashed once."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ...model.manifest import InputFile
from ...model.record import Hash
from ..probes import reason_of
from ..secrets.redaction import redact_text
from ..values import clean_text
from .hashing import FileHash, TimeUsedUp, hash_file

Contents = Callable[[Path], dict[str, Hash] | None]
"""Hashes of a file's variables, or None for a file that has no such."""

HASHING_LIMIT = 120.0
"""Seconds for hashing all inputs; what is left is named and not hashed."""

MOST_FILES = 10_000


def no_contents(_path: Path) -> dict[str, Hash] | None:
    """The reader of contents that knows no format."""
    return None


def capture_inputs(
    patterns: Iterable[str | os.PathLike[str]],
    contents: Contents = no_contents,
    limit: float = HASHING_LIMIT,
) -> tuple[InputFile, ...]:
    """The files that `patterns` name, with size, time and BLAKE3.

    Parameters
    ----------
    patterns : iterable of str or Path
        Paths, patterns with ``*``, ``?``, ``[...]`` and ``**``, or folders, whose files are
        all taken.
    contents : callable
        Hashes of the variables inside a file, where its format is known.
    limit : float
        Seconds for all hashing together.

    Returns
    -------
    tuple of InputFile
        Sorted by path. What cannot be found or read is there too and has a `problem`.
    """
    deadline = time.monotonic() + limit
    seen: dict[tuple[int, int], tuple[FileHash, dict[str, Hash] | None, str]] = {}
    result: dict[str, InputFile] = {}
    for pattern in patterns:
        text = os.fspath(pattern)
        if "://" in text:
            result[text] = InputFile(path=_shown(text), problem="not a local file: not hashed")
            continue
        for name in matches(text):
            if name not in result:
                result[name] = _one(name, contents, seen, deadline)
            if len(result) >= MOST_FILES:
                more = InputFile(
                    path=_shown(text), problem=f"more than {MOST_FILES} files: the rest is left out"
                )
                return (*(result[n] for n in sorted(result)), more)
    return tuple(result[name] for name in sorted(result))


def matches(pattern: str) -> Iterator[str]:
    """The files that a pattern names; the pattern itself where there is none."""
    pattern = os.path.expanduser(pattern)  # noqa: PTH111 - patterns are not paths
    # A file whose name has brackets in it is meant as such.
    names = [pattern] if os.path.lexists(pattern) else _expand(pattern)
    found = False
    for name in names:
        if Path(name).is_dir():
            for folder, folders, files in os.walk(name):
                folders.sort()
                # A link to a folder may lead round in a circle: it is named and not followed.
                links = [f for f in folders if Path(folder, f).is_symlink()]
                for file in sorted([*files, *links]):
                    found = True
                    yield os.path.join(folder, file)  # noqa: PTH118 - keeps the user's form
        else:
            found = True
            yield name
    if not found:
        yield pattern


def _expand(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob drops "./" and "../"


def _one(
    name: str,
    contents: Contents,
    seen: dict[tuple[int, int], tuple[FileHash, dict[str, Hash] | None, str]],
    deadline: float,
) -> InputFile:
    path = Path(name)
    try:
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        if identity not in seen:
            seen[identity] = _read(path, contents, deadline)
    except FileNotFoundError:
        magic = glob.has_magic(name)
        problem = "no file has a name like this" if magic else "there is no such file"
        return InputFile(path=_shown(name), problem=problem)
    except TimeUsedUp:
        problem = "not hashed: the time for hashing inputs was used up"
        return InputFile(
            path=_shown(name), size=status.st_size, mtime=status.st_mtime, problem=problem
        )
    except OSError as error:
        return InputFile(path=_shown(name), problem=reason_of(error))
    told, inside, problem = seen[identity]
    return InputFile(
        path=_shown(name),
        size=told.size,
        mtime=told.mtime,
        hash=told.hash,
        contents=inside,
        problem=told.problem or problem,
    )


def _read(
    path: Path, contents: Contents, deadline: float
) -> tuple[FileHash, dict[str, Hash] | None, str]:
    if not path.is_file():
        raise OSError(None, _no_file(path), None)
    if time.monotonic() > deadline:
        raise TimeUsedUp
    told = hash_file(path, deadline)
    inside, problem = read_contents(path, contents)
    return told, inside, problem


def _no_file(path: Path) -> str:
    if not path.is_dir():
        return "not a regular file"
    if path.is_symlink():
        return "a link to a folder, which is not followed: give that folder too"
    return "the folder is empty"


def read_contents(path: Path, contents: Contents) -> tuple[dict[str, Hash] | None, str]:
    """The hashes of a file's variables, or None and why there are none."""
    try:
        return contents(path), ""
    except Exception as error:  # noqa: BLE001 - a damaged file may make its reader raise anything
        return None, f"contents: {reason_of(error)}"


def _shown(name: str) -> str:
    return redact_text(clean_text(name))
