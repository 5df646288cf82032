"""A report as a page for a browser: one text that needs no network.

What a bundle says is text here, never markup: it is escaped, and the figures read it from a block
of JSON in which no ``<`` is left. The page's own policy forbids every request, and every script
but the one whose hash it names.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path

import msgspec

from ..compare.curves import Curves
from ..compare.texts import TextDifference
from .sections import (
    VERDICT_WORDS,
    Block,
    Item,
    Line,
    Matrix,
    MatrixCell,
    Paragraph,
    Remaining,
    Report,
    ReportSection,
    Span,
    TableBlock,
    share_text,
    span,
)
from .text import clean, plain_json

MOST_ROWS = 200
LONGEST = 160
_HERE = Path(__file__).parent


def page(report: Report, curves: Curves | None = None, texts: Sequence[TextDifference] = ()) -> str:
    """The HTML text of a report, with the figures of two runs and the texts that differ."""
    pill = f'<span class="verdict {report.verdict}">{VERDICT_WORDS[report.verdict]}</span>'
    parts = [f"<header><h1>{pill}{_escaped(report.headline)}</h1>"]
    parts.append(f"<p>{_escaped(report.subtitle)}</p>" if report.subtitle else "")
    untitled = [s for s in report.sections if not s.title]
    parts += [*map(_section, untitled), "</header>"]
    data = ""
    if curves is not None:
        parts += [_figures(curves), _maps(curves)]
        # In a script, only an opening angle bracket can end it or begin a comment.
        data = plain_json(msgspec.json.encode(curves)).replace("<", "\\u003c")
    parts += [_section(s) for s in report.sections if s.title]
    parts.append(_texts(texts))
    return _document(report.title, "\n".join(part for part in parts if part), data)


def _document(title: str, body: str, data: str) -> str:
    script = (_HERE / "page.js").read_text(encoding="utf-8") if data else ""
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    allowed = "'none'"
    if script:
        allowed = f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
        body += f'\n<script type="application/json" id="data">{data}</script>\n'
        body += f"<script>{script}</script>"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>simckpt: {_escaped(title, 120)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _escaped(text: str, longest: int = 0) -> str:
    """Text of a bundle in which nothing is markup, nor steers the direction of writing."""
    return escape(clean(text, longest))


def _section(section: ReportSection) -> str:
    body = "".join(map(_block, section.blocks))
    return f"<section><h2>{_escaped(section.title)}</h2>{body}</section>" if section.title else body


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{_line(block.line)}</p>"
    if isinstance(block, TableBlock):
        return _table(block)
    if isinstance(block, Item):
        return _item(block)
    if isinstance(block, Remaining):
        return _soft(f"... and {block.total - block.limit:,} more {block.noun}")
    return _matrix(block)


def _line(spans: Line) -> str:
    return "".join(map(_span, spans))


def _span(s: Span) -> str:
    text = _escaped(s.text, LONGEST if s.width else 0)
    return f'<span class="{s.style}">{text}</span>' if s.style else text


def _soft(text: str) -> str:
    return f'<p class="soft">{escape(text)}</p>'


def _table(block: TableBlock) -> str:
    classes = [' class="number"' if c.number else "" for c in block.columns]
    head = "".join(
        f"<th{kind}>{escape(c.heading)}</th>"
        for kind, c in zip(classes, block.columns, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{_span(span(cell, column.width))}</td>"
            for kind, column, cell in zip(classes, block.columns, row, strict=True)
        )
        + "</tr>\n"
        for row in block.rows[:MOST_ROWS]
    )
    remaining = len(block.rows) - MOST_ROWS
    note = _soft(f"... and {remaining:,} more {block.noun}") if remaining > 0 else ""
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>{note}'


def _item(block: Item) -> str:
    notes = "".join(f'<div class="soft">{_line(note)}</div>' for note in block.notes)
    if block.share is None:
        return f'<div class="item">{_line(block.head)}{notes}</div>'
    width = 100 * min(max(block.share, 0.0), 0.99)
    return (
        f'<div class="cause"><span class="share">{share_text(block.share)}</span>'
        f'{_line(block.head)}<div class="bar"><span style="width:{width:.1f}%"></span></div>'
        f"{notes}</div>"
    )


def _matrix(block: Matrix) -> str:
    head = "".join(f"<th>{name}</th>" for name in block.names)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(map(_matrix_cell, row))}</tr>\n'
        for name, row in zip(block.names, block.cells, strict=True)
    )
    table = f'<table class="matrix"><tr><th></th>{head}</tr>\n{rows}</table>'
    return f'<div class="scroll">{table}</div>'


def _matrix_cell(cell: MatrixCell) -> str:
    if cell.verdict is None:
        return '<td class="self">&middot;</td>'
    strength = f' style="--strength:{cell.strength}%"' if cell.strength else ""
    title = escape(cell.meaning)
    return f'<td class="{cell.verdict}"{strength} title="{title}">{escape(cell.sign)}</td>'


def _figures(curves: Curves) -> str:
    if not curves.quantities:
        return ""
    note = ""
    if curves.left_out:
        note = _soft(f"{curves.left_out:,} more quantities and fields are not drawn.")
    return (
        '<section><h2>The two runs</h2><div class="panel"><div class="controls">'
        '<label>quantity <select id="quantity"></select></label>'
        '<button id="against" type="button">against time</button>'
        '<span><span class="key-a">A</span> full line, <span class="key-b">B</span> dashed</span>'
        '</div><svg id="values" role="img" aria-label="values of both runs"></svg>'
        '<svg id="difference" role="img" aria-label="difference of the runs, log scale"></svg>'
        f'<p id="readout" class="readout soft"></p></div>{note}</section>'
    )


def _maps(curves: Curves) -> str:
    if not curves.maps:
        return ""
    return (
        '<section><h2>Where they diverge, tile by tile</h2><div class="panel">'
        '<div class="controls"><label>field <select id="field"></select></label>'
        '<button id="back" type="button" aria-label="one sample back">&#8592;</button>'
        '<input id="sample" type="range" min="0" value="0" step="1" aria-label="sample">'
        '<button id="on" type="button" aria-label="one sample on">&#8594;</button>'
        '<button id="play" type="button">play</button></div>'
        '<p id="tiles-text" class="readout"></p><div class="maps">'
        '<svg id="tiles" role="img" aria-label="tiles of the field; those that differ are red">'
        "</svg><div>"
        '<p class="soft">Tiles that differ, over the samples shown:</p>'
        '<svg id="counts" role="img" aria-label="number of differing tiles over time"></svg>'
        '<p id="tile-text" class="readout soft"></p><p id="map-note" class="soft"></p>'
        "</div></div></div></section>"
    )


def _texts(texts: Sequence[TextDifference]) -> str:
    parts = []
    for text in texts:
        lines = "".join(
            f"<span{_CHANGES.get(line[:1], '')}>{_escaped(line) or ' '}</span>"
            for line in text.lines
        )
        note = _soft(f"... and {text.more:,} more lines") if text.more else ""
        name = f"{_escaped(text.what)}: {_escaped(text.name, LONGEST)}"
        parts.append(f"<details open><summary>{name}</summary><pre>{lines}</pre>{note}</details>")
    return f"<section><h2>Texts that differ</h2>{''.join(parts)}</section>" if parts else ""


_CHANGES = {"+": ' class="added"', "-": ' class="removed"'}
