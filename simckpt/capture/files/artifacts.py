"""The artifact index: outputs by pattern, hashed when they have stopped changing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...model.artifact import Artifact, ArtifactIndex
from ...model.record import Hash
from ..secrets.redaction import redact_text
from ..values import clean_text
from .hashing import TimeUsedUp, hash_file
from .inputs import Contents, matches, no_contents, read_contents

MOST_ARTIFACTS = 10_000


def index_artifacts(
    patterns: Iterable[str | os.PathLike[str]],
    root: Path,
    contents: Contents = no_contents,
    *,
    settled: float = 0.0,
    quiet: float = 0.0,
    limit: float = float("inf"),
    previous: ArtifactIndex | None = None,
) -> ArtifactIndex:
    """The outputs that `patterns` name, as they are now.

    Parameters
    ----------
    patterns : iterable of str or Path
        Relative to `root`.
    root : Path
        The run's working directory.
    contents : callable
        Hashes of the variables inside a file, where its format is known.
    settled : float
        A file that changed less than so many seconds ago is taken to be still growing. While
        the run goes on, two seconds spare the hashing of what is just being written.
    quiet : float
        A file that changed less than so many seconds ago is looked at again when they are over,
        and is still growing if it has changed again. All such files are waited for together.
    limit : float
        Seconds for hashing; files past it are listed as ``changing``, without hash.
    previous : ArtifactIndex, optional
        An earlier index of this run: a file whose size and time are still the same is not
        hashed again.

    Returns
    -------
    ArtifactIndex
        A pattern without any match is there as ``missing``. A file whose size or time was
        another one after hashing is ``changing`` and has no hash.
    """
    root = root.absolute()
    names = tuple(os.fspath(p) for p in patterns)
    deadline = time.monotonic() + limit
    known = {entry.path: entry for entry in previous.entries} if previous else {}
    entries: dict[str, Artifact] = {}
    places: dict[str, Path] = {}
    for pattern in names:
        if "://" in pattern:
            continue
        absolute = os.path.join(root, os.path.expanduser(pattern))  # noqa: PTH111, PTH118 - a pattern
        for path in map(Path, matches(absolute)):
            if path.is_symlink() and path.is_dir():
                continue  # one that leads to the latest folder is no output of its own
            shown = _shown(path, root)
            if shown not in entries and len(entries) < MOST_ARTIFACTS:
                entries[shown] = _look(path, shown, contents, settled, deadline, known.get(shown))
                places[shown] = path
    for entry in _grown([e for e in entries.values() if e.hash], places, quiet):
        entries[entry.path] = entry
    return ArtifactIndex(
        root=redact_text(clean_text(str(root))),
        patterns=tuple(redact_text(clean_text(p)) for p in names),
        entries=tuple(entries[name] for name in sorted(entries)),
    )


def _grown(hashed: Iterable[Artifact], places: dict[str, Path], quiet: float) -> Iterator[Artifact]:
    """Those that were written shortly before and are written again."""
    now = time.time()
    recent = [e for e in hashed if 0.0 <= now - e.mtime < quiet]
    if recent:
        time.sleep(quiet - (now - max(e.mtime for e in recent)))
    for entry in recent:
        try:
            status = places[entry.path].stat()
        except OSError:
            yield Artifact(path=entry.path, size=0, mtime=0.0, hash=None, status="missing")
            continue
        size, mtime = status.st_size, status.st_mtime
        if (size, mtime) != (entry.size, entry.mtime):
            yield Artifact(path=entry.path, size=size, mtime=mtime, hash=None, status="changing")


def _look(
    path: Path,
    shown: str,
    contents: Contents,
    settled: float,
    deadline: float,
    known: Artifact | None,
) -> Artifact:
    try:
        status = path.stat()
    except FileNotFoundError:
        return Artifact(path=shown, size=0, mtime=0.0, hash=None, status="missing")
    except OSError:
        return Artifact(path=shown, size=0, mtime=0.0, hash=None, status="unreadable")
    size, mtime = status.st_size, status.st_mtime
    if known and known.hash and (known.size, known.mtime) == (size, mtime):
        return known
    if time.time() - mtime < settled or time.monotonic() > deadline:
        return Artifact(path=shown, size=size, mtime=mtime, hash=None, status="changing")
    try:
        told = hash_file(path, deadline)
    except TimeUsedUp:
        return Artifact(path=shown, size=size, mtime=mtime, hash=None, status="changing")
    except OSError:
        return Artifact(path=shown, size=size, mtime=mtime, hash=None, status="unreadable")
    if told.hash is None:
        return Artifact(path=shown, size=told.size, mtime=told.mtime, hash=None, status="changing")
    inside = _contents(path, contents)
    return Artifact(path=shown, size=told.size, mtime=told.mtime, hash=told.hash, contents=inside)


def _contents(path: Path, contents: Contents) -> dict[str, Hash] | None:
    inside, _ = read_contents(path, contents)
    return inside


def _shown(path: Path, root: Path) -> str:
    if path.is_relative_to(root):
        path = path.relative_to(root)
    return redact_text(clean_text(str(path)))
