"""Configuration files, kept whole: they are small, and they are what is lost first."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..model.manifest import Text
from .probes import reason_of
from .redaction import redact_text
from .values import clean_text

LONGEST = 2**20
"""Bytes of a configuration file that are kept."""


def capture_configuration(paths: Iterable[str | os.PathLike[str]]) -> tuple[Text, ...]:
    """The texts of configuration files, each up to 1 MiB, without secrets.

    A file that is missing, binary or unreadable is there with its `problem` and no text.
    """
    return tuple(_one(os.fspath(path)) for path in paths)


def _one(path: str) -> Text:
    name = redact_text(clean_text(path))
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(LONGEST + 1)
    except OSError as error:
        problem = (
            f"{type(error).__name__}: {error.strerror}" if error.strerror else reason_of(error)
        )
        return Text(name=name, text="", problem=problem)
    if b"\0" in content[:8_000]:
        return Text(name=name, text="", problem="not a text file")
    text = content[:LONGEST].decode("utf-8", "backslashreplace")
    return Text(name=name, text=redact_text(text), truncated=len(content) > LONGEST)
