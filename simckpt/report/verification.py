"""What `simckpt verify` and `simckpt recover` have to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ..model.record import Record
from .text import clean, facts, indented, plural, section, styled, table

if TYPE_CHECKING:
    from ..bundle.recover import Recovered
    from ..bundle.verify import Finding
    from ..capture.artifacts import CheckedOutput

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
        rows = [(line, _about(line)) for line in wrong[:MOST_OUTPUTS]]
        has_notes = any(about for _, about in rows)
        out = (
            table("", "", "") if has_notes else table("", "")
        )  # an empty column would take its room
        out.show_header = False
        for line, about in rows:
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


MOST_FINDINGS = 20


class Verification(Record, frozen=True, kw_only=True):
    """The verdict on one bundle's files: whole unless something is damaged.

    `last_checkpoint` is the id of the last one, to be compared with one that was noted elsewhere:
    a bundle cannot know of records that were dropped from its end. `expected` says whether the
    requested checkpoint is there, and `outputs` are those of the run, compared with its index;
    both are None without such a request.
    """

    path: str
    whole: bool
    findings: tuple[Finding, ...] = ()
    outputs: tuple[OutputLine, ...] | None = None
    last_checkpoint: str | None = None
    expected: bool | None = None

    @property
    def holds(self) -> bool:
        """Whether the bundle is whole, and nothing missing or another one that was asked for."""
        outputs = all(line.holds for line in self.outputs or ())
        return self.whole and outputs and self.expected is not False


def verification(
    path: str,
    findings: Sequence[Finding],
    outputs: Sequence[CheckedOutput] | None = None,
    checkpoints: Sequence[str] = (),
    expected: str | None = None,
) -> Verification:
    """The verdict that the findings give; notes are no damage.

    `checkpoints` are the ids of the bundle's, in order, and `expected` is the beginning of one.
    """
    return Verification(
        path=path,
        whole=all(f.severity != "damage" for f in findings),
        findings=tuple(findings),
        outputs=None if outputs is None else tuple(map(output_line, outputs)),
        last_checkpoint=checkpoints[-1] if checkpoints else None,
        expected=None if expected is None else any(c.startswith(expected) for c in checkpoints),
    )


def verification_report(result: Verification) -> Group:
    """The page that `simckpt verify` prints."""
    word, style = ("WHOLE", "bold green") if result.whole else ("DAMAGED", "bold red")
    parts: list[RenderableType] = [Text.assemble((word, style), "  ", styled(result.path))]
    if result.whole and not result.findings:
        parts.append(Text("Checksums, chain of records and checkpoint ids hold."))
    if result.last_checkpoint is not None:
        parts.append(Text(f"Last checkpoint: {result.last_checkpoint}"))
    if result.expected is False:
        parts.append(Text("The checkpoint that was asked for is not among them.", style="red"))
    for finding in result.findings[:MOST_FINDINGS]:
        word = "damage" if finding.severity == "damage" else "note"
        parts.append(
            Text.assemble((f"{word}  ", "red" if word == "damage" else "dim"), styled(finding.what))
        )
        parts.append(indented(styled(finding.where, "dim"), 8))
    if len(result.findings) > MOST_FINDINGS:
        parts.append(Text(f"... and {len(result.findings) - MOST_FINDINGS} more", style="dim"))
    if result.outputs is not None:
        parts.append(outputs_section(result.outputs))
    return Group(*parts)


def recovery_report(result: Recovered) -> Group:
    """The page that `simckpt recover` prints."""
    rows: list[tuple[str, str | Text]] = [
        ("records", f"{result.records:,}"),
        ("samples", f"{result.samples:,}"),
        ("checkpoints", f"{result.checkpoints:,}"),
    ]
    parts: list[RenderableType] = [
        Text.assemble(("RECOVERED", "bold green"), "  ", styled(result.path)),
        indented(facts(rows), 2),
    ]
    if result.broken:
        parts.append(section("Where the records ended", styled(result.broken)))
    if result.salvaged or result.refused:
        salvaged = f"{plural(result.salvaged, 'record')} from behind the damage taken over"
        refused = (
            f"{plural(result.refused, 'record')} left, which make no sense without the lost ones"
        )
        parts.append(section("Salvage", Text(salvaged), Text(refused)))
    if result.copies:
        parts.append(section("Kept as they were", *(Text(clean(path)) for path in result.copies)))
    return Group(*parts)
