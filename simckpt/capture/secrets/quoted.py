"""Secrets in the writing of other languages: shell commands, XML, JSON within a text, prose.

`redaction` knows values that are assigned to a name. Here are the other ways in which a name and
its secret stand side by side in a log, a script or a configuration file. Each form says what a
value must look like there, since most words behind the word "token" are no secret.
"""

from __future__ import annotations

import re

from .marks import MARK
from .pairs import PAIRS, PROGRAMS

_words = r"pass(?:word|wd|phrase|code)|passwor[td]e?|kennwort"

_LIKELY = r"(?=[^\s'\"<>]{0,200}\d)(?=[^\s'\"<>]{0,200}[A-Za-z])"
"""What follows has letters and digits."""

_FORMS = (
    tuple(
        re.compile(form, flags)
        for form, flags in (
            # <password>x</password>
            (
                (
                    rf"(?P<name><[\w:.\-]{{0,100}}{MARK}(?:\s[^<>]{{0,200}})?>\s{{0,40}})"
                    r"(?P<value>[^<\s][^<]{0,2000})"
                ),
                re.IGNORECASE,
            ),
            # {\"password\": \"x\"}: JSON within a text
            (
                (
                    rf"(?P<name>{MARK}\\{{1,7}}['\"]\s{{0,20}}[:=]\s{{0,20}}"
                    r"\\{1,7}['\"])(?P<value>[^'\"\\]{1,2000})"
                ),
                re.IGNORECASE,
            ),
            # ('password', 'x1'): a pair, as a list of variables is printed
            (
                (
                    rf"(?P<name>{MARK}['\"]\s{{0,20}},\s{{0,20}}"
                    rf"[bru]?['\"]){_LIKELY}(?P<value>[^'\"\r\n]{{6,2000}})"
                ),
                re.IGNORECASE,
            ),
            # a pair that authenticates: of a user and a password
            (
                (
                    r"(?P<name>\bauth\s{0,20}[=:]\s{0,20}[(\[]\s{0,20}['\"][^'\"\r\n]{0,200}['\"]\s{0,20},"
                    r"\s{0,20}['\"])(?P<value>[^'\"\r\n]{1,2000})"
                ),
                re.IGNORECASE,
            ),
            # run --db-password x
            (
                (
                    rf"(?P<name>(?<!\S)--?[\w\-]{{1,100}}{MARK}[ \t]{{1,20}})"
                    r"(?P<value>(?!-|\d+\b)[^\s'\"]{1,2000})"
                ),
                re.IGNORECASE,
            ),
            # docker login -p x, sshpass -p x, mysql -px
            (
                (
                    r"(?P<name>\b(?:(?:docker|podman|buildah|helm registry|oc) login|sshpass"
                    r"|mysql(?:dump)?|mariadb|mongosh?)\b[^\n|;&]{0,200}?\s-p[ =]{0,3})"
                    r"(?P<value>[^\s\-][^\s]{0,2000})"
                ),
                0,
            ),
            # wandb login 0123...
            (r"(?P<name>\blogin\s{1,10}(?:--relogin\s{1,10})?)(?P<value>[0-9a-f]{32,64})\b", 0),
            # the password is x1; aws_secret_access_key x1
            (
                (
                    rf"(?P<name>{MARK}(?:\s{{1,10}}(?:is|was|ist|:|=))?"
                    rf"[:=]?[ \t]{{1,10}}['\"]?){_LIKELY}"
                    r"(?P<value>[0-9A-Za-z+/=_.~!@#$%^&*\-]{8,2000}+(?![(\[]))"
                ),
                re.IGNORECASE,
            ),
            # Password for 'https://me@host': x
            (
                (
                    rf"(?P<name>\b(?:{_words}){MARK}?\s{{1,10}}for\s{{1,10}}['\"][^'\"\n]{{0,200}}['\"]:"
                    r"[ \t]{0,10})"
                    r"(?P<value>\S{1,2000})"
                ),
                re.IGNORECASE,
            ),
            # token%3Dx: an address within an address
            (
                rf"(?P<name>{MARK}%3D)(?P<value>(?:(?!%26)[^&\s'\"<>]){{1,2000}})",
                re.IGNORECASE,
            ),
            # SORT_KEY=name is a setting; FERNET_KEY=, "key": and the like with a long random text
            (
                (
                    r"(?P<name>(?<![A-Za-z0-9])(?:[A-Za-z0-9]{1,40}[_\-]){0,4}key\\{0,3}['\"]?\s{0,20}[:=]"
                    rf"\s{{0,20}}\\{{0,3}}['\"]?){_LIKELY}(?P<value>[0-9A-Za-z+/=_\-]{{24,2000}})"
                ),
                re.IGNORECASE,
            ),
            # host:5432:database:user:x
            (
                (
                    r"(?P<name>(?<![^\s'\"=])[\w.\-*]{1,200}:(?:\d{2,5}|\*):[\w\-*]{1,100}:[\w.\-*]{1,100}:)"
                    r"(?P<value>[^\s'\"]{1,2000})"
                ),
                re.MULTILINE,
            ),
            # jdbc:oracle:thin:me/x@//host
            (r"(?P<name>\bjdbc:oracle:\w{1,20}:[^/\s@]{1,100}/)(?P<value>[^@\s]{1,400})(?=@)", 0),
            *((program, 0) for program in PROGRAMS),
        )
    )
    + PAIRS
)
"""Each with the groups `name`, which stays, and `value`, which goes."""


def without_quoted(text: str, replacement: str) -> str:
    """`text`, whose names of secrets are marked, with each secret in these forms replaced."""
    for form in _FORMS:
        text = form.sub(lambda m: m["name"] + replacement, text)
    return text
