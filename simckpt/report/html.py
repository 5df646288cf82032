"""The page: everything that a browser shows of a comparison, in one text.

What a bundle says is text here, never markup: in the tables it is escaped, and the figures read
it from a block of JSON in which no ``<`` is left. The page's own policy forbids every request,
and every script but the one whose hash it names.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path, PurePath

import msgspec

from ..compare.comparison import Comparison
from ..compare.curves import Curves
from ..compare.differences import IDLE
from ..compare.facts import TextDifference
from .comparison import VERDICT_WORDS, also, difference_name, extent, gist, health_rows, sizes
from .text import apart, clean, index_range, percent, plain_json, plural, ranks, share, small, value

# What every page is made of: one text that needs no network, tables, and text that is no markup.
#
# What a bundle says is text here, never markup. The page's own policy forbids every request, and
# every script but the one whose hash it names.


MOST_ROWS = 200
_HERE = Path(__file__).parent


def document(title: str, body: str, data: str = "") -> str:
    """A whole page; where there is data for it, the script that draws figures comes along."""
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
        f"<title>simckpt: {cell_text(title, 120)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def cell_text(text: str, longest: int = 0) -> str:
    """Text of a bundle in which nothing is markup, nor steers the direction of writing."""
    return escape(clean(text, longest))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], most: int = MOST_ROWS) -> str:
    """A table of cells that are escaped already; a heading that ends in ``>`` is of numbers."""
    listed = list(rows)
    classes = [' class="number"' if h.endswith(">") else "" for h in head]
    top = "".join(
        f"<th{kind}>{escape(h.rstrip('>'))}</th>" for h, kind in zip(head, classes, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, classes, strict=True))
        + "</tr>\n"
        for row in listed[:most]
    )
    left = len(listed) - most
    more = f'<p class="soft">... and {left:,} more rows</p>' if left > 0 else ""
    return f'<div class="scroll"><table><tr>{top}</tr>\n{body}</table></div>{more}'


def comparison_page(
    comparison: Comparison, curves: Curves, texts: Sequence[TextDifference] = ()
) -> str:
    """The HTML text of one comparison."""
    title = f"{PurePath(comparison.a.path).name} and {PurePath(comparison.b.path).name}"
    parts = [
        _head(comparison),
        _figures(curves),
        _maps(curves),
        _why(comparison),
        _kind(comparison),
        _tables(comparison),
        _differences(comparison),
        _texts(texts),
        _left_out(comparison),
        _health(comparison),
    ]
    # In a script, only an opening angle bracket can end it or begin a comment.
    data = plain_json(msgspec.json.encode(curves)).replace("<", "\\u003c")
    return document(title, "\n".join(part for part in parts if part), data)


def _head(c: Comparison) -> str:
    pill = f'<span class="verdict {c.verdict}">{VERDICT_WORDS[c.verdict]}</span>'
    headline = c.headline.removeprefix("Could not compare: ")
    rows = [
        (
            f'<span class="key-{letter.lower()}">{letter}</span>',
            cell_text(run.path, 160),
            " then ".join(plural(n, "rank") for n in run.ranks[:3]),
            extent(run),
            cell_text(run.ending),
        )
        for letter, run in (("A", c.a), ("B", c.b))
    ]
    reasons = "".join(f"<p>{cell_text(_sentence(r))}.</p>" for r in (*c.reasons, *c.hints[:3]))
    return (
        f"<header><h1>{pill}{cell_text(headline)}</h1>\n<p>{cell_text(gist(c))}</p>\n"
        f"{table(('', 'run', 'ranks', 'samples', 'ending'), rows)}{reasons}</header>"
    )


def _figures(curves: Curves) -> str:
    if not curves.quantities:
        return ""
    left = ""
    if curves.left_out:
        left = f'<p class="soft">{curves.left_out:,} more quantities and fields are not drawn.</p>'
    return (
        '<section><h2>The two runs</h2><div class="panel"><div class="controls">'
        '<label>quantity <select id="quantity"></select></label>'
        '<button id="against" type="button">against time</button>'
        '<span><span class="key-a">A</span> full line, <span class="key-b">B</span> dashed</span>'
        '</div><svg id="values" role="img" aria-label="values of both runs"></svg>'
        '<svg id="apart" role="img" aria-label="difference of the runs, on a log scale"></svg>'
        f'<p id="readout" class="readout soft"></p></div>{left}</section>'
    )


def _maps(curves: Curves) -> str:
    if not curves.maps:
        return ""
    return (
        '<section><h2>Where they part, tile by tile</h2><div class="panel"><div class="controls">'
        '<label>field <select id="field"></select></label>'
        '<button id="back" type="button" aria-label="one moment back">&#8592;</button>'
        '<input id="moment" type="range" min="0" value="0" step="1" aria-label="moment">'
        '<button id="on" type="button" aria-label="one moment on">&#8594;</button>'
        '<button id="play" type="button">play</button></div>'
        '<p id="tiles-told" class="readout"></p><div class="maps">'
        '<svg id="tiles" role="img" aria-label="tiles of the field; those that differ are red">'
        "</svg><div>"
        '<p class="soft">Tiles that differ, over the moments shown:</p>'
        '<svg id="counts" role="img" aria-label="number of differing tiles over time"></svg>'
        '<p id="tile-told" class="readout soft"></p><p id="map-note" class="soft"></p>'
        "</div></div></div></section>"
    )


def _why(c: Comparison) -> str:
    explanation = c.explanation
    if not explanation.causes and not explanation.finding:
        return ""
    parts = [f"<p>{cell_text(explanation.finding)}</p>"] if explanation.finding else []
    for cause in explanation.causes:
        d = cause.difference
        alike = f" (and {cause.alike} more like it)" if cause.alike else ""
        parts.append(
            f'<div class="cause"><span class="share">{share(cause.share)}</span>'
            f"<strong>{cell_text(difference_name(d), 120)}</strong>{alike} &nbsp; "
            f"{escape(value(d.a, 120))} &rarr; {escape(value(d.b, 120))}{cell_text(also(d), 160)}"
            f'<div class="bar"><span style="width:{_width(cause.share)}"></span></div>'
            f'<span class="soft">{cell_text(cause.reason)}</span></div>'
        )
    if explanation.causes and explanation.unexplained >= 0.05 and not explanation.finding:
        parts.append(
            f'<div class="cause"><span class="share">{share(explanation.unexplained)}</span>'
            '<span class="soft">something that was not recorded</span></div>'
        )
    if explanation.causes:
        parts.append('<p class="soft">The shares order the causes; they are no certainties.</p>')
    return f"<section><h2>Why</h2>{''.join(parts)}</section>"


def _width(part: float) -> str:
    return f"{100 * min(max(part, 0.0), 0.99):.1f}%"


def _kind(c: Comparison) -> str:
    kind = c.classification
    if not kind.evidence or c.verdict == "could-not-compare":
        return ""
    lines = "".join(f"<p>{cell_text(_sentence(text))}.</p>" for text in kind.evidence)
    sure = percent(min(kind.confidence, 0.99))
    title = f"Kind: {cell_text(kind.meaning)} (confidence {sure})"
    return f"<section><h2>{title}</h2>{lines}</section>"


def _tables(c: Comparison) -> str:
    tables = (_fields(c), _quantities(c), _tile_statistics(c))
    body = "".join(table for table in tables if table)
    return f"<section><h2>What differs</h2>{body}</section>" if body else ""


def _fields(c: Comparison) -> str:
    head = ("field", "step>", "tiles>", "where", "first tile", "ranks A", "B", "at end>")
    rows = [
        (
            cell_text(d.field, 80),
            str(d.step),
            f"{d.tiles} of {d.of}",
            cell_text(d.place),
            index_range(d.bounds),
            ranks(d.ranks_a),
            ranks(d.ranks_b),
            str(d.tiles_at_end),
        )
        for d in c.fields
    ]
    return "<h3>Fields</h3>" + table(head, rows) if rows else ""


def _quantities(c: Comparison) -> str:
    head = ("quantity", "step>", "A>", "B>", "ULPs>", "relative>", "largest>")
    rows = [
        (
            cell_text(q.name, 80),
            str(q.step),
            *apart(q.a, q.b),
            *sizes(q),
        )
        for q in c.quantities
    ]
    return "<h3>Quantities</h3>" + table(head, rows) if rows else ""


def _tile_statistics(c: Comparison) -> str:
    head = ("tiles of", "statistic", "step>", "beyond>", "A>", "B>", "relative>")
    rows = [
        (
            cell_text(t.field, 80),
            t.statistic,
            str(t.step),
            f"{t.tiles} of {t.of}",
            *apart(t.a, t.b),
            small(t.relative),
        )
        for t in c.tiles
    ]
    return "<h3>Tile statistics beyond the tolerance</h3>" + table(head, rows) if rows else ""


def _differences(c: Comparison) -> str:
    rows = [
        (d.part, cell_text(d.path, 160), escape(value(d.a, 200)), escape(value(d.b, 200)), d.weight)
        for d in c.differences
        if not d.path.endswith(IDLE)
    ]
    if not rows:
        return ""
    body = table(("part", "what", "A", "B", "to the answer"), rows)
    return f"<section><h2>Recorded differences</h2>{body}</section>"


def _texts(texts: Sequence[TextDifference]) -> str:
    parts = []
    for text in texts:
        lines = "".join(
            f"<span{_mark(line)}>{cell_text(line) or ' '}</span>" for line in text.lines
        )
        more = f'<p class="soft">... and {text.more:,} more lines</p>' if text.more else ""
        name = f"{cell_text(text.what)}: {cell_text(text.name, 160)}"
        parts.append(f"<details open><summary>{name}</summary><pre>{lines}</pre>{more}</details>")
    return f"<section><h2>Texts that differ</h2>{''.join(parts)}</section>" if parts else ""


def _mark(line: str) -> str:
    if line.startswith("+"):
        return ' class="added"'
    return ' class="removed"' if line.startswith("-") else ""


def _left_out(c: Comparison) -> str:
    lines = [f"{u.what} {u.name} {u.reason}." for u in c.uncompared]
    for run, only in (("A", c.coverage.only_a), ("B", c.coverage.only_b)):
        if only.samples:
            count = plural(only.samples, "sample")
            lines.append(f"{count} of {run} without a counterpart.")
    if not lines:
        return ""
    shown = "".join(f"<p>{cell_text(line)}</p>" for line in lines[:MOST_ROWS])
    return f"<section><h2>Not compared</h2>{shown}</section>"


def _health(c: Comparison) -> str:
    one, two = health_rows(c.health_a), health_rows(c.health_b)
    rows = [
        (cell_text(n), cell_text(one.get(n, "-")), cell_text(two.get(n, "-")))
        for n in {**one, **two}
    ]
    return f"<section><h2>Health of each run</h2>{table(('', 'A', 'B'), rows)}</section>"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
