"""A report as Markdown, short enough for a comment on a change."""

from __future__ import annotations

import re
from itertools import groupby

from .sections import (
    VERDICT_WORDS,
    Block,
    Item,
    Line,
    Matrix,
    Paragraph,
    Remaining,
    Report,
    Span,
    TableBlock,
    share_text,
    span,
)
from .text import clean, plural

MOST_ROWS = 10
WORD_JOINER = "\u2060"
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$])|^(?=[-+])")
_CALLING = re.compile(r"([@#]|:(?=//))")
"""What a forge would make a mention, a reference or a link of, in spite of a backslash."""


def markdown(report: Report) -> str:
    """The Markdown text of a report."""
    parts = [f"## {VERDICT_WORDS[report.verdict]}: {plain(report.headline)}"]
    parts.append(plain(report.subtitle))
    for section in report.sections:
        parts.append(f"### {plain(section.title)}" if section.title else "")
        for of_text, blocks in groupby(section.blocks, lambda b: isinstance(b, Paragraph)):
            texts = [_block(block) for block in blocks]
            parts += [_bounded(texts)] if of_text else texts
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str, longest: int = 0) -> str:
    """Text of a bundle that no Markdown reader takes for markup, a mention or a link."""
    escaped = _SPECIAL.sub(r"\\\1", clean(text, longest))
    return _CALLING.sub(rf"\1{WORD_JOINER}", escaped)


def _bounded(lines: list[str]) -> str:
    if len(lines) == 1:
        return lines[0]
    remaining = len(lines) - MOST_ROWS
    rows = [f"- {line}" for line in lines[:MOST_ROWS]]
    return "\n".join([*rows, *([f"- ... and {remaining:,} more"] if remaining > 0 else [])])


def _block(block: Block) -> str:
    if isinstance(block, TableBlock):
        columns = [(i, c) for i, c in enumerate(block.columns) if not c.wide]
        rows = [[_span(span(row[i], c.width)) for i, c in columns] for row in block.rows]
        return _table([c.heading for _, c in columns], rows, max(MOST_ROWS, min(block.most, 24)))
    if isinstance(block, Matrix):
        rows = [
            [f"**{name}**", *(cell.sign for cell in row)]
            for name, row in zip(block.names, block.cells, strict=True)
        ]
        return _table(["", *block.names], rows, len(rows))
    if isinstance(block, Item):
        number = f"{block.number}. " if block.number else ""
        share = "" if block.share is None else f" ({share_text(block.share)})"
        notes = "".join(f"  \n   {_line(note)}" for note in block.notes)
        return f"{number}{_line(block.head)}{share}{notes}"
    if isinstance(block, Remaining):
        return f"... and {block.total - block.limit:,} more {block.noun}"
    return _line(block.line)


def _line(spans: Line) -> str:
    return "".join(_span(s) for s in spans)


def _span(s: Span) -> str:
    text = plain(s.text, s.width and s.width * 3 // 2)
    return f"**{text}**" if s.style == "strong" and text.strip() else text


def _table(head: list[str], rows: list[list[str]], most: int) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(row) for row in rows[:most]]
    text = "\n".join(f"| {line} |" for line in lines)
    remaining = len(rows) - most
    return text + (f"\n\n... and {plural(remaining, 'more row')}" if remaining > 0 else "")
