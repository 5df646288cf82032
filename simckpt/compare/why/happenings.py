"""Events that two runs do not have in common, and which of them can act on a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...model.changes import ABSENT
from ...model.segment import Event

SYMPTOMS = frozenset(
    {
        "cadence_settled",
        "capture",
        "checkpoint_not_verified",
        "declarations_changed",
        "diagnostic_failed",
        "dt_unreadable",
        "instrument_failed",
        "journal_damaged",
        "journal_put_back",
        "monotone_violated",
        "non_finite",
        "numerics_unreadable",
        "restart_differs",
        "restart_repeats",
        "rank_raised",
        "record_cut_off",
        "report_undeclared",
        "salvaged",
        "sample_incomplete",
        "sample_late",
        "samples_lost",
        "sampling_failed",
        "second_step_object",
        "state_unreadable",
        "step_unreadable",
        "storage_back",
        "time_missing",
        "time_unreadable",
        "time_went_back",
        "trigger",
        "trigger_failed",
    }
)
"""Events by which the instrument tells what it saw or suffered: none of them acts on the run."""


class Happening(NamedTuple):
    """Events of one kind that happened at other steps, or in one run only.

    `a` and `b` say what happened in each run, `step` is the first at which only one has it.
    """

    name: str
    a: str
    b: str
    step: int
    acts: bool


def otherwise_happened(a: Iterable[Event], b: Iterable[Event]) -> Iterator[Happening]:
    """The kinds of events in which two runs differ, by name."""
    tables: list[dict[str, list[Event]]] = [{}, {}]
    for table, events in zip(tables, (a, b), strict=True):
        for event in events:
            table.setdefault(event.name, []).append(event)
    for name in sorted(tables[0].keys() | tables[1].keys()):
        one, two = (table.get(name, []) for table in tables)
        steps_a, steps_b = ({e.step for e in events} for events in (one, two))
        if steps_a != steps_b:
            acts = name not in SYMPTOMS and any(e.severity != "note" for e in (*one, *two))
            yield Happening(name, _told(one), _told(two), min(steps_a ^ steps_b), acts)


def _told(events: list[Event]) -> str:
    if not events:
        return ABSENT
    first = min(events, key=lambda e: e.step)
    rest = f" and {len(events) - 1} more" if len(events) > 1 else ""
    return f"step {first.step}{rest}: {first.text}"
