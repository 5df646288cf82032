"""What the scheduler's accounting said of the attempts of a run, kept in its bundle.

A job cannot record its own end: the next attempt does it, or whoever asks later. Each account is
an event of its own, and the last one of an attempt counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..capture.jobs.accounting import Account
from ..model.record import Facts
from ..model.segment import Event

if TYPE_CHECKING:
    from ..bundle.reading.reader import Bundle
    from ..bundle.reading.views import SegmentView

NAME = "job_accounted"
"""Of the events; their facts are the attributes of an `Account`, and ``segment``."""

UNDER_WAY = ("RUNNING", "COMPLETING", "PENDING")


def job_number(scheduler: Facts) -> str:
    """The number by which the scheduler's commands know a job: ``71``, or ``70_3``."""
    array, task = scheduler.get("array_job_id"), scheduler.get("array_task_id")
    if array is not None and task is not None:
        return f"{array}_{task}"
    return str(scheduler.get("job_id", ""))


def account_of(view: SegmentView, accounts: Iterable[Account]) -> Account | None:
    """The account of one attempt: several have the number of a job that was requeued."""
    segment = view.segment
    job = job_number(segment.scheduler)
    return next((a for a in accounts if a.job == job and a.covers(segment.started)), None)


def recorded(run: Bundle) -> dict[int, Account]:
    """The accounts that the bundle holds, by segment."""
    return {
        segment: _account(event.facts)
        for event in run.events
        if event.name == NAME and isinstance(segment := event.facts.get("segment"), int)
    }


def unrecorded(run: Bundle, accounts: Iterable[Account]) -> tuple[Event, ...]:
    """An event for each attempt of which `accounts` know what the bundle does not hold yet."""
    known, found = recorded(run), tuple(accounts)
    events = []
    for view in run.segments:
        account = account_of(view, found)
        if account is None or account == known.get(view.index):
            continue
        step = view.end.step if view.end else view.start_step
        events.append(_event(view.index, step, account))
    return tuple(events)


def cut_off(broken: str) -> tuple[Event, ...]:
    """The event that says what a killed attempt left unfinished, where it did.

    Whoever opens the bundle next cuts it off, and is the last that can say so.
    """
    if not broken:
        return ()
    name, wall = "record_cut_off", time.time()
    return (Event(name=name, severity="warning", step=0, wall=wall, text=broken, rank=-1),)


def _event(segment: int, step: int, account: Account) -> Event:
    memory = account.max_rss
    text = f"job {account.job}: {account.state}, {account.elapsed:.0f} s"
    return Event(
        name=NAME,
        severity="note",
        step=step,
        wall=time.time(),
        text=text + (f", {memory / 2**20:,.0f} MiB" if memory else ""),
        rank=-1,
        facts={
            "segment": segment,
            "job": account.job,
            "state": account.state,
            "exit_code": account.exit_code,
            "start": account.start,
            "end": account.end,
            "elapsed_s": account.elapsed,
            "max_rss_bytes": memory,
            "nodes": account.nodes,
            "step_state": account.step_state,
        },
    )


def _account(facts: Facts) -> Account:
    """The account in the facts of an event; what another version left out is not known."""
    memory = _number(facts.get("max_rss_bytes"))
    return Account(
        job=str(facts.get("job", "")),
        state=str(facts.get("state", "")),
        exit_code=str(facts.get("exit_code", "")),
        start=_number(facts.get("start")),
        end=_number(facts.get("end")),
        elapsed=_number(facts.get("elapsed_s")) or 0.0,
        max_rss=None if memory is None else int(memory),
        nodes=str(facts.get("nodes", "")),
        step_state=str(facts.get("step_state", "")),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
