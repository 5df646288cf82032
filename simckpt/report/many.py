"""Many runs as one page: the groups, the matrix of verdicts, and what sets the groups apart."""

from __future__ import annotations

from html import escape

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.many import Cell, ManyRuns, Separation
from .comparison import VERDICT_STYLES, VERDICT_WORDS, extent
from .html import cell_text, document
from .html import table as table_of_document
from .text import clean, indented, more, plural, section, styled, table, value

MOST_RUNS = 24
MOST_IN_MATRIX = 12
MOST_GROUPS = 12
MOST_SEPARATIONS = 4
MOST_VALUES = 3


def many_report(result: ManyRuns) -> Group:
    """The page that `simckpt compare` prints for more than two runs."""
    head = Text.assemble(
        (VERDICT_WORDS[result.verdict], VERDICT_STYLES[result.verdict]),
        "  ",
        styled(result.headline),
    )
    parts: list[RenderableType] = [head]
    if result.odd is not None:
        path = result.runs[result.odd].path
        told = f"The odd one out is {result.odd + 1}, {clean(path, 60)}"
        parts.append(indented(Text(told), len(VERDICT_WORDS[result.verdict]) + 2))
    parts += [Text(""), _runs(result)]
    if len(result.groups) > 1:
        parts += [_matrix(result), _contrasts(result), _separations(result)]
    return Group(*parts)


def group_letter(number: int) -> str:
    """``A`` to ``Z``, then ``A1`` and on."""
    turn, letter = divmod(number, 26)
    return chr(ord("A") + letter) + (str(turn) if turn else "")


def _runs(result: ManyRuns) -> RenderableType:
    out = table("run>", "group", "bundle", "ranks", "samples", "")
    out.columns[2].overflow = "ellipsis"
    ordered = [(g, i) for g, group in enumerate(result.groups) for i in group]
    for g, i in ordered[:MOST_RUNS]:
        run = result.runs[i]
        out.add_row(
            str(i + 1),
            Text(group_letter(g), style="bold"),
            styled(run.path, longest=44),
            " then ".join(str(n) for n in run.ranks[:3]),
            extent(run),
            styled(run.ending, "" if run.ending == "finished" else "yellow"),
        )
    if len(ordered) > MOST_RUNS:
        return Group(out, more(len(ordered), MOST_RUNS, "runs"))
    return out


def _matrix(result: ManyRuns) -> RenderableType:
    """Run by run while that fits, else group by group."""
    by_group = len(result.runs) > MOST_IN_MATRIX
    if by_group:
        shown = [group[0] for group in result.groups[:MOST_GROUPS]]
        names = [group_letter(g) for g in range(len(shown))]
    else:
        shown = [i for group in result.groups for i in group]
        names = [str(i + 1) for i in shown]
    out = table("", *(f"{name}>" for name in names))
    for name, i in zip(names, shown, strict=True):
        out.add_row(Text(name, style="dim"), *(_cell(result.matrix[i][j], i == j) for j in shown))
    parts: list[RenderableType] = [out]
    if by_group and len(result.groups) > MOST_GROUPS:
        parts.append(more(len(result.groups), MOST_GROUPS, "groups"))
    legend = "= the same; a number: the first step seen to differ; ? could not be compared"
    if any(c.verdict == "different" and c.step is None for row in result.matrix for c in row):
        legend += "; < one ends early"
    parts.append(Text(legend, style="dim"))
    title = "Each group with each" if by_group else "Each run with each"
    return section(title, *parts)


def _cell(cell: Cell, itself: bool) -> Text:
    if itself:
        return Text("·", style="dim")
    if cell.verdict == "same":
        return Text("=", style="green")
    if cell.verdict == "different":
        return Text("<" if cell.step is None else str(cell.step), style="red")
    return Text("?", style="yellow")


def _contrasts(result: ManyRuns) -> RenderableType:
    lines: list[RenderableType] = []
    for contrast in result.contrasts[: MOST_GROUPS - 1]:
        text = f"{clean(contrast.headline)}; {clean(contrast.kind)}"
        if contrast.cause is not None:
            d = contrast.cause.difference
            text += f"; most probably {d.part} {clean(d.name, 40)}"
        pair = f"{group_letter(contrast.b)}  "
        lines.append(Text.assemble((pair, "bold"), text))
    if len(result.contrasts) > MOST_GROUPS - 1:
        lines.append(more(len(result.contrasts), MOST_GROUPS - 1, "groups"))
    return section("How each group differs from A (it is called B in its own line)", *lines)


def _separations(result: ManyRuns) -> RenderableType:
    lines: list[RenderableType] = []
    for found in result.separations[:MOST_SEPARATIONS]:
        lines.append(Text(" and ".join(clean(f, 48) for f in found.facts), style="bold"))
        if not found.exact:
            lines[-1] = Text.assemble(lines[-1], "  in part only")  # type: ignore[arg-type]
        lines += [indented(line, 2) for line in _values(found)]
    left = len(result.separations) - MOST_SEPARATIONS
    if left > 0:
        lines.append(more(len(result.separations), MOST_SEPARATIONS, "facts"))
    if not lines:
        lines.append(Text("No recorded fact goes with these groups."))
    title = "What separates the groups"
    if result.separations and not result.separations[0].exact:
        title += ": nothing recorded does so exactly"
    return section(title, *lines)


def _values(found: Separation) -> list[Text]:
    lines = []
    for g, facts in enumerate(found.values[:MOST_GROUPS]):
        shown = [
            ", ".join(value(v, 32) for v in values[:MOST_VALUES])
            + (f" and {plural(len(values) - MOST_VALUES, 'other')}" * (len(values) > MOST_VALUES))
            for values in facts
        ]
        lines.append(Text.assemble((f"{group_letter(g)}  ", "bold"), " and ".join(shown)))
    if len(found.values) > MOST_GROUPS:
        lines.append(more(len(found.values), MOST_GROUPS, "groups"))
    return lines


# The page of many runs: the groups, the matrix of verdicts, and what sets the groups apart.


MOST_RUNS_MANY_PAGE = 400
MOST_IN_MATRIX_MANY_PAGE = 60
MOST_GROUPS_MANY_PAGE = 60
MOST_SEPARATIONS_MANY_PAGE = 12
MOST_VALUES_MANY_PAGE = 4


def many_page(result: ManyRuns) -> str:
    """The HTML text of a comparison of many runs."""
    parts = (
        _head(result),
        _matrix_many_page(result),
        _contrasts_many_page(result),
        _separations_many_page(result),
        _runs_many_page(result),
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


def _matrix_many_page(result: ManyRuns) -> str:
    """Run by run while that fits, else the first run of each group."""
    if len(result.groups) < 2:
        return ""
    by_group = len(result.runs) > MOST_IN_MATRIX_MANY_PAGE
    if by_group:
        shown = [group[0] for group in result.groups[:MOST_IN_MATRIX_MANY_PAGE]]
        names = [group_letter(g) for g in range(len(shown))]
    else:
        shown = [i for group in result.groups for i in group]
        names = [str(i + 1) for i in shown]
    steps = [c.step for row in result.matrix for c in row if c.step is not None]
    last = max(steps, default=0)
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(_cell_many_page(result, i, j, last) for j in shown)
        + "</tr>\n"
        for name, i in zip(names, shown, strict=True)
    )
    title = "Each group with each" if by_group else "Each run with each"
    legend = (
        "= the same; a number is the first step seen to differ, the earlier the stronger its "
        "colour; &lt; one ends early; ? could not be compared."
    )
    left = len(result.groups) - MOST_IN_MATRIX_MANY_PAGE
    more = f" {left:,} more groups are in --json." if by_group and left > 0 else ""
    return (
        f'<section><h2>{title}</h2><div class="scroll"><table class="matrix">'
        f"<tr><th></th>{head}</tr>\n{rows}</table></div>"
        f'<p class="soft">{legend}{more}</p></section>'
    )


def _cell_many_page(result: ManyRuns, i: int, j: int, last: int) -> str:
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


def _contrasts_many_page(result: ManyRuns) -> str:
    rows = []
    for contrast in result.contrasts[:MOST_GROUPS_MANY_PAGE]:
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
    body = table_of_document(("", "against A (it is called B here)", "kind", "most probably"), rows)
    return f"<section><h2>How each group differs from A</h2>{body}</section>"


def _separations_many_page(result: ManyRuns) -> str:
    if len(result.groups) < 2:
        return ""
    shown = result.groups[:MOST_GROUPS_MANY_PAGE]
    head = ("fact", "", *(group_letter(g) for g in range(len(shown))))
    rows = [
        _separation(found, len(shown)) for found in result.separations[:MOST_SEPARATIONS_MANY_PAGE]
    ]
    if not rows:
        return (
            "<section><h2>What separates the groups</h2>"
            "<p>No recorded fact goes with these groups.</p></section>"
        )
    return f"<section><h2>What separates the groups</h2>{table_of_document(head, rows)}</section>"


def _separation(found: Separation, groups: int) -> tuple[str, ...]:
    values = [
        " and ".join(
            ", ".join(escape(value(v, 40)) for v in row[:MOST_VALUES_MANY_PAGE])
            + (
                f" and {plural(len(row) - MOST_VALUES_MANY_PAGE, 'other')}"
                * (len(row) > MOST_VALUES_MANY_PAGE)
            )
            for row in facts
        )
        for facts in found.values[:groups]
    ]
    name = " and ".join(clean(f, 60) for f in found.facts)
    return f"<strong>{cell_text(name)}</strong>", "" if found.exact else "in part", *values


def _runs_many_page(result: ManyRuns) -> str:
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
        for g, i in ordered[:MOST_RUNS_MANY_PAGE]
    ]
    left = len(ordered) - MOST_RUNS_MANY_PAGE
    more = f'<p class="soft">... and {left:,} more runs</p>' if left > 0 else ""
    body = table_of_document(
        ("run>", "group", "bundle", "ranks>", "samples", "ending"), rows, MOST_RUNS_MANY_PAGE
    )
    return f"<section><h2>The runs</h2>{body}{more}</section>"
