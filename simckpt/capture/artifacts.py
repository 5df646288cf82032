"""The artifact index: outputs by pattern, hashed when they have stopped changing."""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal

import blake3

from ..model.documents import Artifact, ArtifactIndex, InputFile
from ..model.record import Hash, Record
from .probes import reason_of
from .redaction import REDACTED, redact_text
from .values import clean_text

# Content hashes of files that other programs may still be writing.


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


# Input files by content: found by pattern, each content hashed once.


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
    hashes: dict[tuple[int, int], tuple[FileHash, dict[str, Hash] | None, str]] = {}
    result: dict[str, InputFile] = {}
    for pattern in patterns:
        text = os.fspath(pattern)
        if "://" in text:
            result[text] = InputFile(
                path=_display_name(text), problem="not a local file: not hashed"
            )
            continue
        for name in matches(text):
            if name not in result:
                result[name] = _one(name, contents, hashes, deadline)
            if len(result) >= MOST_FILES:
                more = InputFile(
                    path=_display_name(text),
                    problem=f"more than {MOST_FILES} files: the rest is left out",
                )
                return (*(result[n] for n in sorted(result)), more)
    return tuple(result[name] for name in sorted(result))


def matches(pattern: str) -> Iterator[str]:
    """The files that a pattern names; the pattern itself where there is none."""
    pattern = os.path.expanduser(pattern)  # noqa: PTH111 - patterns are not paths
    # A file whose name has brackets in it is meant as such.
    names = [pattern] if os.path.lexists(pattern) else _expand(pattern)
    exists = False
    for name in names:
        if Path(name).is_dir():
            for folder, folders, files in os.walk(name):
                folders.sort()
                # A link to a folder may lead round in a circle: it is named and not followed.
                links = [f for f in folders if Path(folder, f).is_symlink()]
                for file in sorted([*files, *links]):
                    exists = True
                    yield os.path.join(folder, file)  # noqa: PTH118 - keeps the user's form
        else:
            exists = True
            yield name
    if not exists:
        yield pattern


def _expand(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob drops "./" and "../"


def _one(
    name: str,
    contents: Contents,
    hashes: dict[tuple[int, int], tuple[FileHash, dict[str, Hash] | None, str]],
    deadline: float,
) -> InputFile:
    path = Path(name)
    try:
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        if identity not in hashes:
            hashes[identity] = _read(path, contents, deadline)
    except FileNotFoundError:
        magic = glob.has_magic(name)
        problem = "no file has a name like this" if magic else "there is no such file"
        return InputFile(path=_display_name(name), problem=problem)
    except TimeUsedUp:
        problem = "not hashed: the time for hashing inputs was used up"
        return InputFile(
            path=_display_name(name), size=status.st_size, mtime=status.st_mtime, problem=problem
        )
    except OSError as error:
        return InputFile(path=_display_name(name), problem=reason_of(error))
    content, inside, problem = hashes[identity]
    return InputFile(
        path=_display_name(name),
        size=content.size,
        mtime=content.mtime,
        hash=content.hash,
        contents=inside,
        problem=content.problem or problem,
    )


def _read(
    path: Path, contents: Contents, deadline: float
) -> tuple[FileHash, dict[str, Hash] | None, str]:
    if not path.is_file():
        raise OSError(None, _no_file(path), None)
    if time.monotonic() > deadline:
        raise TimeUsedUp
    content = hash_file(path, deadline)
    inside, problem = read_contents(path, contents)
    return content, inside, problem


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


def _display_name(name: str) -> str:
    return redact_text(clean_text(name))


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
    earlier = {entry.path: entry for entry in previous.entries} if previous else {}
    entries: dict[str, Artifact] = {}
    places: dict[str, Path] = {}
    for pattern in names:
        if "://" in pattern:
            continue
        absolute = os.path.join(root, os.path.expanduser(pattern))  # noqa: PTH111, PTH118 - a pattern
        for path in map(Path, matches(absolute)):
            if path.is_symlink() and path.is_dir():
                continue  # one that leads to the latest folder is no output of its own
            name = _display_path(path, root)
            if name not in entries and len(entries) < MOST_ARTIFACTS:
                entries[name] = _look(path, name, contents, settled, deadline, earlier.get(name))
                places[name] = path
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
    name: str,
    contents: Contents,
    settled: float,
    deadline: float,
    earlier: Artifact | None,
) -> Artifact:
    try:
        status = path.stat()
    except FileNotFoundError:
        return Artifact(path=name, size=0, mtime=0.0, hash=None, status="missing")
    except OSError:
        return Artifact(path=name, size=0, mtime=0.0, hash=None, status="unreadable")
    size, mtime = status.st_size, status.st_mtime
    if earlier and earlier.hash and (earlier.size, earlier.mtime) == (size, mtime):
        return earlier
    if time.time() - mtime < settled or time.monotonic() > deadline:
        return Artifact(path=name, size=size, mtime=mtime, hash=None, status="changing")
    try:
        content = hash_file(path, deadline)
    except TimeUsedUp:
        return Artifact(path=name, size=size, mtime=mtime, hash=None, status="changing")
    except OSError:
        return Artifact(path=name, size=size, mtime=mtime, hash=None, status="unreadable")
    if content.hash is None:
        return Artifact(
            path=name, size=content.size, mtime=content.mtime, hash=None, status="changing"
        )
    inside = _contents(path, contents)
    return Artifact(
        path=name, size=content.size, mtime=content.mtime, hash=content.hash, contents=inside
    )


def _contents(path: Path, contents: Contents) -> dict[str, Hash] | None:
    inside, _ = read_contents(path, contents)
    return inside


def _display_path(path: Path, root: Path) -> str:
    if path.is_relative_to(root):
        path = path.relative_to(root)
    return redact_text(clean_text(str(path)))


# Whether outputs are still what the artifact index says they are.
#
# An index comes from a bundle, and a bundle may come from anybody. So that a path in it cannot
# lead to another place, only files below the folder that the user named are looked at, links
# resolved; what lies elsewhere is named and left alone.


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
    contents_then = entry.contents
    differing = tuple(
        sorted(
            n for n in contents_then.keys() | inside.keys() if contents_then.get(n) != inside.get(n)
        )
    )
    if differing:
        return CheckedOutput(path=entry.path, status="changed", variables=differing, hash=now)
    problem = "written again: other bytes, the same variables"
    return CheckedOutput(path=entry.path, status="same-contents", hash=now, problem=problem)


def _place(name: str, root: Path) -> Path | None:
    """The file that a path of an index means, links resolved; None if it is not below `root`."""
    try:
        path = Path(os.path.realpath(root / name))
        if not path.exists():
            # The bytes of a name that are no text are recorded as escapes.
            bytes_of = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), name)
            path = Path(os.path.realpath(root / bytes_of))
    except (OSError, ValueError):
        return None
    return path if path.is_relative_to(root) else None


def _missing(entry: Artifact) -> str:
    if REDACTED in entry.path:
        return "its name held a secret and was not recorded"
    return "was missing already when the run indexed it" if entry.status == "missing" else ""


# Files as facts: inputs, outputs, configuration and logs.
