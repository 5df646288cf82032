"""A report before it is printed: headings, sentences, tables and items, built once from a result.

`terminal` here, `markdown.markdown` and `html.page` write any report. Text in it is as the bundle
has it; each writer makes it harmless in its own format and cuts it to what its lines hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.verdict import Verdict
from .text import clean, indented, more, percent, section, table

Style: TypeAlias = Literal["", "strong", "soft", "good", "bad", "unsure", "key-a", "key-b"]

VERDICT_WORDS: dict[Verdict, str] = {
    "same": "SAME",
    "different": "DIFFERENT",
    "could-not-compare": "COULD NOT COMPARE",
}
_VERDICT_STYLES: dict[Verdict, str] = {
    "same": "bold green",
    "different": "bold red",
    "could-not-compare": "bold yellow",
}
_STYLES: dict[Style, str] = {
    "": "",
    "strong": "bold",
    "soft": "dim",
    "good": "green",
    "bad": "red",
    "unsure": "yellow",
    "key-a": "bold",
    "key-b": "bold",
}


@dataclass(frozen=True)
class Span:
    """A piece of text in one style; `width` is what a terminal shows of it, 0 for all."""

    text: str
    style: Style = ""
    width: int = 0


Line: TypeAlias = tuple[Span, ...]


@dataclass(frozen=True)
class ReportColumn:
    """A column of a table; one that is `wide` only fits on a page for a browser."""

    heading: str
    number: bool = False
    width: int = 0
    wide: bool = False


@dataclass(frozen=True)
class TableBlock:
    """Rows under headings. A terminal shows `most` of them and, if `bare`, no headings."""

    columns: tuple[ReportColumn, ...]
    rows: tuple[tuple[str | Span, ...], ...]
    noun: str = "rows"
    most: int = 12
    bare: bool = False


@dataclass(frozen=True)
class Paragraph:
    """A sentence or a few."""

    line: Line


@dataclass(frozen=True)
class Item:
    """A line with what explains it below; a numbered one has its share of the probability."""

    head: Line
    notes: tuple[Line, ...] = ()
    number: int | None = None
    share: float | None = None


@dataclass(frozen=True)
class MatrixCell:
    """One pair of runs: the sign that is shown, what it means, and how strong its colour is."""

    sign: str
    meaning: str
    verdict: Verdict | None
    strength: int = 0


@dataclass(frozen=True)
class Matrix:
    """Each with each; `names` head both rows and columns."""

    names: tuple[str, ...]
    cells: tuple[tuple[MatrixCell, ...], ...]


@dataclass(frozen=True)
class Remaining:
    """How many of something were left out before a report was built."""

    total: int
    limit: int
    noun: str


Block: TypeAlias = TableBlock | Paragraph | Item | Matrix | Remaining


@dataclass(frozen=True)
class ReportSection:
    """Blocks under a heading; one without a heading belongs to what comes before."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report: the verdict, a headline, a line below it, and sections."""

    title: str
    verdict: Verdict
    headline: str
    subtitle: str
    sections: tuple[ReportSection, ...]


def line(*parts: str | tuple[str, Style] | Span) -> Line:
    """A line of pieces, each plain text, ``(text, style)`` or a span."""
    return tuple(
        part if isinstance(part, Span) else Span(part) if isinstance(part, str) else Span(*part)
        for part in parts
    )


def paragraph(*parts: str | tuple[str, Style] | Span) -> Paragraph:
    """A paragraph of such pieces."""
    return Paragraph(line(*parts))


def span(cell: str | Span, width: int = 0) -> Span:
    """A cell as a span, cut at its column's width unless it has its own."""
    if isinstance(cell, str):
        return Span(cell, width=width)
    return Span(cell.text, cell.style, cell.width or width)


def sentence(text: str) -> str:
    """`text` with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def share_text(part: float) -> str:
    """A cause's share: it orders the causes and is no certainty, so it never reads 100 %."""
    return percent(min(part, 0.99))


def terminal(report: Report) -> Group:
    """A report for a terminal of up to 100 columns."""
    word = VERDICT_WORDS[report.verdict]
    head = Text.assemble((word, _VERDICT_STYLES[report.verdict]), "  ", clean(report.headline))
    parts: list[RenderableType] = [head]
    if report.subtitle:
        parts.append(indented(Text(clean(report.subtitle)), len(word) + 2))
    for part in report.sections:
        blocks: list[RenderableType] = []
        for block in part.blocks:
            if isinstance(block, TableBlock) and blocks:
                blocks.append(Text(" "))
            blocks += _block(block)
        parts.append(section(part.title, *blocks) if part.title else Group(Text(""), *blocks))
    return Group(*parts)


def _block(block: Block) -> list[RenderableType]:
    if isinstance(block, Paragraph):
        return [_text(block.line)]
    if isinstance(block, TableBlock):
        return _table(block)
    if isinstance(block, Item):
        return _item(block)
    if isinstance(block, Remaining):
        return [more(block.total, block.limit, block.noun)]
    out = table("", *(f"{name}>" for name in block.names))
    styles = {None: "dim", "same": "green", "different": "red", "could-not-compare": "yellow"}
    for name, row in zip(block.names, block.cells, strict=True):
        out.add_row(Text(name, style="dim"), *(Text(c.sign, style=styles[c.verdict]) for c in row))
    return [out]


def _text(spans: Line, style: str = "") -> Text:
    pieces = [(clean(s.text, s.width), _STYLES[s.style]) for s in spans]
    return Text.assemble(*pieces, style=style)


def _table(block: TableBlock) -> list[RenderableType]:
    columns = [(i, c) for i, c in enumerate(block.columns) if not c.wide]
    out = table(*(c.heading + ">" * c.number for _, c in columns))
    out.columns[0].no_wrap = True
    out.show_header = not block.bare
    for row in block.rows[: block.most]:
        out.add_row(*(_text((span(row[i], c.width),)) for i, c in columns))
    remaining = len(block.rows) > block.most
    return [out, more(len(block.rows), block.most, block.noun)] if remaining else [out]


def _item(block: Item) -> list[RenderableType]:
    if block.share is None:
        return [_text(block.head), *(indented(_text(note), 2) for note in block.notes)]
    number = f"{block.number or '':<3}"
    head = Text.assemble((number, "bold"), (f"{share_text(block.share):>6}  ", "dim"))
    head.append_text(_text(block.head))
    return [head, *(indented(_text(note, "dim"), 11) for note in block.notes)]
