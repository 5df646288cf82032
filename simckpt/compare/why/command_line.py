"""The options on a run's command line, for drivers whose parameters are recorded nowhere else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath

from ...model.record import Facts, Json

WORD = "word"
"""What words without a name are called, with their number."""


def options(command: Sequence[str]) -> Facts:
    """What follows the program: options by name, and the other words by their number.

    ``--t-end 2``, ``--t-end=2`` and ``t_end=2`` all say that `t_end` is 2. Of a path only its last
    part counts: where a file lies is no setting.
    """
    words = _after_program(command)
    found: Facts = {}
    plain = 0
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        name, equals, value = word.partition("=")
        if word.startswith("-") and not _number(word):
            if not equals and at < len(words) and _is_value(words[at]):
                value, equals = words[at], "="
                at += 1
            found[name.lstrip("-").replace("-", "_")] = _value(value) if equals else True
        elif equals and name.isidentifier():
            found[name] = _value(value)
        else:
            plain += 1
            found[f"{WORD} {plain}"] = _value(word)
    return found


def _after_program(command: Sequence[str]) -> Sequence[str]:
    """The words behind the last program that is started: ``python -m mpi4py solver.py`` is one."""
    last = -1
    for i, word in enumerate(command):
        if word == "-m" and i + 1 < len(command) and last < 0:
            last = i + 1
        elif word.endswith(".py"):
            return command[i + 1 :]
    return command[max(last, 0) + 1 :]


def _is_value(word: str) -> bool:
    return not word.startswith("-") or _number(word)


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _value(word: str) -> Json:
    try:
        found = json.loads(word)
    except ValueError:
        return PurePath(word).name if "/" in word else word
    return found if isinstance(found, int | float | bool | str) else word
