"""Git work trees, read from their files: no git process, no filter, no hook is started."""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..model.documents import Repository, Text
from ..model.record import content_hash
from .probes import attempt, reason_of
from .redaction import redact_text, redact_url
from .values import clean_text

# Which commit a git work tree is at, read from its files.


HEAD_LIMIT = 2.0
"""Seconds for reading it."""


@dataclass(frozen=True)
class Head:
    """Commit, branch ("" where HEAD is detached) and redacted address of the remote."""

    commit: str
    branch: str = ""
    remote: str = ""


def find_root(path: Path) -> Path | None:
    """The top of the git work tree that holds `path`, or None.

    A ``.git`` that is a file marks a linked work tree or a submodule.
    """
    for folder in (path, *path.parents):
        if (folder / ".git").exists():
            return folder
    return None


def head_commit(folder: Path) -> str:
    """The commit that the work tree around `folder` is at; "" where there is none."""
    root = find_root(folder.absolute())
    head, _ = attempt(lambda: read_head(root), HEAD_LIMIT) if root else (None, "")
    return head.commit if head else ""


def read_head(root: Path) -> Head:
    """The head of the work tree whose top is `root`."""
    from dulwich.repo import Repo

    with Repo(str(root)) as repo:
        names, commit = repo.refs.follow(b"HEAD")  # type: ignore[arg-type]
        last = names[-1].decode("utf-8", "replace") if names else ""
        branch = last.removeprefix("refs/heads/") if last.startswith("refs/heads/") else ""
        return Head(
            commit=commit.decode("ascii") if commit else "",
            branch=redact_text(clean_text(branch)),
            remote=_remote(repo),
        )


def _remote(repo: Any) -> str:
    try:
        config = repo.get_config()
        names = [section[1] for section in config.sections() if section[:1] == (b"remote",)]
        if not names:
            return ""
        name = b"origin" if b"origin" in names else names[0]
        return redact_url(config.get((b"remote", name), b"url").decode("utf-8", "replace"))
    except (KeyError, IndexError, ValueError, OSError) as error:
        return f"unavailable: {reason_of(error)}"


# What a git work tree has that its commit has not.
#
# A file whose size and time are those in the index is taken to be the indexed one, as git
# does. Content is compared as it is on disk; a file in the large file storage is compared with
# the hash in its pointer, so that no filter program has to run.


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
        tracked = committed.keys() | index.keys()
        untracked = sorted(path for path in ran if path and path not in tracked)
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
    remaining = LONGEST_DIFF
    for part in parts:
        if len(part) > remaining:
            text.append(part[:remaining])
            return "".join(text), True
        text.append(part)
        remaining -= len(part)
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


STATUS_LIMIT = 5.0
"""Seconds for finding what differs from the commit; a very large tree may need more."""


def capture_repository(
    root: Path, modules: Iterable[Path] = (), limit: float = STATUS_LIMIT
) -> tuple[Repository, Text | None]:
    """Commit, branch and remote of a work tree, and how it differs from the commit.

    Parameters
    ----------
    root : Path
        The top of a work tree, as `find_root` gives it.
    modules : iterable of Path
        Absolute paths of the files that ran: their differences come first, and those that are
        not in git are in the diff as new files.
    limit : float
        Seconds for the comparison with the commit.

    Returns
    -------
    Repository
        `dirty` is None and `problem` says why, where the comparison was not possible.
    Text or None
        The diff, capped and without secrets; None where nothing differs.
    """
    root_text = redact_text(clean_text(str(root)))
    head, reason = attempt(partial(read_head, root), HEAD_LIMIT)
    if head is None:
        return Repository(root=root_text, commit="", dirty=None, problem=reason), None
    deadline = time.monotonic() + limit
    changes, reason = attempt(partial(find_changes, root, tuple(modules), deadline), limit)
    if changes is None:
        repository = Repository(
            root=root_text,
            commit=head.commit,
            branch=head.branch,
            remote=head.remote,
            dirty=None,
            problem=reason,
        )
        return repository, None
    text = None
    if changes.diff:
        text = Text(
            name=redact_text(f"diff of {clean_text(root.name)}"),
            text=redact_text(changes.diff),
            truncated=changes.truncated,
        )
    repository = Repository(
        root=root_text,
        commit=head.commit,
        branch=head.branch,
        remote=head.remote,
        dirty=changes.dirty,
        diff=content_hash(text) if text else None,
        untracked=tuple(redact_text(clean_text(p)) for p in changes.untracked),
    )
    return repository, text
