"""Configuration files, kept whole: they are small, and they are what is lost first."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ...model.manifest import Text
from ...model.record import Facts, Json
from ..probes import attempt, out_of_time
from ..secrets.redaction import redact_text
from ..values import clean_text
from .configured import named, settings_in
from .hashing import open_regular

LONGEST = 2**20
"""Bytes of a configuration file that are kept."""

LIMIT = 2.0
"""Seconds for reading one."""


def capture_configuration(paths: Iterable[str | os.PathLike[str]]) -> tuple[Text, ...]:
    """The texts of configuration files, each up to 1 MiB, without secrets.

    A file that is missing, binary or unreadable is there with its `problem` and no text.
    """
    return tuple(_one(os.fspath(path)) for path in paths)


class ConfigurationFiles:
    """The same files again and again, made a text of only where their contents have changed."""

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self._paths = tuple(os.fspath(path) for path in paths)
        self._known: dict[str, tuple[bytes | None, Text, Json]] = {}
        self._hanging: dict[str, Text] = {}

    def read(self) -> tuple[Text, ...]:
        """Their texts as they are now."""
        return tuple(self._read(path) for path in self._paths)

    def facts(self) -> Facts:
        """The settings that the files held when they were last read.

        By the name of each file without its folder, where that is enough to tell them apart.
        """
        held = {path: self._known[path][2] for path in self._paths if path in self._known}
        return named(held)

    def _read(self, path: str) -> Text:
        if path in self._hanging:
            return self._hanging[path]
        content, text = _content(path)
        if content is None:
            if text.problem == out_of_time(LIMIT):
                # Each further attempt would leave another thread behind.
                self._hanging[path] = text
            self._known[path] = (None, text, f"({text.problem})")
            return text
        known = self._known.get(path)
        if known is None or known[0] != content:
            made = _text(text.name, content)
            known = self._known[path] = (content, made, settings_in(path, content, made))
        return known[1]


def _one(path: str) -> Text:
    content, text = _content(path)
    return text if content is None else _text(text.name, content)


def _content(path: str) -> tuple[bytes | None, Text]:
    """At most one byte more than is kept of a file, or None; and a text of its name and problem."""
    name = redact_text(clean_text(path))
    # A file server may never answer, and every checkpoint asks.
    content, problem = attempt(lambda: _read(Path(path).expanduser()), LIMIT)
    return content, Text(name=name, text="", problem=problem)


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(LONGEST + 1)
    except OSError as error:
        error.filename = None  # the text has a name already
        raise


def _text(name: str, content: bytes) -> Text:
    if b"\0" in content[:8_000]:
        return Text(name=name, text="", problem="not a text file")
    text = content[:LONGEST].decode("utf-8", "backslashreplace")
    return Text(name=name, text=redact_text(text), truncated=len(content) > LONGEST)
