"""A comparison as Markdown, short enough for a comment on a change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..compare.comparison import Comparison
from ..compare.many import Cell, ManyRuns
from .comparison import VERDICT_WORDS, also, difference_name, extent, gist, health_rows
from .many import group_letter
from .text import apart, clean, index_range, plural, share, small, value

MOST_ROWS = 10
MOST_CAUSES = 5
MOST_IN_MATRIX = 12

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$])|^(?=[-+])")
_CALLING = re.compile(r"([@#]|:(?=//))")
"""What a forge would make a mention, a reference or a link of, in spite of a backslash."""
WORD_JOINER = "\u2060"


def markdown(result: Comparison | ManyRuns) -> str:
    """The Markdown text of a result."""
    parts = _of_many(result) if isinstance(result, ManyRuns) else _of_two(result)
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str, longest: int = 0) -> str:
    """Text of a bundle that no Markdown reader takes for markup, a mention or a link."""
    escaped = _SPECIAL.sub(r"\\\1", clean(text, longest))
    return _CALLING.sub(rf"\1{WORD_JOINER}", escaped)


def _of_two(c: Comparison) -> list[str]:
    parts = [f"## {VERDICT_WORDS[c.verdict]}: {plain(c.headline)}", plain(gist(c))]
    rows: list[Sequence[str]] = [
        [
            letter,
            plain(run.path, 60),
            ", then ".join(str(n) for n in run.ranks[:3]),
            extent(run),
            plain(run.ending),
        ]
        for letter, run in (("A", c.a), ("B", c.b))
    ]
    parts.append(_table(("", "run", "ranks", "samples", "ending"), rows))
    parts.append("\n".join(f"- {plain(reason)}" for reason in c.reasons))
    if c.fields:
        head = ("field", "step", "tiles", "where", "first tile")
        parts.append(
            _table(
                head,
                [
                    (
                        plain(d.field, 40),
                        str(d.step),
                        f"{d.tiles} of {d.of}",
                        plain(d.place),
                        plain(index_range(d.bounds)),
                    )
                    for d in c.fields
                ],
            )
        )
    if c.quantities:
        head = ("quantity", "step", "A", "B", "largest, relative")
        parts.append(
            _table(
                head,
                [
                    (plain(q.name, 40), str(q.step), *map(plain, apart(q.a, q.b)), small(q.largest))
                    for q in c.quantities
                ],
            )
        )
    parts += _why(c)
    if c.uncompared:
        left = [f"- {plain(u.what)} {plain(u.name)} {plain(u.reason)}" for u in c.uncompared]
        parts.append("### Not compared\n\n" + _bounded(left))
    one, two = health_rows(c.health_a), health_rows(c.health_b)
    rows = [(plain(n), plain(one.get(n, "-")), plain(two.get(n, "-"))) for n in {**one, **two}]
    parts.append("### Health\n\n" + _table(("", "A", "B"), rows))
    return parts


def _why(c: Comparison) -> list[str]:
    explanation = c.explanation
    if not explanation.causes and not explanation.finding:
        return []
    parts = ["### Why"]
    if explanation.finding:
        parts.append(plain(explanation.finding))
    lines = []
    for i, cause in enumerate(explanation.causes[:MOST_CAUSES], 1):
        d = cause.difference
        change = f"{plain(value(d.a, 40))} → {plain(value(d.b, 40))}"
        name = plain(difference_name(d))
        told = f"({share(cause.share)}) {change}{plain(also(d))}"
        lines.append(f"{i}. **{name}** {told}  \n   {plain(cause.reason)}")
    return [*parts, "\n".join(lines)]


def _of_many(result: ManyRuns) -> list[str]:
    parts = [f"## {VERDICT_WORDS[result.verdict]}: {plain(result.headline)}"]
    if result.odd is not None:
        parts.append(f"The odd one out is {plain(result.runs[result.odd].path)}.")
    rows = [
        (group_letter(g), str(i + 1), plain(result.runs[i].path, 60), extent(result.runs[i]))
        for g, group in enumerate(result.groups)
        for i in group
    ]
    parts.append(_table(("group", "run", "bundle", "samples"), rows, most=24))
    if len(result.groups) > 1:
        first = [group[0] for group in result.groups[:MOST_IN_MATRIX]]
        names = [group_letter(g) for g in range(len(first))]
        cells = [
            (f"**{name}**", *(_cell(result.matrix[i][j], i == j) for j in first))
            for name, i in zip(names, first, strict=True)
        ]
        parts.append(_table(("", *names), cells, most=MOST_IN_MATRIX))
        for found in result.separations[:4]:
            facts = " and ".join(plain(f, 48) for f in found.facts)
            values = "; ".join(
                f"{group_letter(g)}: " + " and ".join(plain(value(v[0], 32)) for v in row)
                for g, row in enumerate(found.values[:MOST_IN_MATRIX])
            )
            sure = "separates the groups" if found.exact else "goes with the groups in part"
            parts.append(f"**{facts}** {sure} ({values}).")
    return parts


def _cell(cell: Cell, itself: bool) -> str:
    if itself or cell.verdict == "same":
        return "·" if itself else "="
    if cell.verdict == "different":
        return "ends early" if cell.step is None else f"step {cell.step}"
    return "?"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], most: int = MOST_ROWS) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(row) for row in rows[:most]]
    text = "\n".join(f"| {line} |" for line in lines)
    left = len(rows) - most
    return text + (f"\n\n... and {plural(left, 'more row')}" if left > 0 else "")


def _bounded(lines: Iterable[str]) -> str:
    listed = list(lines)
    left = len(listed) - MOST_ROWS
    return "\n".join(listed[:MOST_ROWS] + ([f"- ... and {left:,} more"] if left > 0 else []))
