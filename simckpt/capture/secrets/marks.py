"""Marks the names of secrets in a text, so that the forms around them are told by one character.

To look for each of some fifty names in each of some fifty forms would take minutes for a long
text; so they are looked for once, and what stands behind one of them is found by its mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .shapes import SECRET_NAMES

MARK = "\ufdd0"
"""No character of any text."""

_names = "|".join(SECRET_NAMES)
_humps = (
    r"Passwords?|Passwd|Passphrase|Secrets?|Tokens?|(?:Api|Access|Account|Private|Secret|Auth)Keys?"
    r"|Credentials?|Signature"
)
_NAME = re.compile(
    rf"(?:(?<![A-Za-z0-9])(?i:{_names})|(?<=[a-z0-9])(?:{_humps})"
    # plane waves are set by numbers
    r"|(?<![A-Za-z0-9])(?i:pw)(?=\\{0,7}['\"]?[ \t]{0,20}[:=]"
    r"[ \t]{0,20}\\{0,7}[rbfuRBFU]{0,2}['\"]|>[^<\s]))"
    # what follows is no more of a name, and no call
    r"(?![\w.])(?!\((?![^()\r\n]{0,60}\)[ \t]{0,9}=[^=]))"
)
_HINT = re.compile(
    r"pass|pwd|pw\b|secret|token|cred|key|auth|bearer|cookie|csrf|sess|sid\b|sas|sig|otp|pin|hook|dsn"
    r"|psk|assert|verif|activ|login|mot|contra|senha|woord|senord|has[l\u0142]|connection|jdbc|mysql|maria"
    r"|mongo|identified|kennw|\bzip|7z|rar\b|ipmi|ldap|redis|openssl|-U|chpasswd|stdin|sudo -S"
    r"|\u043f\u0430|\u5bc6|\u30d1|:(?:\d{2,5}|\*):",
    re.IGNORECASE,
)
"""A word without which no form is there: most lines have none."""


def near_hints(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets may be: from the line before that of a word on, to the third one after it."""
    start = end = -1
    position = 0
    while hint := _HINT.search(text, position):
        line = text.rfind("\n", 0, hint.start())
        first = text.rfind("\n", 0, max(line, 0)) + 1
        stop = position = text.find("\n", hint.end())
        for _ in range(3):
            stop = text.find("\n", stop + 1) if stop >= 0 else -1
        if first > end:
            if end >= 0:
                yield start, end
            start = first
        end = len(text) if stop < 0 else stop
        if position < 0:
            break
    if end >= 0:
        yield start, end


def marked(text: str) -> str:
    """`text` with a mark behind each name of a secret."""
    return _NAME.sub(rf"\g<0>{MARK}", text)
