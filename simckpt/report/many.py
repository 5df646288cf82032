"""Many runs as one page: the groups, the matrix of verdicts, and what sets the groups apart."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.many import Cell, ManyRuns
from ..compare.why.separation import Separation
from .comparison import VERDICT_STYLES, VERDICT_WORDS, extent
from .page import indented, more, section, table
from .text import clean, plural, styled, value

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
