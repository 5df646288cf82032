"""What a git work tree has that its commit has not.

A file whose size and time are those in the index is taken to be the indexed one, as git
does. Content is compared as it is on disk; a file in the large file storage is compared with
the hash in its pointer, so that no filter program has to run.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .git_head import head_commit

LONGEST_DIFF = 256 * 1024
"""Characters of the whole diff."""

LARGEST_FILE = 512 * 1024
LARGEST_READ = 64 * 2**20
MOST_LINES = 20_000
_POINTER = b"version https://git-lfs.github.com/spec/"
_SKIP_WORKTREE = 0x4000
_NO_NEWLINE = "\n\\ No newline at end of file\n"


@dataclass(frozen=True)
class Changes:
    """The differences of a work tree: whether tracked files differ, and the diff as text."""

    dirty: bool
    untracked: tuple[str, ...]
    diff: str
    truncated: bool


def find_changes(root: Path, modules: tuple[Path, ...], deadline: float) -> Changes:
    """The differences between the work tree at `root` and its commit; see `capture_repository`."""
    from dulwich.repo import Repo

    ran = {_relative(path, root) for path in modules} - {None}
    with Repo(str(root)) as repo:
        committed = _committed(repo)
        index_time = _mtime_ns(Path(repo.index_path()))
        index = {path: entry for path, entry in repo.open_index().items() if hasattr(entry, "sha")}
        changed = []
        for path in committed.keys() | index.keys():
            _check(deadline)
            if _differs(repo, root, path, committed.get(path), index.get(path), index_time):
                changed.append(path)
        known = committed.keys() | index.keys()
        untracked = sorted(path for path in ran if path and path not in known)
        # What ran comes first: it must survive the cap.
        changed.sort(key=lambda path: (path not in ran, path))
        diff, truncated = _join(
            _file_diff(root, path, _blob(repo, committed.get(path)), deadline)
            for path in [*untracked, *changed]
        )
    return Changes(
        dirty=bool(changed),
        untracked=tuple(os.fsdecode(path) for path in untracked),
        diff=diff,
        truncated=truncated,
    )


def _committed(repo: Any) -> dict[bytes, tuple[int, bytes]]:
    """Mode and blob of each path in the commit; empty before the first commit."""
    from dulwich.object_store import iter_tree_contents

    try:
        tree = repo[repo.head()].tree
    except KeyError:
        return {}
    return {
        entry.path: (entry.mode, entry.sha) for entry in iter_tree_contents(repo.object_store, tree)
    }


def _differs(
    repo: Any,
    root: Path,
    path: bytes,
    committed: tuple[int, bytes] | None,
    entry: Any,
    index_time: int,
) -> bool:
    if committed is None:
        return True
    mode, blob = committed
    if stat.S_IFMT(mode) == 0o160000:
        return _submodule_differs(root / os.fsdecode(path), blob)
    if entry is not None and entry.extended_flags & _SKIP_WORKTREE:
        return bool(entry.sha != blob)
    try:
        # Of names and not of Paths: this is done for every file of the tree.
        status = os.lstat(os.fsencode(root) + b"/" + path)
    except OSError:
        return True
    if stat.S_ISLNK(mode):
        if not stat.S_ISLNK(status.st_mode):
            return True
        return _id_of(os.fsencode((root / os.fsdecode(path)).readlink())) != blob
    if not stat.S_ISREG(status.st_mode):
        return True
    if (mode ^ status.st_mode) & stat.S_IXUSR:
        return True
    if entry is not None and _unchanged_since_indexed(entry, status, index_time):
        return bool(entry.sha != blob)
    return _content_differs(repo, root / os.fsdecode(path), blob)


def _unchanged_since_indexed(entry: Any, status: os.stat_result, index_time: int) -> bool:
    if entry.size != status.st_size & 0xFFFFFFFF:
        return False
    if isinstance(entry.mtime, tuple):
        seconds, nanoseconds = entry.mtime
        mtime = seconds * 10**9 + nanoseconds
        same = bool(mtime == status.st_mtime_ns)
    else:
        mtime = int(entry.mtime * 10**9)
        same = abs(mtime - status.st_mtime_ns) < 10**6
    # A file written in the moment of indexing may have changed afterwards ("racy git").
    return same and mtime < index_time


def _submodule_differs(place: Path, commit: bytes) -> bool:
    if not (place / ".git").exists():
        return False  # not checked out
    return head_commit(place) != commit.decode("ascii")


def _content_differs(repo: Any, place: Path, blob: bytes) -> bool:
    if place.stat().st_size > LARGEST_READ:
        return _id_of_large(place) != blob
    content = place.read_bytes()
    if _id_of(content) == blob:
        return False
    if b"\r\n" in content and _id_of(content.replace(b"\r\n", b"\n")) == blob:
        return False
    pointer = bytes(repo[blob].data[:400])
    if pointer.startswith(_POINTER):
        return hashlib.sha256(content).hexdigest().encode() not in pointer
    return True


def _id_of(content: bytes) -> bytes:
    """The name that git gives to a blob; SHA-1 here is git's format, not a safeguard."""
    digest = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest().encode("ascii")


def _id_of_large(place: Path) -> bytes:
    digest = hashlib.sha1(b"blob %d\0" % place.stat().st_size, usedforsecurity=False)
    with place.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest().encode("ascii")


def _blob(repo: Any, committed: tuple[int, bytes] | None) -> bytes | None:
    if committed is None or stat.S_IFMT(committed[0]) == 0o160000:
        return None
    return bytes(repo[committed[1]].data)


def _file_diff(root: Path, path: bytes, old: bytes | None, deadline: float) -> str:
    _check(deadline)
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    place = root / os.fsdecode(path)
    try:
        new: bytes | None = os.fsencode(place.readlink()) if place.is_symlink() else _read(place)
    except FileNotFoundError:
        new = None
    except OSError as error:
        return f"--- a/{name}\n+++ b/{name}\ncannot be read: {error.strerror}\n"
    names = (
        "a/" + name if old is not None else "/dev/null",
        "b/" + name if new is not None else "/dev/null",
    )
    head = f"--- {names[0]}\n+++ {names[1]}\n"
    if _is_binary(old) or _is_binary(new):
        return head + "binary files differ\n"
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return head + "too large to be shown\n"
    lines = difflib.unified_diff(before, after, *names)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _read(place: Path) -> bytes:
    if place.is_dir():
        return b""
    with place.open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def _is_binary(content: bytes | None) -> bool:
    return content is not None and b"\0" in content[:8000]


def _lines(content: bytes | None) -> list[str] | None:
    if content is None:
        return []
    if len(content) > LARGEST_FILE:
        return None
    lines = content.decode("utf-8", "backslashreplace").splitlines(keepends=True)
    return lines if len(lines) <= MOST_LINES else None


def _join(parts: Iterator[str]) -> tuple[str, bool]:
    text: list[str] = []
    left = LONGEST_DIFF
    for part in parts:
        if len(part) > left:
            text.append(part[:left])
            return "".join(text), True
        text.append(part)
        left -= len(part)
    return "".join(text), False


def _relative(path: Path, root: Path) -> bytes | None:
    try:
        return os.fsencode(path.relative_to(root))
    except ValueError:
        return None


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _check(deadline: float) -> None:
    # The caller has given up by now; go on no longer in the background.
    if time.monotonic() > deadline:
        raise TimeoutError("the comparison with the commit took too long")
