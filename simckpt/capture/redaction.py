"""What is a secret, and how texts are kept without it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..model.record import Json

# Secrets in groups: what stands in brackets, or indented, behind a name that says secret.
#
# No grammar is parsed here, since a text may be a piece of one: a diff, a log, a file that was cut.
# Brackets are matched, indentation is followed, and in what they hold each value goes while names,
# brackets and line ends stay.


LONGEST = 2**16
"""Characters past which a bracket is taken for one that is never closed."""

MOST_LINES = 50
"""Of a text in quotes."""

_TOKEN = re.compile(
    r"'''[\s\S]{0,8000}?'''|\"\"\"[\s\S]{0,8000}?\"\"\"|\\."
    r"|\"(?:\\.|[^\"\\\r\n]){0,8000}\"|'(?:\\.|[^'\\\r\n]){0,8000}'|[\[\](){}]"
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_LINE = re.compile(r"(?P<start>[+\-]?)(?P<indent>[ \t]*)(?P<items>(?:[-?][ \t]+)*)")
_SCALAR_GROUPS = re.compile(r"[|>][+\-\d]{0,2}[ \t]*(?:#.*)?$")

_VALUES = re.compile(
    # A name that stays: quoted or bare, with what separates it from its value.
    r"(?P<key>\\{0,7}(?:\"[^\"\r\n\\]{0,200}\\{0,7}\"|'[^'\r\n\\]{0,200}\\{0,7}'|\[?[\w.\-%\ufdd0]{1,100}\]?)"
    r"[ \t]{0,20}(?:=>|:(?=[ \t\r\n\"'\[{(&!|>\\]|$)|=(?!=)(?=[ \t]{0,20}[^\s,)\]}=])))"
    r"|(?P<triple>'''|\"\"\")[\s\S]*?(?P=triple)"
    r"|(?P<open>\\{1,7}[\"'])(?P<inner>[^\"'\\\r\n]*)(?P<shut>\\{1,7}[\"'])?"
    r"|\"(?P<double>(?:\\.|[^\"\\])*)\"|'(?P<single>(?:\\.|[^'\\])*)'"
    r"|(?P<bare>[^\s\[\]{}(),'\"\\:=]+(?:[ \t]*[^\s\[\]{}(),'\"\\]+)*)"
)
NUMBER = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_NOTHING = frozenset(
    {"none", "null", "nil", "true", "false", "yes", "no", "on", "off", "~", "pass"}
)

_OWN_NAME = re.compile(
    r"[+\-]?[ \t]*(?:[-?][ \t]+)?['\"]?[\w.\-\ufdd0]{1,100}['\"]?[ \t]*[=:](?:[ \t]|$|['\"])"
)
_BEHIND_TEXT = re.compile(r"[ \t]*[,;)}\]]{0,3}[ \t]*(?:#[^\r\n]*)?\r?$")


def closed_at(text: str, start: int) -> int:
    """Behind the bracket that closes the one at `start`; -1 if none does, or none near enough."""
    open_ = []
    for token in _TOKEN.finditer(text, start, min(len(text), start + LONGEST)):
        mark = token.group()
        if mark in _CLOSING:
            open_.append(_CLOSING[mark])
        elif len(mark) == 1:
            if mark != open_.pop():
                return -1
            if not open_:
                return token.end()
    return -1


def text_closed_at(text: str, start: int, quote: str) -> int:
    """Behind the `quote` that ends a text some lines on; -1 if it was never meant to go on."""
    position = text.find("\n", start) + 1
    for _ in range(MOST_LINES if position else 0):
        stop = text.find("\n", position)
        line = text[position : stop if stop >= 0 else len(text)]
        at = line.find(quote)
        if _OWN_NAME.match(line):
            return -1
        if at >= 0:
            return position + at + 1 if _BEHIND_TEXT.match(line, at + 1) else -1
        if stop < 0:
            return -1
        position = stop + 1
    return -1


def without_values(text: str, replacement: str, numbers: bool = False) -> str:
    """`text` with each value in it replaced; names, brackets and line ends stay.

    Truth values stay, and so do numbers, unless `numbers` says that they are secrets.
    """

    def value(match: re.Match[str]) -> str:
        if match["key"]:
            return match.group()
        if quote := match["triple"]:
            return f"{quote}{replacement}{quote}"
        if match["open"]:
            return match["open"] + (replacement if match["inner"] else "") + (match["shut"] or "")
        if match["bare"]:
            bare = match["bare"]
            plain = bare.lower() in _NOTHING or (not numbers and NUMBER.fullmatch(bare))
            return bare if plain else replacement
        quote = match.group()[0]
        return f"{quote}{replacement}{quote}" if len(match.group()) > 2 else match.group()

    return _VALUES.sub(value, text)


def indent_of(line: str) -> int:
    """The column of the first word of a line, behind a mark of a diff and of list items."""
    return _LINE.match(line).end()  # type: ignore[union-attr]  # matches anything


def block_at(text: str, start: int, column: int, items: bool = True, words: bool = False) -> int:
    """The end of the lines from `start` on that are indented more than to `column`.

    Parameters
    ----------
    text : str
    start : int
        The beginning of a line.
    column : int
        Where the name of the block stands in its line.
    items : bool
        Whether list items at `column` itself belong to it, as in YAML.
    words : bool
        Whether a line that assigns to a name of its own ends the block.
    """
    end = start
    position = start
    while position < len(text):
        stop = text.find("\n", position)
        stop = len(text) if stop < 0 else stop + 1
        line = text[position:stop]
        mark = _LINE.match(line)
        assert mark is not None
        blank = not line.strip(" \t\r\n+-")
        within = mark.end("indent") > column or (
            # The mark of a list item is one of a diff too: what follows it tells by its column.
            mark.end() > column and bool(mark["start"] or mark["items"]) if items else False
        )
        if not blank and (not within or (words and _OWN_NAME.match(line))):
            break
        position = stop
        if not blank:
            end = stop
    return end


def without_block(block: str, replacement: str, numbers: bool = False, scalar: int = -1) -> str:
    """The lines of a block with each value replaced; scalars that span lines go line by line.

    `scalar` is the column of the name whose scalar the block begins with, if it does.
    """
    lines = []
    for line in block.splitlines(keepends=True):
        mark = _LINE.match(line)
        assert mark is not None
        body = line[mark.end() :].rstrip("\r\n")
        end = line[mark.end() + len(body) :]
        if scalar >= 0 and body and mark.end("indent") <= scalar:
            scalar = -1
        if not body:
            lines.append(line)
        elif scalar >= 0:
            lines.append(line[: mark.end()] + replacement + end)
        elif _SCALAR_GROUPS.search(body):
            scalar = mark.end("indent")
            lines.append(line)
        else:
            lines.append(line[: mark.end()] + without_values(body, replacement, numbers) + end)
    return "".join(lines)


# Calls that make a secret, ask for it, or look it up: which of their texts are secrets.


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


# Secrets that the heading above them announces: tables of INI and TOML, Kubernetes' Secrets.


_TABLE = re.compile(
    r"^[+\-]?[ \t]{0,20}\[{1,2}[ \t]{0,9}(?:[\w.\-\"' ]{0,80}[_.\-\"' :])?"
    r"(?P<name>secrets?|credentials?|creds|pass(?:words?|wds?|phrases?)|tokens?|api[_\-]?keys?)"
    r"[\"' ]{0,9}\]{1,2}[ \t]{0,9}(?:[#;][^\r\n]{0,400})?\r?\n"
    r"(?=\s{0,80}[+\-]?[ \t]{0,20}[\"'\w#;][^\r\n]{0,200}[=:])",
    re.IGNORECASE | re.MULTILINE,
)
_NEXT_TABLE = re.compile(
    r"^[+\- ]?[ \t]{0,20}\[{1,2}[\w.\-\"' :]{1,200}\]{1,2}[ \t]{0,9}"
    r"(?:[#;][^\r\n]{0,400})?\r?$|^(?:@@|diff )",
    re.MULTILINE,
)
_KIND = re.compile(r"\bkind['\"]?[ \t]{0,9}:\s{0,9}['\"]?Secret\b")
_MANIFEST_END = re.compile(r"^---|^diff ", re.MULTILINE)
_DATA = re.compile(
    r"^[+\-]?[ \t]{0,20}(?:data|stringData)[ \t]{0,9}:[ \t]{0,9}(?:#[^\r\n]{0,400})?\r?\n",
    re.MULTILINE,
)
_DATA_GROUP = re.compile(
    r"['\"](?:data|stringData)['\"]\s{0,9}:\s{0,9}(?=\{)|\b(?:data|stringData):[ \t]{0,9}(?=\{)"
)


def without_sections(text: str, replacement: str) -> str:
    """`text` without the values below such a heading."""
    if "[" in text:
        text = _without_tables(text, replacement)
    return _without_manifests(text, replacement) if _KIND.search(text) else text


def _without_tables(text: str, replacement: str) -> str:
    parts: list[str] = []
    done = 0
    for table in _TABLE.finditer(text):
        if table.start() < done:
            continue
        following = _NEXT_TABLE.search(text, table.end())
        end = following.start() if following else len(text)
        numbers = not table["name"].lower().startswith("tok")
        shown = without_values(text[table.end() : end], replacement, numbers)
        parts += [text[done : table.end()], shown]
        done = end
    return "".join([*parts, text[done:]])


def _without_manifests(text: str, replacement: str) -> str:
    """Kubernetes keeps the values of a Secret, encoded but not encrypted, below `data`."""
    borders = [0, *(m.start() for m in _MANIFEST_END.finditer(text)), len(text)]
    parts = []
    for start, end in pairwise(borders):
        manifest = text[start:end]
        parts.append(_without_data(manifest, replacement) if _KIND.search(manifest) else manifest)
    return "".join(parts)


def _without_data(manifest: str, replacement: str) -> str:
    parts: list[str] = []
    done = 0
    for data in _DATA.finditer(manifest):
        if data.start() < done:
            continue
        end = block_at(manifest, data.end(), indent_of(data.group()))
        block = without_block(manifest[data.end() : end], replacement, numbers=True)
        parts += [manifest[done : data.end()], block]
        done = end
    manifest = "".join([*parts, manifest[done:]])
    parts, done = [], 0
    budget = LONGEST * 4
    for data in _DATA_GROUP.finditer(manifest):
        if data.start() < done or budget < 0:
            continue
        end = closed_at(manifest, data.end())
        budget -= LONGEST if end < 0 else end - data.end()
        end = len(manifest) if end < 0 else end
        parts += [
            manifest[done : data.end()],
            without_values(manifest[data.end() : end], replacement, True),
        ]
        done = end
    return "".join([*parts, manifest[done:]])


# What secrets look like: names that announce one, and keys whose own form gives them away.
#
# The two lists are data; `redaction` applies them. A shape needs a fixed prefix or an
# unmistakable form, since a plain run of hexadecimal digits is as likely a commit as a key.


_NAMES = (
    r"pass(?:word|wd|phrase|code)?",
    r"passwords|passwds|passphrases|passcodes",
    r"pwds?",
    r"secrets?",
    r"tokens?",
    r"credentials?|creds?",
    (
        r"(?:api|access|account|auth|private|secret|signing|encryption|master|ssh|subscription"
        r"|licen[cs]e|munge|fernet|shared)[_\-. ]?keys?(?:[_\-](?:base|data))?"
    ),
    r"(?:client|server)[_\-]key[_\-]data",
    r"psk",
    r"secret[_\-]?id",
    r"client[_\-]?assertion",
    r"code[_\-]?verifier",
    r"activation[_\-]?code",
    r"(?:bind|root|user|db|admin|login)[_\-]?(?:pw|pwd)",
    # A name of one word that ends in one of these: PGPASSWORD, csrfmiddlewaretoken.
    r"[a-z0-9]{1,40}(?:password|passwd|passphrase|secret|token)s?",
    r"sshpass",
    # In other languages
    r"passw(?:ort|örter)",
    r"kennw(?:ort|örter)",
    r"mots?[_\-]?de[_\-]?passe",
    r"contrase[nñ]as?",
    r"senhas?",
    r"wachtwoord(?:en)?",
    r"l[oö]senord",
    r"has[lł][oa]",
    r"пароль|пароли",
    r"密码",
    r"パスワード",
    r"apikeys?",
    r"auth(?:s|orization)?",
    r"bearer",
    r"cookies?",
    r"csrf",
    r"(?:j|php)?sess(?:ion)?[_\-]?id",
    r"connect\.sid",
    r"sas",
    r"sig(?:nature)?",
    r"otp",
    r"pin[_\-]?code",
    r"access[_\-]?key[_\-]?id",
    r"awsaccesskeyid",
    r"webhook(?:[_\-]?url)?",
    r"dsn",
    r"connection[_\-]?string",
)

_WHICH = (
    r"(?:[_\-]?\d{1,3}|[_\-](?:old|new|current|previous|prod(?:uction)?|dev(?:elopment)?|test|staging"
    r"|live|default|value|plain(?:text)?|raw|str(?:ing)?|text|b64|base64|enc(?:rypted|oded)?|hash(?:ed)?"
    r"|again|confirm(?:ation)?|repeat))"
)
"""What may stand behind the name of a secret, which is one all the same: ``PASSWORD_OLD``."""

SECRET_NAMES = (
    *_NAMES,
    rf"(?:pass(?:word|wd|phrase|code)s?|pwds?|secrets?|tokens?|credentials?|(?:api|access|private)[_\-]?keys?){_WHICH}",
)
"""Last words of a name whose text value is a secret: ``DB_PASSWORD``, ``client-secret``."""

KEY_SHAPES = (
    # Clouds
    r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",
    r"AIza[0-9A-Za-z_\-]{35}",
    r"ya29\.[0-9A-Za-z_\-]{20,}",
    r"GOCSPX-[0-9A-Za-z_\-]{20,}",
    r"do[opr]_v1_[0-9a-f]{64}",
    r"dapi[0-9a-f]{32}(?:-\d)?",
    r"HRKU-[0-9A-Za-z_\-]{30,}",
    r"[0-9A-Za-z_\-]{3}8Q~[0-9A-Za-z_~.\-]{31,34}",
    r"LTAI[0-9A-Za-z]{12,20}",
    r"pul-[0-9a-f]{40}",
    r"[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=\-]{60,}",
    r"hv[sbr]\.[0-9A-Za-z_\-]{20,}",
    r"dp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z_.\-]{20,}",
    # Code hosting and package registries
    r"gh[pousr]_[0-9A-Za-z]{30,}",
    r"github_pat_[0-9A-Za-z_]{20,}",
    r"gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[0-9A-Za-z_\-.]{16,}",
    r"ATATT3[0-9A-Za-z_\-=]{30,}",
    r"ATBB[0-9A-Za-z]{24,}",
    r"npm_[0-9A-Za-z]{30,}",
    r"pypi-[0-9A-Za-z_\-]{40,}",
    r"rubygems_[0-9a-f]{40,}",
    r"cio[0-9A-Za-z]{32}",
    r"dckr_(?:pat|oat)_[0-9A-Za-z_\-]{20,}",
    # Messages and mail
    r"xox[abeoprs]-[0-9A-Za-z\-]{10,}",
    r"xapp-\d-[0-9A-Za-z\-]{10,}",
    r"SG\.[0-9A-Za-z_\-]{16,}\.[0-9A-Za-z_\-]{16,}",
    r"key-[0-9a-f]{32}",
    r"SK[0-9a-f]{32}",
    r"\d{8,10}:AA[0-9A-Za-z_\-]{32,}",
    # Data and model services
    r"hf_[0-9A-Za-z]{30,}",
    r"api_org_[0-9A-Za-z]{30,}",
    r"sk-(?:ant-|proj-|svcacct-|or-)?[0-9A-Za-z_\-]{20,}",
    r"r8_[0-9A-Za-z]{30,}",
    r"gsk_[0-9A-Za-z]{30,}",
    r"pcsk_[0-9A-Za-z_]{30,}",
    # Payment and shops
    r"(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{10,}",
    r"whsec_[0-9A-Za-z+/=]{20,}",
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    r"sq0(?:atp|csp)-[0-9A-Za-z_\-]{20,}",
    r"EAAA[0-9A-Za-z_\-]{50,}",
    # Tools
    r"lin_api_[0-9A-Za-z]{30,}",
    r"ntn_[0-9A-Za-z]{30,}",
    r"secret_[0-9A-Za-z]{30,}",
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
    r"gl(?:c|sa)_[0-9A-Za-z+/=_]{30,}",
    r"NR(?:AK|JS|II)-[0-9A-Za-z]{20,}",
    r"sntry[su]_[0-9A-Za-z+/=_]{30,}",
    r"figd_[0-9A-Za-z_\-]{30,}",
    r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}",
    r"tskey-[0-9A-Za-z\-]{20,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    # Hashes of passwords, by which these can be guessed
    (
        r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2(?:id|i|d)|scrypt|pbkdf2-sha\d{1,3})"
        r"\$[0-9A-Za-z./$=,+]{8,}"
    ),
    r"bot\d{8,10}:AA[0-9A-Za-z_\-]{32,}",
    # A file that Ansible has encrypted, by which its password can be guessed
    r"\$ANSIBLE_VAULT;[\d.]+;\w+(?:;[^\s]*)?(?:\s{1,40}[0-9a-f]{20,})+",
    # A JSON web token, signed or encrypted
    r"eyJ[0-9A-Za-z_\-]{8,400}\.[0-9A-Za-z_\-]{8,}(?:\.[0-9A-Za-z_\-]*){1,3}",
)
"""Keys that are known by their own form."""

BLOCK_SHAPES = (
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)",
    r"PuTTY-User-Key-File-\d:.*?(?:Private-MAC: [0-9a-f]+|\Z)",
)
"""Private keys that span lines; one that is cut off runs to the end of the text."""

WEBHOOK_SHAPES = (
    r"hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z/_\-]+",
    r"discord(?:app)?\.com/api/webhooks/[0-9A-Za-z/_\-]+",
    r"webhook\.office\.com/[0-9A-Za-z/@_\-]+",
)
"""Addresses that are secrets themselves."""

NAME = re.compile(rf"(?:^|[^0-9A-Za-z])(?:pw|{'|'.join(SECRET_NAMES)})$", re.IGNORECASE)
SHAPES = re.compile(rf"(?<![0-9A-Za-z_])(?:{'|'.join(KEY_SHAPES)})")
BLOCKS = re.compile("|".join(BLOCK_SHAPES), re.DOTALL)
WEBHOOKS = re.compile("|".join(WEBHOOK_SHAPES))


# Marks the names of secrets in a text, so that the forms around them are told by one character.
#
# To look for each of some fifty names in each of some fifty forms would take minutes for a long
# text; so they are looked for once, and what stands behind one of them is found by its mark.


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


# Values that are assigned to a name that says secret: in settings, code, diffs and logs.
#
# A value is found by how it begins: a quoted text, a bracket, a call, a heredoc, a plain word, or
# nothing, when the indented lines below hold it.


# Of a field that declares its type, such as ``password: str = "x"``.
_TYPED = (
    r":[ \t]{0,20}(?:[\w.]{1,30}\[){0,2}[\w.]{0,20}(?:[Ss]tr|[Bb]ytes|[Tt]ext|int|Any)\]{0,2}"
    r"(?:[ \t]{0,4}\|[ \t]{0,4}None)?[ \t]{0,20}="
    r"|::\w[\w{},.]{0,60}[ \t]{0,20}=(?!=)"
    r"|:[ \t]{0,20}(?:&'static )?[&*\w.]{1,60}(?:\[[^\]\r\n]{0,100}\]{1,3})?"
    r"(?:[ \t]{0,4}\|[ \t]{0,4}\w{1,40}){0,4}"
    r"[ \t]{1,20}=(?=[ \t]{0,20}[rbfuRBFU]{0,2}[\"'(\[{])"
)
_HEAD = re.compile(
    rf"(?P<name>{MARK}"
    r"\\{0,7}['\"]?(?:\]|\[[^\[\]\r\n]{0,60}\]|\([^()\r\n]{0,60}\)(?=[ \t]{0,9}=[^=])"
    r"|\}(?=[ \t]{0,9}=)){0,3}"
    r"(?:[ \t]{1,4}(?:\[\])?string\b)?)"
    r"[ \t]{0,40}"
    rf"(?P<how>{_TYPED}|:=|[+?|]=|=>|<-|::(?=[ \t])|[=!]=|:(?!:)|[=\uff1a\uff1d]"
    r"|(?<=[\"'])[ \t](?=\{))"
)
NEVER_A_SETTING = re.compile(
    r"(?:passw|passphrase|passcode|pwd|secret|pin|otp|key|cred)(?!.*tokens?\W*$)", re.IGNORECASE
)
_CONTAINS_NONE = re.compile(r"sig(?:nature)?\W*$", re.IGNORECASE)
_PLURAL = re.compile(r"(?:s|er|en|li)(?:\W|$)", re.IGNORECASE)
_LINE_START = re.compile(
    r"[+\-]?[ \t]*(?:[-?*#;!]+[ \t]+)*(?:(?:export|readonly|local|set|const|let|var)[ \t]+)?"
    r"\\?['\"]?[\w.\-%/]*"
)
_CODE = re.compile(
    r"[+\-]?[ \t]*(?:(?:el)?if|while|for|with|except|class|def|case|async|return|assert|else)\b"
    r"|[^\r\n]{0,200}\b(?:lambda|if)\b[^\r\n:]{0,80}$"
)
_DECORATION = re.compile(r"(?:[!&][\w!:./\-\ufdd0]*(?:[ \t]+|(?=\r?\n)))+")
_REST = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r?\n|$)")
_SCALAR = re.compile(r"[|>][+\-\d]{0,2}[ \t]*(?:#[^\r\n]*)?\r?\n")
_QUOTED = re.compile(
    r"(?P<prefix>(?:raw|[rbfuRBFUL]{1,2}|[$@])?)(?P<quote>'''|\"\"\"|'|\")"
    r"(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\r\n])*)(?P<close>(?P=quote))?"
)
_BEHIND_A_TEXT = re.compile(r"\s*(?:[)\]},;:+]|$)")
_NEXT_QUOTED = re.compile(
    r"(?:[ \t]*(?:\+|//|\|\||\.{1,2}|&|\\)[ \t]*&?[ \t]*(?:\r?\n[ \t]*&?[ \t]*)?|[ \t]*)"
    r"(?=[rbfu]{0,2}(?P<quote>['\"]))"
)
_NEXT_ITEM = re.compile(
    r"[ \t]*,[ \t]*(?:\r?\n[ \t]*)?(?=(?P<quote>['\"])(?:(?!(?P=quote))[^\r\n\\])*(?P=quote)"
    r"(?![ \t]*[:=\]]))"
)
_HEREDOC = re.compile(
    r"(?:\$\([ \t]*cat[ \t]*)?<<<?[-~]?[ \t]*['\"]?(?P<word>\w+)['\"]?[^\r\n]*\r?\n"
)
_REFERENCE = re.compile(
    r"(?:\$\{\{[ \t]*[\w.\-\ufdd0]+[ \t]*\}\}|\{\{[ \t]*[\w.\-\ufdd0]+[ \t]*\}\}"
    r"|\$\{[A-Z][A-Z0-9_\ufdd0]*\})"
    r"(?=['\"]?(?:[\s,;)}\]]|$))"
)
_OR_ELSE = re.compile(
    r"[ \t]*(?:\.\w+\([^()\r\n]{0,40}\))*[ \t]*(?:or|\|\||\?\?|else|if [^\r\n]{0,80}? else)[ \t]*"
)
_TYPE_OF_LIST = re.compile(r"[\w.]{1,40}\{")
_SAYS = re.compile(r"\b(?:echo|printf)\b")
_COMPREHENSION = re.compile(r"\bfor\b[\s\S]{1,200}?\bin\b")
_BARE = re.compile(r"[^\s'\",;&|<>]+")
_IN_BACKTICKS = re.compile(r"`[^`\r\n]{0,400}`")
_LINE_END = re.compile(r"[^\r\n]*")
_ATTRIBUTE = re.compile(
    r"(?:self|cls|this|args?|opts?|options|cfg|conf|config|settings|params|var|local|request)"
    r"(?:\.[A-Za-z_][\w\ufdd0]*)+"
)
_COMMENT = re.compile(r"(?:[ \t]+#[^\r\n]*|[ \t]*[,;]?[ \t]*)$")
_LAST_WORD = re.compile(r"[\w.\-]*$")
_CODE_MARKS = re.compile(r"[()\[\]{}=+*\"']")
_WORDS = re.compile(r"(?:[ \t]+[0-9A-Za-z]+)+[ \t]*$")
_NO_VALUES = frozenset(
    {
        *(
            "str",
            "int",
            "float",
            "bool",
            "bytes",
            "string",
            "any",
            "object",
            "optional",
            "callable",
        ),
        *("self", "literal", "none", "null", "nil", "undefined"),
        *("true", "false", "yes", "no", "on", "off"),
    }
)


def without_assigned(text: str, replacement: str) -> str:
    """`text` with each value that is assigned to the name of a secret replaced."""
    return _Reading(text, replacement).result()


@dataclass
class _Reading:
    """One text, read from its begin to its end."""

    text: str
    replacement: str
    left: int = field(init=False)

    def __post_init__(self) -> None:
        # Brackets that are never closed, one behind the other, would be searched again and again.
        self.left = 8 * len(self.text) + LONGEST

    def result(self) -> str:
        parts: list[str] = []
        done = 0
        for head in _HEAD.finditer(self.text):
            if head.start() < done:
                continue
            found = self._value(head)
            if found is not None:
                start, end, shown = found
                parts += [self.text[done:start], shown]
                done = end
        return "".join([*parts, self.text[done:]])

    def _name(self, head: re.Match[str]) -> str:
        """The name itself, which stands before its mark, and what follows it."""
        word = _LAST_WORD.search(self.text, max(0, head.start() - 60), head.start())
        return (word.group() if word else "") + head["name"]

    def _value(self, head: re.Match[str]) -> tuple[int, int, str] | None:
        """Where the value of a name is, and what is shown for it."""
        text, name, how = self.text, self._name(head), head["how"]
        strong = NEVER_A_SETTING.search(name) is not None
        line = text.rfind("\n", max(0, head.start() - 400), head.start()) + 1
        before = text[line : head.start()] if line or head.start() < 400 else "x y"
        own_line = _LINE_START.fullmatch(before) is not None
        start = _past_blanks(text, head.end())
        if text.startswith("\\\n", start):
            start = _past_blanks(text, start + 2)
        if (mark := _DECORATION.match(text, start)) and how != "==":
            start = mark.end()
        if how in ("==", "!="):
            return self._quoted(start, name) if strong else None
        if text.startswith(self.replacement, start) or _REFERENCE.match(text, start):
            return None
        if _REST.match(text, start):
            return self._below(start, line, head, own_line, strong)
        if several := self._several_lines(start, line, head):
            return several
        if quoted := _QUOTED.match(text, start):
            odd = before.count(quoted["quote"]) % 2 and _BEHIND_A_TEXT.match(quoted["quoted"])
            # "Password: " is a question: the quote behind it ends a text and begins none.
            return None if odd else self._quoted(start, name, own_line)
        if text[start] in "([{" or text.startswith("$(", start):
            return self._bracket(start, line, head, strong)
        if how == ":" and _CODE.match(before):
            return None
        call = CALL.match(text, start)
        found = self._call(start, call, strong) if call else None
        if found is None:
            return self._bare(start, line, head, own_line, strong)
        return found if found[1] > found[0] else None

    def _several_lines(
        self, start: int, line: int, head: re.Match[str]
    ) -> tuple[int, int, str] | None:
        """A scalar of YAML in lines of its own, or a heredoc."""
        text = self.text
        if scalar := _SCALAR.match(text, start):
            column = self._column(line, head)
            end = block_at(text, scalar.end(), column, items=False)
            if end > scalar.end():
                block = without_block(text[scalar.end() : end], self.replacement, True, column)
                return scalar.end(), end, block
        here = _HEREDOC.match(text, start)
        if here and self.left > 0:
            last = re.compile(rf"^[ \t]*{here['word']}\b", re.MULTILINE)
            found = last.search(text, here.end(), here.end() + LONGEST)
            self.left -= (found.end() if found else here.end() + LONGEST) - here.end()
            if found:
                return here.end(), found.start(), self.replacement + "\n"
        return None

    def _column(self, line: int, head: re.Match[str]) -> int:
        """Where the first word of the line of a name stands."""
        return indent_of(self.text[line : head.end()])

    def _below(
        self, start: int, line: int, head: re.Match[str], own_line: bool, strong: bool
    ) -> tuple[int, int, str] | None:
        """The value is below its name."""
        text = self.text
        after = text.find("\n", start) + 1
        if not after:
            return None
        first = after + len(text[after : after + 400]) - len(text[after : after + 400].lstrip())
        if text[first : first + 1] in ("{", "[", "(") and (
            "'" in head["name"] or '"' in head["name"]
        ):
            return self._bracket(first, line, head, strong)
        if "=" in head["how"] and _QUOTED.match(text, first):
            return self._quoted(first, self._name(head))
        if not own_line or _CONTAINS_NONE.search(self._name(head)):
            return None
        end = block_at(text, after, self._column(line, head))
        if end == after:
            return None
        return after, end, without_block(text[after:end], self.replacement, strong)

    def _quoted(self, start: int, name: str, own_line: bool = False) -> tuple[int, int, str] | None:
        """A text in quotes, and those that it is joined with."""
        text = self.text
        parts: list[str] = []
        end = position = start
        plural = _PLURAL.search(name) is not None
        while quoted := _QUOTED.match(text, position):
            quote = quoted["quote"]
            stop, closed = quoted.end(), bool(quoted["close"])
            if len(quote) == 3 and not closed:
                close = text.find(quote, quoted.end(), quoted.end() + LONGEST)
                closed = close >= 0
                stop = close + 3 if closed else quoted.end()
            elif not closed and own_line:
                later = text_closed_at(text, stop, quote)
                closed, stop = later > 0, later if later > 0 else stop
            inner = text[quoted.end("quote") : stop - (len(quote) if closed else 0)]
            shown = self.replacement if inner and not _REFERENCE.fullmatch(inner) else inner
            parts += [text[end:position], quoted["prefix"], quote, shown, quote if closed else ""]
            end = stop
            if not closed:
                break
            following = _NEXT_QUOTED.match(text, end)
            if following is None and plural:
                following = _NEXT_ITEM.match(text, end)
            if following is None:
                break
            line = text.rfind("\n", max(0, start - 400), start) + 1 or max(0, start - 400)
            other = following["quote"]
            if following.end() == end and quote != other and text.count(other, line, start) % 2:
                break  # the end of a text around this one
            position = following.end()
        shown = "".join(parts)
        return None if shown == text[start:end] else (start, end, shown)

    def _bracket(
        self, start: int, line: int, head: re.Match[str], strong: bool
    ) -> tuple[int, int, str] | None:
        """A group in brackets; one that is never closed runs as far as its lines are indented."""
        text = self.text
        if _CONTAINS_NONE.search(self._name(head)):
            return None
        end = self._closed(start + (text[start] == "$"))
        if end < 0:
            end = text.find("\n", start) + 1 or len(text)
            end = max(end, block_at(text, end, self._column(line, head)))
            return start, end, without_values(text[start:end], self.replacement, strong)
        if text[start:end] == "[]" and (typed := _TYPE_OF_LIST.match(text, end)):
            return self._bracket(typed.end() - 1, line, head, strong)
        if text[end - 1] in ")]}" and text[end : end + 1].isalnum():
            return self._bare(start, line, head, False, strong)  # {SSHA}x
        group = text[start:end]
        inner = group[1:-1].strip()
        asked = group.startswith("$(") or (group[0] == "(" and CALL.match(inner))
        if (
            asked
            and "<<" not in group
            and not LITERAL.search(group)
            and not _SAYS.search(group)
            and not _looks_random(inner)
        ):
            return None
        if _COMPREHENSION.search(group) and not LITERAL.match(inner):
            return None
        if head["how"] == "==":
            return None
        return start, end, without_values(group, self.replacement, strong)

    def _closed(self, start: int) -> int:
        if self.left <= 0:
            return -1
        end = closed_at(self.text, start)
        self.left -= (end - start) if end >= 0 else min(LONGEST, len(self.text) - start)
        return end

    def _call(self, start: int, call: re.Match[str], strong: bool) -> tuple[int, int, str] | None:
        """A call or a subscript: nothing to replace is a value of no length, None is no call."""
        text = self.text
        end = self._closed(call.end())
        if end < 0 or not AFTER_CALL.match(text, end):
            return None
        group, callee = text[call.end() : end], call["callee"].replace(MARK, "")
        asked = group[0] == "(" and asks(callee)
        shown = group
        if group[0] == "(" and not asked:
            shown = without_arguments(callee, group, self.replacement, strong)
        if other := _OR_ELSE.match(text, end):
            more = self._quoted(other.end(), "") if _QUOTED.match(text, other.end()) else None
            if more:
                before = text[start : call.end()] + shown + text[end : more[0]]
                return start, more[1], before + more[2]
        if asked:
            return start, end, text[start:end]
        if shown == group:
            return start, start, ""
        return call.end(), end, shown

    def _says_nothing(self, value: str, strong: bool) -> bool:
        """Whether a plain word is no secret: a type, a truth value, an attribute, a setting."""
        if not value or value.lower() in _NO_VALUES or value.startswith(self.replacement):
            return True
        number = NUMBER.fullmatch(value) is not None and not strong  # `sig = 0.1`
        return number or _ATTRIBUTE.fullmatch(value) is not None

    def _bare(
        self, start: int, line: int, head: re.Match[str], own_line: bool, strong: bool
    ) -> tuple[int, int, str] | None:
        """A plain word, or the rest of a line of settings and what continues it below."""
        text = self.text
        word = _BARE.match(text, start)
        if word is None:
            return None
        bare = word.group()
        value = bare.rstrip(")}]")
        if self._says_nothing(value, strong):
            return None
        end = word.start() + len(value)
        if text[word.end() : word.end() + 1] in ("'", '"'):
            # What was no call is no word of code either: a password with a quote in it.
            quoted = _QUOTED.match(text, word.end())
            assert quoted is not None
            end = quoted.end()
        while text[end - 1] == "\\" and text[end : end + 1] in ("\r", "\n"):
            line_end = (
                _LINE_END.match(text, text.index("\n", end) + 1)
                if "\n" in text[end : end + 2]
                else None
            )
            if line_end is None:
                break
            end = line_end.end()
        if bare[0] == "`" and (quoted := _IN_BACKTICKS.match(text, start)):
            end = quoted.end()  # what a shell runs, a template of JavaScript
        if not own_line or _CONTAINS_NONE.search(self._name(head)):
            return start, end, self.replacement
        rest = _LINE_END.match(text, end)
        assert rest is not None
        after = rest.group()
        how = head["how"]
        apart = text[head.end() : head.end() + 1] in (" ", "\t")
        if not (apart or _WORDS.match(after)):
            return start, end, self.replacement
        if not strong and (how != ":" or '"' in head["name"]) and _CODE_MARKS.search(after):
            return start, end, self.replacement
        comment = _COMMENT.search(after)
        end = rest.end() - (len(comment.group()) if comment else 0)
        if end < rest.end() or not apart or rest.end() == len(text):
            return start, end, self.replacement
        below = text.find("\n", end) + 1
        stop = (
            block_at(text, below, self._column(line, head), items=False, words=True) if below else 0
        )
        if stop <= below:
            return start, end, self.replacement
        block = without_block(text[below:stop], self.replacement, True, 0)
        return start, stop, self.replacement + text[end:below] + block


def _past_blanks(text: str, start: int) -> int:
    while text[start : start + 1] in (" ", "\t"):
        start += 1
    return start


def _looks_random(text: str) -> bool:
    return len(text) > 16 and re.fullmatch(r"[0-9A-Za-z+/=_\-]+", text) is not None


# A name that says secret in one place and its value in the next: in calls, tables and options.
#
# Here are pairs that stand apart by the grammar of what they are written in: the arguments of a
# call, a `name` and a `value` of a mapping, the elements of XML, the words of a command.


_names_pairs = "|".join(SECRET_NAMES)
_words = rf"(?:pass(?:word|wd|phrase|code)s?|passwor[td]e?|kennwort|pwd){MARK}"
_named = rf"[\w.\-]{{0,80}}{MARK}"
_text = rf"[^'\"\r\n{MARK}][^'\"\r\n]{{0,2000}}"
_arguments = r"(?:[^()'\"\r\n]|'[^'\r\n]{0,200}'|\"[^\"\r\n]{0,200}\"){0,100}?"
_quote = r"[bruf]{0,2}['\"]"
_option = rf"--?[\w\-]{{1,100}}{MARK}"

_NO_VALUE = (
    rf"(?!-|{_named}['\"]|(?:[<>=|]?[a-zA-Z]\d{{1,2}}|u?int\d+|float\d+|str|bytes|object|string"
    r"|user(?:name)?|login|e?mail|id|name|key|value|host|port|db|database|none|null)['\"])"
)
"""Not another name, and no dtype."""

_SOURCES = (
    # {"name": "DB_PASSWORD", "value": "x"}, <property name="db.password" value="x"/>
    (
        rf"(?P<name>\b(?:name|key|id|variable|field|property)\\{{0,3}}['\"]?\s{{0,9}}[:=]\s{{0,9}}"
        rf"\\{{0,3}}['\"]?{_named}\\{{0,3}}['\"]?(?=[\s,;'\"\\])[^{{}}<>\[\]]{{0,160}}?"
        r"\b(?:value|val|default|content|string_value|text)\\{0,3}['\"]?\s{0,9}[:=]\s{0,9}"
        r"\\{0,3}['\"]?)"
        r"(?P<value>(?<=['\"])[^'\"\r\n\\]{1,2000}|(?<!['\"])[^\s,'\"}\]\\][^\r\n,}'\"]{0,2000})"
    ),
    # the same with the value first
    (
        r"(?P<name>\b(?:value|default|content)\\{0,3}['\"]?\s{0,9}[:=]\s{0,9}\\{0,3}['\"]?)"
        r"(?P<value>(?<=['\"])[^'\"\r\n\\]{1,400}|(?<!['\"])[^\s,'\"}\]\\][^\r\n,}'\"]{0,400})"
        rf"(?=\\{{0,3}}['\"]?[\s,;]{{1,60}}['\"\\]{{0,4}}(?:name|key|id)\\{{0,3}}['\"]?\s{{0,9}}[:=]\s{{0,9}}"
        rf"\\{{0,3}}['\"]?{_named}\\{{0,3}}(?:['\"]|\s|$))"
    ),
    # <entry key="password">x, <name>password</name><value>x, <password><![CDATA[x
    (
        rf"(?P<name><\w[\w:.\-]{{0,40}}\s[^<>]{{0,100}}\b(?:key|name|id)\s?=\s?['\"]{_named}['\"]"
        r"[^<>/]{0,100}>\s{0,80}(?:<value>\s{0,80})?)(?P<value>[^<\s][^<]{0,2000})"
    ),
    (
        rf"(?P<name>{MARK}\s{{0,9}}</[\w:.\-]{{1,40}}>\s{{0,80}}<[\w:.\-]{{1,40}}>\s{{0,40}})"
        r"(?P<value>[^<\s][^<]{0,2000})"
    ),
    rf"(?P<name>{MARK}(?:\s[^<>]{{0,200}})?>\s{{0,40}}<!\[CDATA\[)(?P<value>[^\]]{{1,2000}})",
    # password, a colon on the next line: a YAML key by itself
    (
        rf"(?P<name>\?[ \t]{{1,9}}['\"]?{_named}['\"]?[ \t]{{0,9}}\r?\n[ \t]{{0,80}}:[ \t]{{1,9}})"
        rf"(?P<value>[^\r\n]{{1,2000}})"
    ),
    # the anchor of a value
    rf"(?P<name>(?<=[ \t:])&{_named}[ \t]{{1,9}})(?P<value>[^\s&|>][^\r\n]{{0,2000}})",
    # a call of set_password, or of Credentials, with the secret as its last text
    (
        r"(?P<name>(?:\b(?:set|put|add|create|update|change|store|check|verify|hash|make)_?"
        rf"(?:{_names_pairs})|\b(?:secret(?:str|bytes)?|password|credentials?)|(?:basic|digest)_?auth)"
        rf"\s?\({_arguments}['\"])(?P<value>{_text})(?=['\"]\s{{0,20}},?\s{{0,20}}\))"
    ),
    # a login of a user by a password
    (
        rf"(?P<name>\b(?:log_?in|sign_?in|authenticate|connect|userpass\w{{0,20}})\s?\({_arguments}['\"]"
        rf"[^'\"\r\n]{{0,200}}['\"]\s{{0,9}},\s{{0,9}}['\"])"
        rf"(?P<value>{_text})(?=['\"]\s{{0,20}},?\s{{0,20}}\))"
    ),
    # an option of a program, with its default
    (
        rf"(?P<name>{MARK}['\"]\s{{0,9}},(?:[^()'\"]|{_quote}[^'\"\r\n]{{0,200}}['\"]){{0,80}}?"
        rf"\b(?:default|value|fallback|initial|const)\s{{0,9}}=\s{{0,9}}{_quote})(?P<value>{_text})"
    ),
    # what a function gets or sets by its name: the default of getenv, and the like
    (
        r"(?P<name>(?:getenv|get|set|put|setenv|putenv|set_?default|setattr|pop|define|set_?property"
        rf"|set_?item|add_?header|config|options?)\s?\({_arguments}{_quote}{_named}['\"]\s?,\s{{0,20}}"
        rf"{_quote}){_NO_VALUE}(?P<value>{_text})"
    ),
    # ("password", "x"); a word for a password in any list of arguments
    (
        rf"(?P<name>[(\[]\s?{_quote}{_named}['\"]\s?,\s{{0,20}}{_quote}){_NO_VALUE}"
        rf"(?P<value>{_text})"
        r"(?=['\"]\s?[)\]])"
    ),
    rf"(?P<name>['\"]{_words}['\"]\s?,\s?['\"]){_NO_VALUE}(?P<value>{_text})",
    # ["--password", "x"] of a command, also one item a line
    (
        rf"(?P<name>['\"]{_option}['\"]\s{{0,40}},\s{{0,40}}{_quote})"
        rf"(?!-)(?P<value>{_text})"
    ),
    (
        rf"(?P<name>['\"](?:-u|--user|--proxy-user)['\"]\s{{0,20}},\s{{0,40}}['\"][^'\":\r\n]{{1,60}}:)"
        rf"(?P<value>{_text})"
    ),
    (
        rf"(?P<name>-[ \t]{{1,9}}['\"]?{_option}['\"]?[ \t]{{0,9}}"
        r"\r?\n[+\-]?[ \t]{0,80}-[ \t]{1,9}['\"]?)(?P<value>[^\s\-'\"][^\r\n'\"]{0,2000})"
    ),
    (
        rf"(?P<name>[\[,][ \t]?{_option},[ \t]{{0,5}})"
        r"(?P<value>[^\s,\]'\"\-][^\s,\]'\"]{0,2000})"
    ),
    # --password 'x y', --password 123
    (
        rf"(?P<name>(?<!\S){_option}[ \t]{{1,20}}['\"])"
        rf"(?P<value>{_text})"
    ),
    (
        rf"(?P<name>(?<!\S)--?(?:[A-Za-z0-9]{{1,30}}[_\-]){{0,4}}{_words}[ \t]{{1,20}})"
        r"(?P<value>\d[^\s'\"]{0,2000})"
    ),
    # setenv NAME x, ENV NAME x, set(NAME x), #define NAME x
    (
        r"(?P<name>(?:\bsetenv|\bENV|\bset(?:[ \t]-\w{1,4}){0,2}|#[ \t]?define"
        r"|\bread(?:[ \t]-\w){0,2})"
        rf"[ \t(]{{1,3}}(?:(?:::)?env[({{]|ENV[({{])?['\"]?{_named}['\")}}]{{0,2}}[ \t,]{{1,10}}"
        r"(?:<<<[ \t]{0,3})?['\"]?)(?!(?:to|as|in|for|from|and|or|if|is|by|with|on)\b)"
        r"(?P<value>[^\s'\"=:(<,.\-][^\s'\")]{0,2000})"
    ),
    # echo x | docker login --password-stdin
    (
        r"(?P<name>\b(?:echo|printf)(?:[ \t]{1,3}"
        r"(?:-\w{1,3}|['\"]%s(?:\\n)?['\"])){0,3}[ \t]{1,3}['\"]?)"
        r"(?P<value>[^\s'\"|$][^'\"|\r\n]{0,400}?)(?=['\"]?[ \t]{0,9}\|[^\r\n]{0,200}?"
        rf"(?:password{MARK}?-stdin|--stdin|passphrase-fd|chpasswd|sudo -S))"
    ),
    # IDENTIFIED BY 'x', WITH PASSWORD 'x'
    (
        rf"(?P<name>\b(?:identified[ \t]{{1,9}}by(?:[ \t]{{1,9}}password{MARK}?)?"
        rf"|{_words})[ \t]{{1,9}}['\"])"
        rf"(?P<value>{_text})(?=['\"])"
    ),
    # std::string password{"x"}
    (
        rf"(?P<name>\bstring[ \t]{{1,9}}\w{{0,60}}?(?:{_names_pairs}){MARK}?[({{]\s?\")"
        rf"(?P<value>[^\"\r\n]{{1,2000}})"
    ),
    # &quot;password&quot;: &quot;x
    rf"(?P<name>{MARK}&quot;\s{{0,9}}[:=]\s{{0,9}}&quot;)(?P<value>(?:(?!&quot;)[^\s<>]){{1,400}})",
    # a field of a form that was sent
    rf"(?P<name>\bname=['\"]{_named}['\"]\r?\n\r?\n)(?P<value>[^\r\n]{{1,2000}})",
    # | password | x1 |
    (
        rf"(?P<name>{MARK}[ \t]{{0,40}}\|[ \t]{{0,40}})"
        r"(?=[^|\s]{0,200}\d)(?=[^|\s]{0,200}[A-Za-z])"
        r"(?P<value>[^\s|]{6,2000})"
    ),
    (
        rf"(?P<name>\bpassword{MARK}[ \t]{{1,20}}\S{{1,400}}[ \t]{{1,20}}account[ \t]{{1,20}})"
        rf"(?P<value>\S{{1,400}})"
    ),
    # ''x'' of Nix
    rf"(?P<name>{MARK}[ \t]{{0,9}}=[ \t]{{0,9}}'')(?P<value>[^'\r\n]{{1,2000}})(?='')",
)

PAIRS = tuple(re.compile(source, re.IGNORECASE | re.MULTILINE) for source in _SOURCES)
"""Each with the groups `name`, which stays, and `value`, which goes."""

PROGRAMS = (
    r"(?P<name>\b(?:zip|ipmitool)\b[^\n|;&]{0,200}?[ \t]-P[ =]{0,3})(?P<value>[^\s\-]\S{0,2000})",
    r"(?P<name>\b(?:7za?|7zz|u?nrar|rar)\b[^\n|;&]{0,200}?[ \t]-p)(?P<value>\S{1,2000})",
    (
        r"(?P<name>\bldap(?:search|add|modify|whoami|passwd|delete)\b"
        r"[^\n|;&]{0,200}?[ \t]-w[ \t]{0,3})"
        r"(?P<value>[^\s\-]\S{0,2000})"
    ),
    r"(?P<name>\bredis-cli\b[^\n|;&]{0,200}?[ \t]-a[ \t]{1,3})(?P<value>[^\s\-]\S{0,2000})",
    r"(?P<name>[ \t]-U[ \t]{0,3}[\w\\./]{1,60}%)(?P<value>\S{1,2000})",
    r"(?P<name>\bopenssl\b[^\n|;&]{0,200}?[ \t]-[kK][ \t]{1,3})(?P<value>[^\s\-]\S{0,2000})",
    r"(?P<name>\bpass(?:in|out)?[ \t=]{1,3}pass:)(?P<value>\S{1,2000})",
)
"""Programs that take a password by an option of one letter."""


# Secrets in the writing of other languages: shell commands, XML, JSON within a text, prose.
#
# `redaction` knows values that are assigned to a name. Here are the other ways in which a name and
# its secret stand side by side in a log, a script or a configuration file. Each form says what a
# value must look like there, since most words behind the word "token" are no secret.


_words_quoted = r"pass(?:word|wd|phrase|code)|passwor[td]e?|kennwort"

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
                    rf"(?P<name>\b(?:{_words_quoted}){MARK}?\s{{1,10}}for\s{{1,10}}['\"][^'\"\n]{{0,200}}['\"]:"
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


# Takes secrets out of texts, arguments and addresses before they become part of a record.
#
# When in doubt the text goes: a record with a gap is worth more than one that nobody may share.


REDACTED = "***"

_names_redaction = "|".join(SECRET_NAMES)

# Every quantifier before something that may fail is bounded: texts of a mebibyte pass here.
_USER = re.compile(
    # scheme://anything@host: all up to the last @ of the authority; a password may hold a slash,
    # and a path that was normalised has lost one of the two at the front.
    r"(?<![A-Za-z0-9+.\-])(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30}:/{1,2})"
    r"(?P<user>[^\s/?#'\"<>@:]{0,200}:(?!\d+/)[^\s'\"<>@]{1,400}(?:@[^\s/?#'\"<>@]{1,200})??"
    r"|[^\s/?#'\"<>]{0,600})@(?![^\s/?#'\"<>]{0,200}@)"
)
_QUERY = re.compile(
    rf"(?P<name>[?&;#](?:[A-Za-z0-9_.\-]{{0,60}}[_.\-])?(?:{_names_redaction}|key|code|jwt|pw|appid))"
    r"=(?P<value>\{[^{}\r\n]{1,200}\}|[^&#;\s'\"<>]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<name>\b(?:authorization|proxy-authorization|x-[a-z\-]{0,40}(?:token|key|auth)|cookie"
    r"|set-cookie)['\"]?[ \t]{0,20}[:=][ \t]{0,20}(?:[bruf]{0,2}['\"])?)"
    r"(?P<value>[^'\"\s\[({][^'\"\r\n]*)",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    r"\b(?P<name>bearer|basic|negotiate)[ \t]{1,20}(?P<value>(?=[a-z+/_.~\-]{0,100}[0-9A-Z=])"
    r"[0-9A-Za-z+/=_.~\-]{12,})"
)
_NETRC = re.compile(
    r"(?P<name>(?:\blogin\s{1,20}\S{1,200}\s{1,20}|^[ \t]{0,20})(?:password|account)[ \t]{1,20})"
    r"(?P<value>\S+)(?=[ \t]*$|\s+(?:account|password|macdef|machine)\b)",
    re.MULTILINE,
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LOGINS = frozenset({"ssh", "git+ssh", "sftp", "rsync", "scp", "svn+ssh"})
_PLAIN_WORDS = frozenset({"password", "passwd", "passphrase"})
_WITH_P = frozenset({"sshpass", "docker", "podman", "mysql", "mysqldump", "mariadb", "mongosh"})
"""Programs whose ``-p`` is a password."""
_LOGIN = re.compile(
    r"(?P<name>(?<!\S)(?:-u|--user|--proxy-user|--http-user)[ \t=]{1,4}[^\s:'\"]{1,60}:)"
    r"(?P<value>[^\s'\"]{1,400})"
)
_HEX = re.compile(r"[0-9a-f]{32,64}")
_LOGIN_OPTIONS = frozenset({"-u", "--user", "--proxy-user", "--login", "--http-user"})


def redact_text(text: str) -> str:
    """`text` without the secrets in it, each replaced by ``***``.

    Recognised are private keys, keys of known form, user names and passwords in addresses,
    secret query parameters, authorization headers, and values assigned to a name that says
    secret (``password: x``, ``API_TOKEN=x``, ``"client_secret": "x"``).

    Examples
    --------
    >>> redact_text("https://me:hunter2@example.org/data?token=abc&n=3")
    'https://***@example.org/data?token=***&n=3'
    >>> redact_text("DB_PASSWORD=hunter2 n=512")
    'DB_PASSWORD=*** n=512'
    """
    if len(text) < 4:
        return text
    text = BLOCKS.sub(REDACTED, text)
    text = WEBHOOKS.sub(lambda m: m.group().split("/", 1)[0] + "/" + REDACTED, text)
    text = SHAPES.sub(REDACTED, text)
    text = redact_url(text)
    text = _HEADER.sub(_keep_name, text)
    text = _LOGIN.sub(_keep_name, text)
    text = _SCHEME.sub(rf"\g<name> {REDACTED}", text)
    text = _without_named(without_sections(text, REDACTED))
    return _NETRC.sub(_keep_name, text)


def redact_url(url: str) -> str:
    """`url`, or every address in a text, without user names, passwords and secret parameters.

    The login name of an SSH address stays: ``ssh://git@host/x`` has no secret in it.
    """
    url = SHAPES.sub(REDACTED, url)
    url = _USER.sub(_login, url)
    return _QUERY.sub(rf"\g<name>={REDACTED}", url)


def redact_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """Command line arguments without secrets, also those that follow their option.

    Examples
    --------
    >>> redact_arguments(["run.py", "--password", "hunter2", "--n", "512", "--token=x"])
    ('run.py', '--password', '***', '--n', '512', '--token=***')
    """
    result: list[str] = []
    waiting = False
    login = False
    program = False
    for argument in arguments:
        option = argument.startswith("-") and len(argument) > 1
        if waiting and not option:
            result.append(REDACTED)
            waiting = False
            continue
        if login and ":" in argument:
            result.append(f"{argument.partition(':')[0]}:{REDACTED}")
            login = False
            continue
        name, equals, value = argument.partition("=")
        if equals and value and is_secret_name(name.lstrip("-")):
            result.append(f"{name}={REDACTED}")
        elif name in _LOGIN_OPTIONS and ":" in value:
            result.append(f"{name}={value.partition(':')[0]}:{REDACTED}")
        elif program and argument.startswith("-p") and len(argument) > 2:
            result.append(f"-p{REDACTED}")
        elif result and result[-1] == "login" and _HEX.fullmatch(argument):
            result.append(REDACTED)
        else:
            result.append(redact_text(argument))
        told = argument.lstrip("-").lower()
        named = option and not equals and (is_secret_name(told) or told == "pw")
        waiting = named or told in _PLAIN_WORDS or (program and argument == "-p")
        login = argument in _LOGIN_OPTIONS
        program = program or argument.rpartition("/")[2] in _WITH_P
    return tuple(result)


def is_secret_name(name: str) -> bool:
    """Whether a text value under `name` has to be taken for a secret."""
    return NAME.search(_HUMP.sub("_", name)) is not None


def never_a_setting(name: str) -> bool:
    """Whether a number under the name of a secret is one too: a `token` may be a count."""
    return NEVER_A_SETTING.search(name) is not None


def _without_named(text: str) -> str:
    """`text` without what stands beside a name that says secret."""
    text = text.replace(MARK, "\ufffd")
    parts: list[str] = []
    done = 0
    for start, end in near_hints(text):
        parts += [text[done:start], without_quoted(marked(text[start:end]), REDACTED)]
        done = end
    named = "".join([*parts, text[done:]])
    if MARK in named:
        named = without_assigned(named, REDACTED)
    return named.replace(MARK, "")


def _keep_name(match: re.Match[str]) -> str:
    return match["name"] + REDACTED


def _login(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    if scheme.partition(":")[0].lower() in _LOGINS and ":" not in user:
        return match.group()
    return f"{scheme}{REDACTED}@"


# Secrets among values that are no longer text: mappings, lists, command lines as lists.


_TYPE = re.compile(r"[A-Za-z_]\w*(?:\.[\w<>]+)+")
_NAMES_TREES = ("name", "Name", "key", "Key", "id", "variable")
_VALUES_TREES = ("value", "Value", "default", "val", "content")
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
    for value in _VALUES_TREES:
        if facts.get(value):
            for name in _NAMES_TREES:
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
