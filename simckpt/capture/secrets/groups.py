"""Secrets in groups: what stands in brackets, or indented, behind a name that says secret.

No grammar is parsed here, since a text may be a piece of one: a diff, a log, a file that was cut.
Brackets are matched, indentation is followed, and in what they hold each value goes while names,
brackets and line ends stay.
"""

from __future__ import annotations

import re

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
_SCALAR = re.compile(r"[|>][+\-\d]{0,2}[ \t]*(?:#.*)?$")

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
        elif _SCALAR.search(body):
            scalar = mark.end("indent")
            lines.append(line)
        else:
            lines.append(line[: mark.end()] + without_values(body, replacement, numbers) + end)
    return "".join(lines)
