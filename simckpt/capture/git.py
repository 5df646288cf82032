"""Git work trees, read from their files: no git process, no filter, no hook is started."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..model.manifest import Repository, Text
from ..model.record import content_hash
from .probes import attempt, reason_of
from .redaction import redact_text, redact_url
from .values import clean_text

STATUS_LIMIT = 5.0
"""Seconds for finding what differs from the commit; a very large tree may need more."""

_HEAD_LIMIT = 2.0


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
    commit, _ = attempt(lambda: _head(root)[0], _HEAD_LIMIT) if root else ("", "")
    return commit or ""


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
    shown = clean_text(str(root))
    found, reason = attempt(lambda: _head(root), _HEAD_LIMIT)
    if found is None:
        return Repository(root=shown, commit="", dirty=None, problem=reason), None
    commit, branch, remote = found
    deadline = time.monotonic() + limit
    changes, reason = attempt(partial(_changes, root, tuple(modules), deadline), limit)
    if changes is None:
        repository = Repository(
            root=shown, commit=commit, branch=branch, remote=remote, dirty=None, problem=reason
        )
        return repository, None
    text = None
    if changes.diff:
        text = Text(
            name=f"diff of {clean_text(root.name)}",
            text=redact_text(changes.diff),
            truncated=changes.truncated,
        )
    repository = Repository(
        root=shown,
        commit=commit,
        branch=branch,
        remote=remote,
        dirty=changes.dirty,
        diff=content_hash(text) if text else None,
        untracked=tuple(clean_text(p) for p in changes.untracked),
    )
    return repository, text


def _head(root: Path) -> tuple[str, str, str]:
    """Commit, branch ("" where HEAD is detached) and redacted address of the remote."""
    from dulwich.repo import Repo

    with Repo(str(root)) as repo:
        names, commit = repo.refs.follow(b"HEAD")  # type: ignore[arg-type]
        last = names[-1].decode("utf-8", "replace") if names else ""
        branch = last.removeprefix("refs/heads/") if last.startswith("refs/heads/") else ""
        return (commit.decode("ascii") if commit else ""), branch, _remote(repo)


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


def _changes(root: Path, modules: tuple[Path, ...], deadline: float) -> Any:
    from .work_tree import find_changes

    return find_changes(root, modules, deadline)
