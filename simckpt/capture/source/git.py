"""Git work trees, read from their files: no git process, no filter, no hook is started."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ...model.manifest import Repository, Text
from ...model.record import content_hash
from ..probes import attempt
from ..secrets.redaction import redact_text
from ..values import clean_text
from .git_head import HEAD_LIMIT, read_head
from .work_tree import find_changes

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
    shown = redact_text(clean_text(str(root)))
    head, reason = attempt(partial(read_head, root), HEAD_LIMIT)
    if head is None:
        return Repository(root=shown, commit="", dirty=None, problem=reason), None
    deadline = time.monotonic() + limit
    changes, reason = attempt(partial(find_changes, root, tuple(modules), deadline), limit)
    if changes is None:
        repository = Repository(
            root=shown,
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
        root=shown,
        commit=head.commit,
        branch=head.branch,
        remote=head.remote,
        dirty=changes.dirty,
        diff=content_hash(text) if text else None,
        untracked=tuple(redact_text(clean_text(p)) for p in changes.untracked),
    )
    return repository, text
