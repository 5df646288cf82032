"""Outputs held against the index of a run, as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from ..model.record import Record
from .page import section, table
from .text import clean, plural, styled

if TYPE_CHECKING:
    from ..capture.files.recheck import CheckedOutput

MOST_OUTPUTS = 20
MOST_VARIABLES = 4


class OutputLine(Record, frozen=True, kw_only=True):
    """An output as it is printed in JSON; `holds` is false for what is missing or changed."""

    path: str
    status: str
    holds: bool
    variables: tuple[str, ...] = ()
    hash: str | None = None
    problem: str = ""


def output_line(checked: CheckedOutput) -> OutputLine:
    """The line of one output."""
    return OutputLine(
        path=checked.path,
        status=checked.status,
        holds=checked.holds,
        variables=checked.variables,
        hash=checked.hash,
        problem=checked.problem,
    )


def outputs_section(lines: Sequence[OutputLine]) -> RenderableType:
    """The outputs that do not hold, by name, and how many do."""
    wrong = [line for line in lines if not line.holds]
    parts: list[RenderableType] = []
    if wrong:
        shown = [(line, _about(line)) for line in wrong[:MOST_OUTPUTS]]
        told = any(about for _, about in shown)
        out = table("", "", "") if told else table("", "")  # an empty column would take its room
        out.show_header = False
        for line, about in shown:
            cells = (styled(line.status, "yellow"), styled(line.path), styled(about))
            out.add_row(*cells[: len(out.columns)])
        parts.append(out)
    if len(wrong) > MOST_OUTPUTS:
        parts.append(Text(f"... and {len(wrong) - MOST_OUTPUTS} more (--json has all)", "dim"))
    rewritten = sum(line.status == "same-contents" for line in lines)
    text = f"{len(lines) - len(wrong)} of {plural(len(lines), 'output')} as indexed"
    if rewritten:
        text += f", {rewritten} of them written again with the same variables"
    return section("Outputs", *parts, Text(text))


def _about(line: OutputLine) -> str:
    names = ", ".join(map(clean, line.variables[:MOST_VARIABLES]))
    more = f" and {len(line.variables) - MOST_VARIABLES} more"
    more = more if len(line.variables) > MOST_VARIABLES else ""
    return line.problem or (f"in {names}{more}" if names else "")
