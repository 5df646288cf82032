"""The last lines of log files, without secrets."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...model.manifest import Text
from ..probes import attempt, reason_of
from ..secrets.redaction import redact_text
from ..values import clean_text

MOST_FILES = 8
LONGEST = 64 * 2**10
"""Bytes that are kept of each file."""

LIMIT = 2.0
"""Seconds for all of them."""

_MARGIN = 16 * 2**10
"""Bytes read before what is kept: a private key that begins there is recognised."""


def tail_logs(patterns: Iterable[str], limit: float = LIMIT) -> tuple[Text, ...]:
    """The tails of the newest files that match `patterns`, at most 8, each up to 64 KiB.

    Only regular files are opened, and whole lines are kept. A file that cannot be read is
    there with its `problem`.
    """
    found, reason = attempt(lambda: tuple(_tails(tuple(patterns))), limit)
    return found if found is not None else (Text(name="logs", text="", problem=reason),)


def _tails(patterns: tuple[str, ...]) -> Iterator[Text]:
    paths: dict[str, float] = {}
    for pattern in patterns:
        for path in glob.glob(os.path.expanduser(pattern), recursive=True) or [pattern]:  # noqa: PTH111, PTH207 - patterns may be absolute
            paths[path] = _mtime(path)
    for path in sorted(paths, key=lambda p: (-paths[p], p))[:MOST_FILES]:
        yield _tail(path)


def _mtime(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


def _tail(path: str) -> Text:
    name = redact_text(clean_text(path))
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return Text(name=name, text="", problem="not a regular file")
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - LONGEST - _MARGIN)
            file.seek(start)
            content = file.read(LONGEST + _MARGIN)
    except OSError as error:
        return Text(name=name, text="", problem=reason_of(error))
    if b"\0" in content:
        return Text(name=name, text="", problem="not a text file")
    if start:
        # The rest of a line that was cut may be the rest of a secret.
        content = content.partition(b"\n")[2]
    text = redact_text(content.decode("utf-8", "backslashreplace"))
    kept = text[-LONGEST:]
    if len(kept) < len(text):
        kept = kept.partition("\n")[2]
    return Text(name=name, text=kept, truncated=bool(start) or len(kept) < len(text))
