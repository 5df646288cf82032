"""The chain of jobs behind a run: how each attempt ended and why, and what to do next.

The bundle knows how the driver left; only the scheduler knows why a job that said nothing was
killed. Both are put together here, and either may be missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from ..capture.jobs import OUT_OF_MEMORY, Account
from ..model.record import Facts, Record
from ..model.series import Event
from .text import plural

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..bundle.views import SegmentView
    from ..model.series import Checkpoint, Segment

# What the scheduler's accounting said of the attempts of a run, kept in its bundle.
#
# A job cannot record its own end: the next attempt does it, or whoever asks later. Each account is
# an event of its own, and the last one of an attempt counts.


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
    recorded_accounts, current = recorded(run), tuple(accounts)
    events = []
    for view in run.segments:
        account = account_of(view, current)
        if account is None or account == recorded_accounts.get(view.index):
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


Verdict = Literal["finished", "again", "stop"]

STATUS: dict[Verdict, int] = {"finished": 0, "again": 75, "stop": 1}
"""Exit status for each verdict; 75 is what sysexits.h calls a temporary failure."""

GRACE = 90.0
"""Seconds around its time limit within which a job that fell silent most probably met it."""

_STATES = {
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "CANCELLED": "cancelled",
    "PREEMPTED": "preempted",
    "REQUEUED": "killed, requeued",
    "RUNNING": "running",
    "COMPLETING": "running",
    "SUSPENDED": "suspended",
    "FAILED": "killed",
}

IDLE = 3
"""Attempts in a row that may be stopped before they made a step: a queue that preempts a job
while it starts is bad luck, and a time limit too short for a step is not."""

TAKEN_AWAY = ("time limit", "node failure", "cancelled", "preempted", "suspended")
"""Reasons that are no fault of the driver."""


class Attempt(Record, frozen=True, kw_only=True):
    """One job attempt of a run.

    Parameters
    ----------
    segment : int
        Number of its segment in the bundle.
    job : str
        The scheduler's number, ``array_task`` in an array; empty outside of a scheduler.
    restarts : int
        How often the scheduler had started this job before.
    start_step, step : int
        Where it began, and the last step that it recorded.
    ending : str
        How the driver left: ``finished``, ``signal``, ``exception``, ``aborted``; empty if it
        did not, or is still running.
    reason : str
        Why it ended, in two words.
    why : str
        What the driver or the scheduler said of it.
    checkpoint : str
        Id of the last checkpoint that it committed, or that it goes on from if it came no
        further than its own first; `checkpoint_step` is its step.
    """

    segment: int
    job: str = ""
    restarts: int = 0
    nodes: tuple[str, ...] = ()
    ranks: int = 1
    started: float = 0.0
    start_step: int = 0
    step: int = 0
    ending: str = ""
    reason: str = ""
    why: str = ""
    checkpoint: str = ""
    checkpoint_step: int = 0
    state: str = ""
    exit_code: str = ""
    elapsed: float | None = None
    max_rss: int | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended by a fault of its own, as far as is known.

        A job that requeues itself after its driver died is accounted as requeued.
        """
        if self.ending:
            return self.ending in ("exception", "aborted")
        return self.reason not in TAKEN_AWAY


class Decision(Record, frozen=True, kw_only=True):
    """Whether a run is to be started again, with the reason in a sentence."""

    verdict: Verdict
    reason: str


def attempts(run: Bundle, accounts: Iterable[Account] = ()) -> tuple[Attempt, ...]:
    """Each job attempt of `run`, in order, with its account where there is one.

    `accounts` are what the scheduler says now; where it says nothing, what the bundle holds counts.
    """
    current = tuple(accounts)
    # What was recorded while a job was still running does not say how it ended.
    recorded_accounts = {
        segment: replace(account, state="") if account.state in UNDER_WAY else account
        for segment, account in recorded(run).items()
    }
    # Also the samples that a later attempt made again: they tell how far this one came.
    series = run.series(effective=False)
    sampled: dict[int, tuple[int, float]] = {}
    for view in run.segments:
        rows = series.segment == view.index
        if rows.any():
            sampled[view.index] = int(series.step[rows].max()), float(series.wall[rows].max())
    committed = _committed(run)
    last = run.segments[-1].index if run.segments else 0
    return tuple(
        _attempt(
            view,
            sampled.get(view.index),
            committed.get(view.index),
            account_of(view, current) or recorded_accounts.get(view.index),
            unknown="killed, or still running" if view.index == last else "killed",
        )
        for view in run.segments
    )


def decide(
    chain: Sequence[Attempt],
    most: int,
    job: str = "",
    restarts: int | None = None,
    *,
    warned: bool = False,
) -> Decision:
    """What to do after the last attempt of `chain`.

    It is started again after it was told to stop or was taken away, and once after a fault; not
    where a fault came before the first step, or repeats no further on, or where `IDLE` attempts
    in a row made no step, or after `most` attempts.

    Parameters
    ----------
    chain : sequence of Attempt
        The attempts so far.
    most : int
        How many attempts there may be.
    job, restarts : str, int
        The job that asks; if the last attempt is not of this job, then the driver of this job
        left before it recorded anything.
    warned : bool
        Whether the scheduler told the job that asks to stop.
    """
    last = chain[-1] if chain else None
    if last is not None and last.ending == "finished":
        return Decision(verdict="finished", reason=f"finished at step {last.step}")
    count = plural(len(chain), "attempt")
    if last is None or (job and (last.job, last.restarts) != (job, restarts or 0)):
        nothing = f"this job recorded nothing: no run began ({count} before)"
        if not warned:
            return Decision(verdict="stop", reason=nothing)
        # The scheduler starts a job again under the same number, and counts.
        previous = last.restarts if last is not None and last.job == job else -1
        return _idle((restarts or 0) - previous, f"{nothing}, since it was told to stop")
    # The job that asks is still running, so the scheduler's word on it is none.
    why = last.reason if last.ending or last.reason in TAKEN_AWAY else "killed"
    text = f"attempt {len(chain)} ended at step {last.step} ({why})"
    if len(chain) >= most:
        return Decision(verdict="stop", reason=f"{text}, and no more than {most} may be made")
    failed = last.failed and not (warned and not last.ending)
    if last.step <= last.start_step:
        text += " without having made a step"
        if failed:
            return Decision(verdict="stop", reason=text)
        idle = takewhile(lambda a: a.step <= a.start_step and not a.failed, reversed(chain[:-1]))
        return _idle(1 + sum(1 for _ in idle), text)
    before = next((a for a in reversed(chain[:-1]) if a.failed), None)
    if failed and before is not None and last.step <= before.step:
        return Decision(
            verdict="stop",
            reason=f"{text}, no further than the attempt before that failed, at {before.step}",
        )
    return Decision(verdict="again", reason=f"{text}; it goes on from there")


def _idle(times: int, text: str) -> Decision:
    """What to do after so many attempts in a row that were stopped before they made a step."""
    if times >= IDLE:
        return Decision(verdict="stop", reason=f"{text}, {times} times in a row")
    return Decision(verdict="again", reason=f"{text}; it is tried again")


def _committed(run: Bundle) -> dict[int, Checkpoint]:
    """The last checkpoint of each attempt that says how far it came."""
    by_id = {checkpoint.id: checkpoint for checkpoint in run.checkpoints}
    last: dict[int, Checkpoint] = {c.segment: c for c in by_id.values()}
    for view in run.segments:
        checkpoint = last.get(view.index)
        if checkpoint is None or checkpoint.reason == "start":
            # It came no further than where it went on from.
            origin = by_id.get(view.resumed_from or "", checkpoint)
            if origin is not None:
                last[view.index] = origin
    return last


def _attempt(
    view: SegmentView,
    sampled: tuple[int, float] | None,
    committed: Checkpoint | None,
    account: Account | None,
    unknown: str,
) -> Attempt:
    segment, end = view.segment, view.end
    reached = max(
        step
        for step in (
            view.start_step,
            sampled[0] if sampled else None,
            committed.step if committed else None,
            end.step if end else None,
        )
        if step is not None
    )
    silent = max(
        segment.started, committed.wall if committed else 0.0, sampled[1] if sampled else 0.0
    )
    restarts = segment.scheduler.get("restarts", 0)
    return Attempt(
        segment=segment.index,
        job=job_number(segment.scheduler),
        restarts=restarts if isinstance(restarts, int) else 0,
        nodes=tuple(node.host for node in segment.nodes),
        ranks=segment.ranks,
        started=segment.started,
        start_step=view.start_step,
        step=reached,
        ending=end.ending if end else "",
        reason=_reason(view, account, silent, unknown),
        why=end.why if end else "",
        checkpoint=committed.id if committed else "",
        checkpoint_step=committed.step if committed else 0,
        state=account.state if account else "",
        exit_code=account.exit_code if account else "",
        elapsed=account.elapsed if account else None,
        max_rss=account.max_rss if account else None,
    )


def _reason(view: SegmentView, account: Account | None, silent: float, unknown: str) -> str:
    """Why an attempt ended; the driver's own word counts, and then the scheduler's."""
    end = view.end
    if end is not None and end.ending in ("finished", "exception"):
        return end.ending
    if end is None and account is not None:
        if OUT_OF_MEMORY in (account.state, account.step_state):
            return "out of memory"
        if _over(view.segment, account):
            return "out of memory, probably"
    state = _STATES.get(account.state, "") if account else ""
    if end is not None:
        ending = "told to stop" if end.ending == "signal" else end.ending
        return state if state in TAKEN_AWAY else ending
    if state:
        return state
    ends = view.segment.scheduler.get("ends")
    if isinstance(ends, int | float) and silent > ends - GRACE:
        return "time limit, probably"
    return unknown


def _over(segment: Segment, account: Account) -> bool:
    """Whether one rank alone held all the memory that its node, or its CPUs, were given."""
    facts = segment.scheduler
    limit = facts.get("memory_per_node_MiB")
    if not limit:
        each, cpus = facts.get("memory_per_cpu_MiB"), facts.get("cpus_per_task", 1)
        limit = each * cpus if isinstance(each, int) and isinstance(cpus, int) else 0
    return isinstance(limit, int) and 0 < limit * 2**20 <= (account.max_rss or 0)
