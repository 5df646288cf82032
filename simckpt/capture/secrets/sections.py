"""Secrets that the heading above them announces: tables of INI and TOML, Kubernetes' Secrets."""

from __future__ import annotations

import re
from itertools import pairwise

from .groups import LONGEST, block_at, closed_at, indent_of, without_block, without_values

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
