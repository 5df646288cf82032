"""Texts that two runs recorded otherwise: configuration files, code, and changes not committed."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import PurePath
from typing import TypeAlias

from ...model.manifest import Manifest, Text
from ...model.record import Hash, Record
from ..view import RunView

MOST_LINES = 300
LONGEST_LINE = 400
LONGEST_TEXT = 1 << 18
"""Characters; of longer texts only the beginning is looked at."""


class TextDifference(Record, frozen=True, kw_only=True):
    """How one text differs, as the lines of a unified diff; `more` lines are left out."""

    what: str
    name: str
    lines: tuple[str, ...]
    more: int = 0


def text_differences(a: RunView, b: RunView) -> tuple[TextDifference, ...]:
    """The recorded texts that differ between the last checkpoints of two runs."""
    one, two = _texts(a), _texts(b)
    found = []
    for what, name, old, new in _pairs(one, two):
        lines = _diff(a, old, b, new)
        if lines:
            found.append(
                TextDifference(
                    what=what,
                    name=name,
                    lines=tuple(line[:LONGEST_LINE] for line in lines[:MOST_LINES]),
                    more=max(0, len(lines) - MOST_LINES),
                )
            )
    return tuple(found)


_Texts: TypeAlias = dict[tuple[str, str], Hash]


def _pairs(one: _Texts, two: _Texts) -> Iterator[tuple[str, str, Hash | None, Hash | None]]:
    """Kind, name and references of the texts that differ."""
    for what in sorted({key[0] for key in (*one, *two)}):
        gone = sorted(key for key in one.keys() - two.keys() if key[0] == what)
        come = sorted(key for key in two.keys() - one.keys() if key[0] == what)
        if len(gone) == len(come) == 1:
            # One text has another name in B, as a driver that was copied and changed does.
            if one[gone[0]] != two[come[0]]:
                yield what, f"{gone[0][1]} → {come[0][1]}", one[gone[0]], two[come[0]]
            gone, come = [], []
        both = (k for k in one.keys() & two.keys() if k[0] == what and one[k] != two[k])
        for key in sorted([*both, *gone, *come]):
            yield what, key[1], one.get(key), two.get(key)


def _texts(run: RunView) -> _Texts:
    """The references of a run's texts, by what they are and their name."""
    checkpoints = list(run.checkpoints)
    if not checkpoints:
        return {}
    parts = checkpoints[-1].parts
    found: _Texts = {}
    for reference in parts.configuration:
        text = _text(run, reference)
        if text is not None:
            found["configuration", PurePath(text.name).name] = reference
    manifest = _document(run, parts.manifest)
    if isinstance(manifest, Manifest):
        for module in manifest.modules:
            if module.source is not None:
                found["code", module.name] = module.source
        for repository in manifest.repositories:
            if repository.diff is not None:
                name = PurePath(repository.remote or repository.root).name
                found["changes not committed", name.removesuffix(".git")] = repository.diff
    return found


def _diff(a: RunView, old: Hash | None, b: RunView, new: Hash | None) -> list[str]:
    one, two = _text(a, old), _text(b, new)
    before = one.text[:LONGEST_TEXT].splitlines() if one is not None else []
    after = two.text[:LONGEST_TEXT].splitlines() if two is not None else []
    # The first two lines of a diff name its files, which stand above it already.
    return list(unified_diff(before, after, lineterm=""))[2:]


def _text(run: RunView, reference: Hash | None) -> Text | None:
    found = _document(run, reference)
    return found if isinstance(found, Text) else None


def _document(run: RunView, reference: Hash | None) -> object:
    if reference is None:
        return None
    try:
        return run.document(reference)
    except KeyError:
        return None
