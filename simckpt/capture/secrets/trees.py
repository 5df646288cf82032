"""Secrets among values that are no longer text: mappings, lists, command lines as lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...model.record import Json
from .redaction import REDACTED, is_secret_name, never_a_setting, redact_arguments

_TYPE = re.compile(r"[A-Za-z_]\w*(?:\.[\w<>]+)+")
_NAMES = ("name", "Name", "key", "Key", "id", "variable")
_VALUES = ("value", "Value", "default", "val", "content")
_OTHER_NAMES = frozenset(
    {"user", "username", "login", "name", "email", "id", "host", "port", "database", "db"}
)


def under(name: str, item: Any, shown: Json) -> Json:
    """What is shown of `item`, which a mapping holds under `name`.

    Below a name that says secret all texts go, at any depth, and numbers where no setting of
    that name is a number.
    """
    if shown is None or isinstance(shown, bool) or not is_secret_name(name):
        return shown
    if isinstance(shown, str) and not isinstance(item, str):
        return shown  # the name of a function, a path, a date
    if isinstance(item, bytes | bytearray):
        return REDACTED if item else shown
    if not isinstance(item, str) and name.lower() == "pw":
        return shown  # plane waves, and what is set for them
    numbers = never_a_setting(name)
    kind = getattr(getattr(item, "dtype", None), "kind", "")
    return shown if kind in tuple("biufc") and not numbers else hidden(shown, numbers=numbers)


def hidden(value: Json, *, numbers: bool) -> Json:
    """`value` without its texts, and without its `numbers`; names and truth values stay."""
    if isinstance(value, dict):  # one hash of many values tells none of them
        return {
            key: item
            if (key == "type" and isinstance(item, str) and _TYPE.fullmatch(item))
            or (key == "blake3" and "length" in value)
            else hidden(item, numbers=numbers)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [hidden(item, numbers=numbers) for item in value]
    if isinstance(value, str):
        return REDACTED if value else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return REDACTED if numbers else value
    return value


def named(facts: dict[str, Json]) -> dict[str, Json]:
    """A mapping with what ``{"name": "DB_PASSWORD", "value": "x"}`` holds hidden."""
    for value in _VALUES:
        if facts.get(value):
            for name in _NAMES:
                told = facts.get(name)
                if isinstance(told, str) and is_secret_name(told):
                    facts[value] = hidden(facts[value], numbers=True)
    return facts


def listed(items: Sequence[Any], shown: list[Json]) -> list[Json]:
    """What is `shown` of a list that may be a command line, or a name and its value."""
    if len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], str | bytes):
        name, value = items
        other = isinstance(value, str) and (value.lower() in _OTHER_NAMES or is_secret_name(value))
        if value and is_secret_name(name) and not other:
            return [shown[0], REDACTED]
    if not any(isinstance(item, str) and item[:1] == "-" and len(item) > 1 for item in items):
        return shown
    words = [str(item) if isinstance(item, str | int | float) else "" for item in items]
    redacted = redact_arguments(word.encode("utf-8", "replace").decode() for word in words)
    return [
        safe if safe != word and (len(safe) <= len(word) or safe == REDACTED) else kept
        for word, safe, kept in zip(words, redacted, shown, strict=True)
    ]
