"""Tables of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from rich.table import Table

from .ablation import Loss
from .scoring import Score

QUESTIONS: dict[str, Callable[[Score], bool | None]] = {
    "found": lambda s: s.found,
    "step exact": lambda s: s.step,
    "place right": lambda s: s.place,
    "kind right": lambda s: s.kind,
    "cause first": lambda s: s.first,
    "cause in three": lambda s: s.in_three,
}


def totals(scores: Sequence[Score]) -> dict[str, Any]:
    """Right answers and questions asked, for each half and all."""
    found: dict[str, Any] = {}
    for half in ("development", "held out", "all"):
        part = [s for s in scores if half in (s.half, "all")]
        told: dict[str, Any] = {
            name: _count(question(s) for s in part) for name, question in QUESTIONS.items()
        }
        told["false alarms"] = (sum(bool(s.false_alarm) for s in part), sum(s.same for s in part))
        told["without effect"] = sum(s.void for s in part)
        told["bytes of the median bundle"] = int(median(s.bytes for s in part)) if part else 0
        found[half] = told
    return found


def case_table(scores: Iterable[Score]) -> Table:
    """A line for each case."""
    table = Table(
        "case", "half", "found", "step", "place", "kind", "cause", "KiB", "told", box=None
    )
    for s in scores:
        if s.same:
            alarm = "[red]alarm[/]" if s.false_alarm else "quiet"
            answers = [alarm, "", "", "", ""]
        elif s.void:
            answers = ["no effect here", "", "", "", ""]
        else:
            rank = (
                "[red]no[/]"
                if s.rank is None
                else str(s.rank)
                if s.rank == 1
                else f"[red]{s.rank}[/]"
            )
            answers = [_mark(s.found), _mark(s.step), _mark(s.place), _mark(s.kind), rank]
        told = s.told_kind + (f"; {s.told_cause}" if s.told_cause else "")
        if s.why_not:
            told += f" ({s.why_not})"
        table.add_row(s.name, s.half[:3], *answers, f"{s.bytes / 1024:.0f}", told)
    return table


def totals_table(scores: Sequence[Score]) -> Table:
    """Shares of right answers."""
    found = totals(scores)
    table = Table("", *found)
    for name in next(iter(found.values())):
        table.add_row(name, *(_share(part[name]) for part in found.values()))
    return table


def ablation_table(losses: Iterable[Loss]) -> Table:
    """What each part of the bundle is worth."""
    table = Table("left out", *QUESTIONS, "false alarms", "bytes saved", "of a bundle")
    for loss in losses:
        answers = [_share(loss.answers[name]) for name in QUESTIONS]
        saved = f"{loss.bytes:,.0f}", f"{loss.share:.0%}"
        table.add_row(loss.part, *answers, _share(loss.answers["false alarms"]), *saved)
    return table


def _count(answers: Iterable[bool | None]) -> tuple[int, int]:
    known = [a for a in answers if a is not None]
    return sum(known), len(known)


def _share(told: Any) -> str:
    if not isinstance(told, tuple):
        return f"{told:,}"
    right, asked = told
    return f"{right}/{asked}" + (f" {right / asked:.0%}" if asked else "")


def _mark(answer: bool | None) -> str:
    return "" if answer is None else "yes" if answer else "[red]no[/]"
