"""What every page is made of: one text that needs no network, tables, and text that is no markup.

What a bundle says is text here, never markup. The page's own policy forbids every request, and
every script but the one whose hash it names.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path

from ..text import clean

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
