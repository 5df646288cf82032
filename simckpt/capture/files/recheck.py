"""Whether outputs are still what the artifact index says they are.

An index comes from a bundle, and a bundle may come from anybody. So that a path in it cannot
lead to another place, only files below the folder that the user named are looked at, links
resolved; what lies elsewhere is named and left alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from ...model.artifact import Artifact, ArtifactIndex
from ...model.record import Hash, Record
from ..probes import reason_of
from ..secrets.redaction import REDACTED
from .hashing import hash_file
from .inputs import Contents, no_contents, read_contents

OutputStatus = Literal[
    "same", "same-contents", "changed", "missing", "unreadable", "outside", "not-indexed"
]

HOLDS: frozenset[OutputStatus] = frozenset({"same", "same-contents"})
"""What an output may be without a word of warning."""

_ESCAPE = re.compile(r"\\u(dc[89a-f][0-9a-f])")


class CheckedOutput(Record, frozen=True, kw_only=True):
    """One output, held against the index.

    Parameters
    ----------
    status : str
        ``same`` bytes; ``same-contents``, which is other bytes with equal variables (an HDF5 or
        netCDF file that was written again); ``changed``; ``missing``; ``unreadable``;
        ``outside`` of the folder, and not looked at; ``not-indexed``, where the run saw the file
        only while it was still changing, so that there is nothing to hold it against.
    variables : tuple of str
        Those that differ, where both are known.
    hash : Hash or None
        That of the file now, where it was read.
    problem : str
        A few words for a person.
    """

    path: str
    status: OutputStatus
    variables: tuple[str, ...] = ()
    hash: Hash | None = None
    problem: str = ""

    @property
    def holds(self) -> bool:
        return self.status in HOLDS


def check_outputs(
    index: ArtifactIndex, folder: Path, contents: Contents = no_contents
) -> tuple[CheckedOutput, ...]:
    """Hold the files below `folder` against an index, one result for each of its entries.

    Parameters
    ----------
    index : ArtifactIndex
        What a run recorded; where it was then (`index.root`) does not matter.
    folder : Path
        Where the outputs are now: the run's working directory, or a copy of it.
    contents : callable
        Hashes of the variables inside a file, where its format is known.
    """
    root = Path(os.path.realpath(folder))
    return tuple(_check(entry, root, contents) for entry in index.entries)


def _check(entry: Artifact, root: Path, contents: Contents) -> CheckedOutput:
    path = _place(entry.path, root)
    if path is None:
        problem = f"not below {root}: not looked at"
        return CheckedOutput(path=entry.path, status="outside", problem=problem)
    if not path.exists():
        return CheckedOutput(path=entry.path, status="missing", problem=_missing(entry))
    if not path.is_file():
        return CheckedOutput(path=entry.path, status="unreadable", problem="not a regular file")
    try:
        now = hash_file(path)
    except OSError as error:
        return CheckedOutput(path=entry.path, status="unreadable", problem=reason_of(error))
    if now.hash is None:
        return CheckedOutput(path=entry.path, status="unreadable", problem=now.problem)
    if entry.hash is None:
        problem = f"was {entry.status} when the run indexed it"
        return CheckedOutput(path=entry.path, status="not-indexed", hash=now.hash, problem=problem)
    if entry.hash == now.hash:
        return CheckedOutput(path=entry.path, status="same", hash=now.hash)
    return _changed(entry, path, now.hash, now.size, contents)


def _changed(
    entry: Artifact, path: Path, now: Hash, size: int, contents: Contents
) -> CheckedOutput:
    inside = read_contents(path, contents)[0] if entry.contents is not None else None
    if inside is None or entry.contents is None:
        problem = "" if size == entry.size else f"{entry.size} bytes then, {size} now"
        return CheckedOutput(path=entry.path, status="changed", hash=now, problem=problem)
    known = entry.contents
    differing = tuple(
        sorted(n for n in known.keys() | inside.keys() if known.get(n) != inside.get(n))
    )
    if differing:
        return CheckedOutput(path=entry.path, status="changed", variables=differing, hash=now)
    problem = "written again: other bytes, the same variables"
    return CheckedOutput(path=entry.path, status="same-contents", hash=now, problem=problem)


def _place(shown: str, root: Path) -> Path | None:
    """The file that a path of an index means, links resolved; None if it is not below `root`."""
    try:
        path = Path(os.path.realpath(root / shown))
        if not path.exists():
            # The bytes of a name that are no text are recorded as escapes.
            bytes_of = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), shown)
            path = Path(os.path.realpath(root / bytes_of))
    except (OSError, ValueError):
        return None
    return path if path.is_relative_to(root) else None


def _missing(entry: Artifact) -> str:
    if REDACTED in entry.path:
        return "its name held a secret and was not recorded"
    return "was missing already when the run indexed it" if entry.status == "missing" else ""
