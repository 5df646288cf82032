"""A comparison as JUnit XML, which every CI service shows.

One test case is the verdict; each field and each quantity is one more. What differs is a
failure, what could not be compared and had to be is an error, and what was left out is skipped:
none of it passes unseen. Where a difference was found not to count (a tolerance accepts it, or
only the order of summation differs), the verdict passes and the case says so.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from ..compare.comparison import Comparison
from ..compare.many import ManyRuns
from ..compare.where.divergence import FieldDifference
from ..compare.where.quantities import QuantityDifference
from .many import group_letter
from .text import apart, clean, index_range, small

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: Comparison | ManyRuns) -> str:
    """The XML text of one test suite."""
    suite = _of_many(result) if isinstance(result, ManyRuns) else _of_two(result)
    for outcome, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(outcome, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _of_two(c: Comparison) -> ET.Element:
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


def _of_many(result: ManyRuns) -> ET.Element:
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
