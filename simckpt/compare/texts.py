"""Texts that differ between two runs: configuration files, code, and uncommitted changes."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import PurePath
from typing import TypeAlias

from ..model.documents import Manifest, Text
from ..model.record import Hash, Record
from .facts import read_document
from .run_view import RunView

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
    differences = []
    for what, name, old, new in _pairs(one, two):
        lines = _diff(a, old, b, new)
        if lines:
            differences.append(
                TextDifference(
                    what=what,
                    name=name,
                    lines=tuple(line[:LONGEST_LINE] for line in lines[:MOST_LINES]),
                    more=max(0, len(lines) - MOST_LINES),
                )
            )
    return tuple(differences)


_Texts: TypeAlias = dict[tuple[str, str], Hash]


def _pairs(one: _Texts, two: _Texts) -> Iterator[tuple[str, str, Hash | None, Hash | None]]:
    """Kind, name and references of the texts that differ."""
    for what in sorted({key[0] for key in (*one, *two)}):
        only_a = sorted(key for key in one.keys() - two.keys() if key[0] == what)
        only_b = sorted(key for key in two.keys() - one.keys() if key[0] == what)
        if len(only_a) == len(only_b) == 1:
            # One text has another name in B, as a driver that was copied and changed does.
            if one[only_a[0]] != two[only_b[0]]:
                yield what, f"{only_a[0][1]} → {only_b[0][1]}", one[only_a[0]], two[only_b[0]]
            only_a, only_b = [], []
        both = (k for k in one.keys() & two.keys() if k[0] == what and one[k] != two[k])
        for key in sorted([*both, *only_a, *only_b]):
            yield what, key[1], one.get(key), two.get(key)


def _texts(run: RunView) -> _Texts:
    """The references of a run's texts, by what they are and their name."""
    checkpoints = list(run.checkpoints)
    if not checkpoints:
        return {}
    parts = checkpoints[-1].parts
    texts: _Texts = {}
    for reference in parts.configuration:
        text = read_document(run, reference, Text)
        if text is not None:
            texts["configuration", PurePath(text.name).name] = reference
    manifest = read_document(run, parts.manifest, Manifest)
    if manifest is not None:
        for module in manifest.modules:
            if module.source is not None:
                texts["code", module.name] = module.source
        for repository in manifest.repositories:
            if repository.diff is not None:
                name = PurePath(repository.remote or repository.root).name
                texts["changes not committed", name.removesuffix(".git")] = repository.diff
    return texts


def _diff(a: RunView, old: Hash | None, b: RunView, new: Hash | None) -> list[str]:
    one, two = read_document(a, old, Text), read_document(b, new, Text)
    before = one.text[:LONGEST_TEXT].splitlines() if one is not None else []
    after = two.text[:LONGEST_TEXT].splitlines() if two is not None else []
    # The first two lines of a diff name its files, which the heading names already.
    return list(unified_diff(before, after, lineterm=""))[2:]
