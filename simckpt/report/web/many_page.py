"""The page of many runs: the groups, the matrix of verdicts, and what sets the groups apart."""

from __future__ import annotations

from html import escape

from ...compare.many import Cell, ManyRuns
from ...compare.why.separation import Separation
from ..comparison import VERDICT_WORDS, extent
from ..many import group_letter
from ..text import clean, plural, value
from .document import cell_text, document, table

MOST_RUNS = 400
MOST_IN_MATRIX = 60
MOST_GROUPS = 60
MOST_SEPARATIONS = 12
MOST_VALUES = 4


def many_page(result: ManyRuns) -> str:
    """The HTML text of a comparison of many runs."""
    parts = (
        _head(result),
        _matrix(result),
        _contrasts(result),
        _separations(result),
        _runs(result),
    )
    return document(f"{len(result.runs)} runs", "\n".join(part for part in parts if part))


def _head(result: ManyRuns) -> str:
    pill = f'<span class="verdict {result.verdict}">{VERDICT_WORDS[result.verdict]}</span>'
    odd = ""
    if result.odd is not None:
        path = cell_text(result.runs[result.odd].path, 160)
        odd = f"<p>The odd one out is {result.odd + 1}, <strong>{path}</strong>.</p>"
    reasons = result.reference.reasons if result.reference is not None else ()
    told = "".join(f"<p>{cell_text(reason)}.</p>" for reason in reasons)
    return f"<header><h1>{pill}{cell_text(result.headline)}</h1>{odd}{told}</header>"


def _matrix(result: ManyRuns) -> str:
    """Run by run while that fits, else the first run of each group."""
    if len(result.groups) < 2:
        return ""
    by_group = len(result.runs) > MOST_IN_MATRIX
    if by_group:
        shown = [group[0] for group in result.groups[:MOST_IN_MATRIX]]
        names = [group_letter(g) for g in range(len(shown))]
    else:
        shown = [i for group in result.groups for i in group]
        names = [str(i + 1) for i in shown]
    steps = [c.step for row in result.matrix for c in row if c.step is not None]
    last = max(steps, default=0)
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(_cell(result, i, j, last) for j in shown)
        + "</tr>\n"
        for name, i in zip(names, shown, strict=True)
    )
    title = "Each group with each" if by_group else "Each run with each"
    legend = (
        "= the same; a number is the first step seen to differ, the earlier the stronger its "
        "colour; &lt; one ends early; ? could not be compared."
    )
    left = len(result.groups) - MOST_IN_MATRIX
    more = f" {left:,} more groups are in --json." if by_group and left > 0 else ""
    return (
        f'<section><h2>{title}</h2><div class="scroll"><table class="matrix">'
        f"<tr><th></th>{head}</tr>\n{rows}</table></div>"
        f'<p class="soft">{legend}{more}</p></section>'
    )


def _cell(result: ManyRuns, i: int, j: int, last: int) -> str:
    if i == j:
        return '<td class="self">&middot;</td>'
    cell = result.matrix[i][j]
    pair = f"run {i + 1} and run {j + 1}: {_told(cell)}"
    if cell.verdict != "different":
        sign = "=" if cell.verdict == "same" else "?"
        return f'<td class="{cell.verdict}" title="{escape(pair)}">{sign}</td>'
    sign = "&lt;" if cell.step is None else str(cell.step)
    strength = 25 if cell.step is None or not last else 20 + round(60 * (1 - cell.step / last))
    return (
        f'<td class="different" style="--strength:{strength}%" title="{escape(pair)}">{sign}</td>'
    )


def _told(cell: Cell) -> str:
    if cell.verdict == "different":
        return "one ends early" if cell.step is None else f"differ from step {cell.step} on"
    return "the same" if cell.verdict == "same" else "could not be compared"


def _contrasts(result: ManyRuns) -> str:
    rows = []
    for contrast in result.contrasts[:MOST_GROUPS]:
        cause = ""
        if contrast.cause is not None:
            d = contrast.cause.difference
            change = f"{escape(value(d.a, 60))} &rarr; {escape(value(d.b, 60))}"
            cause = f"<strong>{cell_text(f'{d.part} {d.name}', 80)}</strong> {change}"
        rows.append(
            (
                f"<strong>{group_letter(contrast.b)}</strong>",
                cell_text(contrast.headline),
                cell_text(contrast.kind),
                cause,
            )
        )
    if not rows:
        return ""
    body = table(("", "against A (it is called B here)", "kind", "most probably"), rows)
    return f"<section><h2>How each group differs from A</h2>{body}</section>"


def _separations(result: ManyRuns) -> str:
    if len(result.groups) < 2:
        return ""
    shown = result.groups[:MOST_GROUPS]
    head = ("fact", "", *(group_letter(g) for g in range(len(shown))))
    rows = [_separation(found, len(shown)) for found in result.separations[:MOST_SEPARATIONS]]
    if not rows:
        return (
            "<section><h2>What separates the groups</h2>"
            "<p>No recorded fact goes with these groups.</p></section>"
        )
    return f"<section><h2>What separates the groups</h2>{table(head, rows)}</section>"


def _separation(found: Separation, groups: int) -> tuple[str, ...]:
    values = [
        " and ".join(
            ", ".join(escape(value(v, 40)) for v in row[:MOST_VALUES])
            + (f" and {plural(len(row) - MOST_VALUES, 'other')}" * (len(row) > MOST_VALUES))
            for row in facts
        )
        for facts in found.values[:groups]
    ]
    name = " and ".join(clean(f, 60) for f in found.facts)
    return f"<strong>{cell_text(name)}</strong>", "" if found.exact else "in part", *values


def _runs(result: ManyRuns) -> str:
    ordered = [(g, i) for g, group in enumerate(result.groups) for i in group]
    rows = [
        (
            str(i + 1),
            f"<strong>{group_letter(g)}</strong>",
            cell_text(result.runs[i].path, 160),
            ", then ".join(str(n) for n in result.runs[i].ranks[:3]),
            extent(result.runs[i]),
            cell_text(result.runs[i].ending),
        )
        for g, i in ordered[:MOST_RUNS]
    ]
    left = len(ordered) - MOST_RUNS
    more = f'<p class="soft">... and {left:,} more runs</p>' if left > 0 else ""
    body = table(("run>", "group", "bundle", "ranks>", "samples", "ending"), rows, MOST_RUNS)
    return f"<section><h2>The runs</h2>{body}{more}</section>"
