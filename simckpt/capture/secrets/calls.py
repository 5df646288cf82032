"""Calls that make a secret, ask for it, or look it up: which of their texts are secrets."""

from __future__ import annotations

import re

from .groups import without_values

CALL = re.compile(
    r"(?:(?:new|await|not|cast)[ \t]+|[*&])?(?P<callee>[A-Za-z_][\w.:\ufdd0]*!?)(?=[(\[])"
)
AFTER_CALL = re.compile(r"(?:[\s,;.)\]}\[(+*/\-:#|?!&]|$)")
LITERAL = re.compile(r"(['\"])(?:\\.|(?!\1)[^\\\r\n])+\1")
_ASKS = re.compile(
    r"(?:^|[._:])(?:getpass|input|prompt|ask\w*|open|path|read\w*|load(?!s)\w*|file|get_(?:password"
    r"|secret\w*|token|credential)|askpass|Path|exists|join|check_output|run|Literal|find|resolve)$"
)
"""Calls whose texts say where a secret is, and not what."""
_LOOKS_UP = re.compile(
    r"(?:^|[._:])(?:getenv|get|pop|setdefault|environ|env|fetch|lookup|getattr|var|option|config)$",
    re.IGNORECASE,
)
"""Calls whose first text is a name, and whose second one stands in for what is missing."""
_WRAPS = re.compile(
    r"(?:^|[._:])(?:str|bytes|bytearray|secret\w*|password\w*|b64\w+|from\w+|unhex\w+|encode\w*"
    r"|decode\w*|string|credentials?|sha\d+|md5|quote\w*|list|tuple|set|frozenset|dict|array)!?$",
    re.IGNORECASE,
)


def asks(callee: str) -> bool:
    """Whether a function called so asks a person, or a file, for a secret."""
    return _ASKS.search(callee) is not None


def without_arguments(callee: str, group: str, replacement: str, strong: bool) -> str:
    """The `group` of a call without the texts in it that are secrets.

    `strong` says that what the call makes is a secret for sure, whatever the function.
    """
    if callee == "qw":
        return without_values(group, replacement, numbers=True)
    if _LOOKS_UP.search(callee):
        first = LITERAL.search(group)
        kept = first.end() if first else 0
        return group[:kept] + _without_literals(group[kept:], replacement)
    return _without_literals(group, replacement) if strong or _WRAPS.search(callee) else group


def _without_literals(text: str, replacement: str) -> str:
    return LITERAL.sub(lambda m: m[1] + replacement + m[1], text)
