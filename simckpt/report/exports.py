"""A comparison as Markdown, short enough for a comment on a change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from inspect import cleandoc
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from ..compare.comparison import Comparison
from ..compare.fields import FieldDifference
from ..compare.many import Cell, ManyRuns
from ..compare.quantities import QuantityDifference
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


# A comparison as JUnit XML, which every CI service shows.
#
# One test case is the verdict; each field and each quantity is one more. What differs is a
# failure, what could not be compared and had to be is an error, and what was left out is skipped:
# none of it passes unseen. Where a difference was found not to count (a tolerance accepts it, or
# only the order of summation differs), the verdict passes and the case says so.


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: Comparison | ManyRuns) -> str:
    """The XML text of one test suite."""
    suite = _of_many_junit(result) if isinstance(result, ManyRuns) else _of_two_junit(result)
    for outcome, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(outcome, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _of_two_junit(c: Comparison) -> ET.Element:
    suite = ET.Element("testsuite", name=_text(f"simckpt compare {c.a.path} {c.b.path}"))
    told = "\n".join((c.headline, *c.reasons, c.classification.meaning))
    _verdict(suite, "verdict", c.verdict, c.headline, told)
    counts = c.verdict == "different"
    fields = {d.field: d for d in c.fields}
    for name in c.coverage.field_names:
        judged = counts and (c.bitwise or not c.tolerance.judges(name))
        _case(suite, "field", name, _field(fields[name]) if name in fields else "", judged)
    quantities = {q.name: q for q in c.quantities}
    for name in c.coverage.quantity_names:
        found = quantities.get(name)
        judged = counts and (found is None or not _excused(c, found))
        _case(suite, "quantity", name, _quantity(found) if found else "", judged)
    for t in c.tiles:
        text = f"{t.tiles} of {t.of} tiles beyond the tolerance from step {t.step} on"
        _case(suite, "tiles", f"{t.field}.{t.statistic}", text, True)
    for left in c.uncompared:
        case = _case(suite, left.what, f"{left.name} {left.reason}", "", True)
        tag = "error" if left.essential else "skipped"
        ET.SubElement(case, tag, message=_text(left.reason))
    return suite


def _excused(c: Comparison, found: QuantityDifference) -> bool:
    """Whether equal digests show that this inexact quantity differs by its summation alone."""
    equal = bool(c.coverage.field_names) and not c.fields
    return c.bitwise and equal and not found.exact


def _of_many_junit(result: ManyRuns) -> ET.Element:
    suite = ET.Element("testsuite", name=f"simckpt compare ({len(result.runs)} runs)")
    _verdict(suite, "verdict", result.verdict, result.headline, result.headline)
    first = result.groups[0][0]
    contrasts = {contrast.b: contrast for contrast in result.contrasts}
    for number, group in enumerate(result.groups):
        for i in group:
            path = _text(result.runs[i].path)
            case = ET.SubElement(suite, "testcase", classname="simckpt.run", name=path)
            if i in result.groups[0]:
                continue
            message = f"group {group_letter(number)}, not with {result.runs[first].path}"
            contrast = contrasts[number]
            tag = "failure" if contrast.verdict == "different" else "error"
            ET.SubElement(case, tag, message=_text(message)).text = _text(contrast.headline)
    return suite


def _verdict(suite: ET.Element, name: str, verdict: str, headline: str, told: str) -> None:
    case = ET.SubElement(suite, "testcase", classname="simckpt.verdict", name=name)
    if verdict != "same":
        tag = "failure" if verdict == "different" else "error"
        ET.SubElement(case, tag, message=_text(headline), type=verdict).text = _text(told)


def _case(suite: ET.Element, kind: str, name: str, differs: str, counts: bool) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=f"simckpt.{kind}", name=_text(name))
    if differs and counts:
        ET.SubElement(case, "failure", message=_text(differs))
    elif differs:
        ET.SubElement(case, "system-out").text = _text(f"{differs}; the verdict accepts it")
    return case


def _field(d: FieldDifference) -> str:
    return (
        f"differs from step {d.step} on in {d.tiles} of {d.of} tiles, {d.place}, "
        f"first in {index_range(d.bounds)}"
    )


def _quantity(q: QuantityDifference) -> str:
    a, b = apart(q.a, q.b)
    return f"differs from step {q.step} on: {a} and {b}; {small(q.largest)} of its scale at most"


def _text(text: str) -> str:
    return _NOT_XML.sub("?", "\n".join(clean(line) for line in text.split("\n")))


# The JSON Schema of what `simckpt compare --json` prints; docs/compare-schema.json is its text.


DRAFT = "https://json-schema.org/draft/2020-12/schema"


def comparison_schema() -> dict[str, Any]:
    """The schema, for two runs and for many."""
    (two, many), parts = msgspec.json.schema_components(
        [Comparison, ManyRuns], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": DRAFT,
        "title": "simckpt compare --json",
        "description": "A number that is not finite is null.",
        "oneOf": [two, many],
        "$defs": {name: _with_null(part) for name, part in sorted(parts.items())},
    }


def schema_text() -> str:
    """The schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(comparison_schema()), indent=2).decode() + "\n"


def _with_null(part: Any) -> Any:
    """JSON has no NaN and no infinity: wherever a number stands, null may."""
    if isinstance(part, list):
        return [_with_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    schema = {key: _with_null(item) for key, item in part.items()}
    if schema.get("type") == "number":
        schema["type"] = ["number", "null"]
    if isinstance(schema.get("description"), str):  # some versions of msgspec keep the indentation
        schema["description"] = cleandoc(schema["description"])
    return schema
