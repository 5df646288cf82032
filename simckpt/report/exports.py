"""What a CI service reads of a comparison: JUnit XML, and the JSON Schema of `--json`.

In JUnit XML one test case is the verdict; each field and each quantity is one more. What differs
is a failure, what had to be compared and could not be is an error, and what was left out is
skipped. A difference that does not count (a tolerance accepts it, or only the order of summation
differs) passes, and its case says so.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from ..compare.comparison import Comparison
from ..compare.fields import FieldDifference
from ..compare.many import ManyRuns
from ..compare.quantities import QuantityDifference
from .many_runs import group_letter
from .text import clean, distinct, index_range, small

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: Comparison | ManyRuns) -> str:
    """The XML text of one test suite."""
    suite = _many_runs(result) if isinstance(result, ManyRuns) else _two_runs(result)
    for outcome, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(outcome, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _two_runs(c: Comparison) -> ET.Element:
    suite = ET.Element("testsuite", name=_text(f"simckpt compare {c.a.path} {c.b.path}"))
    text = "\n".join((c.headline, *c.reasons, c.classification.meaning))
    _verdict(suite, "verdict", c.verdict, c.headline, text)
    counts = c.verdict == "different"
    fields = {d.field: d for d in c.fields}
    for name in c.coverage.field_names:
        judged = counts and (c.bitwise or not c.tolerance.judges(name))
        _case(suite, "field", name, _field(fields[name]) if name in fields else "", judged)
    quantities = {q.name: q for q in c.quantities}
    for name in c.coverage.quantity_names:
        difference = quantities.get(name)
        judged = counts and (difference is None or not _excused(c, difference))
        _case(suite, "quantity", name, _quantity(difference) if difference else "", judged)
    for t in c.tiles:
        text = f"{t.tiles} of {t.of} tiles beyond the tolerance from step {t.step} on"
        _case(suite, "tiles", f"{t.field}.{t.statistic}", text, True)
    for u in c.uncompared:
        case = _case(suite, u.what, f"{u.name} {u.reason}", "", True)
        tag = "error" if u.essential else "skipped"
        ET.SubElement(case, tag, message=_text(u.reason))
    return suite


def _excused(c: Comparison, q: QuantityDifference) -> bool:
    """Whether equal digests show that this inexact quantity differs by its summation alone."""
    equal = bool(c.coverage.field_names) and not c.fields
    return c.bitwise and equal and not q.exact


def _many_runs(result: ManyRuns) -> ET.Element:
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


def _verdict(suite: ET.Element, name: str, verdict: str, headline: str, text: str) -> None:
    case = ET.SubElement(suite, "testcase", classname="simckpt.verdict", name=name)
    if verdict != "same":
        tag = "failure" if verdict == "different" else "error"
        ET.SubElement(case, tag, message=_text(headline), type=verdict).text = _text(text)


def _case(suite: ET.Element, kind: str, name: str, differs: str, counts: bool) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=f"simckpt.{kind}", name=_text(name))
    if differs and counts:
        ET.SubElement(case, "failure", message=_text(differs))
    elif differs:
        ET.SubElement(case, "system-out").text = _text(f"{differs}; the verdict accepts it")
    return case


def _field(d: FieldDifference) -> str:
    return (
        f"differs from step {d.step} on in {d.tiles} of {d.of} tiles, {d.location}, "
        f"first in {index_range(d.bounds)}"
    )


def _quantity(q: QuantityDifference) -> str:
    a, b = distinct(q.a, q.b)
    return f"differs from step {q.step} on: {a} and {b}; {small(q.largest)} of its scale at most"


def _text(text: str) -> str:
    return _NOT_XML.sub("?", "\n".join(clean(line) for line in text.split("\n")))


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
