"""The report of many runs: the groups, the matrix of verdicts, and what separates the groups."""

from __future__ import annotations

from ..compare.many import Cell, ManyRuns
from ..compare.separation import Separation
from .sections import (
    Block,
    Item,
    Line,
    Matrix,
    MatrixCell,
    Remaining,
    Report,
    ReportColumn,
    ReportSection,
    Span,
    TableBlock,
    line,
    paragraph,
)
from .text import clean, plural, value
from .two_runs import ending, extent

MOST_SEPARATIONS = 4
MOST_VALUES = 3

_LEGEND = "= identical; a number is the first step that differs; ? could not be compared"


def many_report(result: ManyRuns, most: int = 12) -> Report:
    """What `simckpt compare` says of more than two runs, with a matrix of at most `most` rows."""
    subtitle = ""
    if result.odd is not None:
        subtitle = f"The odd one out is {result.odd + 1}, {result.runs[result.odd].path}"
    sections = [_runs(result)]
    if len(result.groups) > 1:
        sections += [_matrix(result, most), _contrasts(result, most), _separations(result, most)]
    reasons = result.reference.reasons if result.reference is not None else ()
    if reasons:
        sections.append(ReportSection("Reference", tuple(paragraph(f"{r}.") for r in reasons)))
    return Report(
        f"{len(result.runs)} runs", result.verdict, result.headline, subtitle, tuple(sections)
    )


def group_letter(number: int) -> str:
    """``A`` to ``Z``, then ``A1`` and on."""
    turn, letter = divmod(number, 26)
    return chr(ord("A") + letter) + (str(turn) if turn else "")


def _runs(result: ManyRuns) -> ReportSection:
    rows = tuple(
        (
            str(i + 1),
            Span(group_letter(g), "strong"),
            result.runs[i].path,
            " then ".join(str(n) for n in result.runs[i].ranks[:3]),
            extent(result.runs[i]),
            ending(result.runs[i]),
        )
        for g, group in enumerate(result.groups)
        for i in group
    )
    columns = (
        ReportColumn("run", number=True),
        ReportColumn("group"),
        ReportColumn("bundle", width=44),
        ReportColumn("ranks"),
        ReportColumn("samples"),
        ReportColumn("ending"),
    )
    return ReportSection("", (TableBlock(columns, rows, noun="runs", most=24),))


def _matrix(result: ManyRuns, most: int) -> ReportSection:
    """Run by run while that fits, else the first run of each group."""
    by_group = len(result.runs) > most
    if by_group:
        indices = [group[0] for group in result.groups[:most]]
        names = [group_letter(g) for g in range(len(indices))]
    else:
        indices = [i for group in result.groups for i in group]
        names = [str(i + 1) for i in indices]
    cells = [c for row in result.matrix for c in row]
    last = max((c.step for c in cells if c.step is not None), default=0)
    rows = tuple(tuple(_cell(result, i, j, last) for j in indices) for i in indices)
    blocks: list[Block] = [Matrix(tuple(names), rows)]
    if by_group and len(result.groups) > most:
        blocks.append(Remaining(len(result.groups), most, "groups"))
    ends_early = any(c.verdict == "different" and c.step is None for c in cells)
    blocks.append(paragraph((_LEGEND + "; < one ends early" * ends_early, "soft")))
    return ReportSection(
        "Each group with each" if by_group else "Each run with each", tuple(blocks)
    )


def _cell(result: ManyRuns, i: int, j: int, last: int) -> MatrixCell:
    if i == j:
        return MatrixCell("·", "", None)
    cell: Cell = result.matrix[i][j]
    pair = f"run {i + 1} and run {j + 1}"
    if cell.verdict == "same":
        return MatrixCell("=", f"{pair}: identical", cell.verdict)
    if cell.verdict != "different":
        return MatrixCell("?", f"{pair}: could not be compared", cell.verdict)
    if cell.step is None:
        return MatrixCell("<", f"{pair}: one ends early", cell.verdict, 25)
    # The earlier two runs differ, the stronger the colour.
    strength = 20 + round(60 * (1 - cell.step / last)) if last else 25
    return MatrixCell(
        str(cell.step), f"{pair}: differ from step {cell.step} on", cell.verdict, strength
    )


def _contrasts(result: ManyRuns, most: int) -> ReportSection:
    blocks: list[Block] = []
    for contrast in result.contrasts[: most - 1]:
        text = f"  {contrast.headline}; {contrast.kind}"
        if contrast.cause is not None:
            d = contrast.cause.difference
            text += f"; most probably {d.part} {clean(d.name, 40)}"
        blocks.append(Item(line((group_letter(contrast.b), "strong"), text)))
    if len(result.contrasts) > most - 1:
        blocks.append(Remaining(len(result.contrasts), most - 1, "groups"))
    title = "How each group differs from A (it is called B in its own line)"
    return ReportSection(title, tuple(blocks))


def _separations(result: ManyRuns, most: int) -> ReportSection:
    blocks: list[Block] = []
    for separation in result.separations[:MOST_SEPARATIONS]:
        name = " and ".join(clean(fact, 48) for fact in separation.facts)
        head = line((name, "strong"), "" if separation.exact else "  in part only")
        blocks.append(Item(head, _values(separation, most)))
    if len(result.separations) > MOST_SEPARATIONS:
        blocks.append(Remaining(len(result.separations), MOST_SEPARATIONS, "facts"))
    title = "What separates the groups"
    if not blocks:
        blocks.append(paragraph("No recorded fact goes with these groups."))
    elif not result.separations[0].exact:
        title += ": nothing recorded does so exactly"
    return ReportSection(title, tuple(blocks))


def _values(separation: Separation, most: int) -> tuple[Line, ...]:
    lines = []
    for g, facts in enumerate(separation.values[:most]):
        texts = [
            ", ".join(value(v, 32) for v in values[:MOST_VALUES])
            + (f" and {plural(len(values) - MOST_VALUES, 'other')}" * (len(values) > MOST_VALUES))
            for values in facts
        ]
        lines.append(line((f"{group_letter(g)}  ", "strong"), " and ".join(texts)))
    if len(separation.values) > most:
        lines.append(line(f"... and {len(separation.values) - most:,} more groups"))
    return tuple(lines)
