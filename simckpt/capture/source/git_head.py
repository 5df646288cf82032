"""Which commit a git work tree is at, read from its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..probes import attempt, reason_of
from ..secrets.redaction import redact_text, redact_url
from ..values import clean_text

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
