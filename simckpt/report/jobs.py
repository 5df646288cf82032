"""The chain of jobs behind a run: how each attempt ended and why, and what to do next.

The bundle knows how the driver left; only the scheduler knows why a job that said nothing was
killed. Both are put together here, and either may be missing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from ..model.manifest import Manifest
from ..model.record import Facts, Record
from .text import plural

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..bundle.views import SegmentView
    from ..capture.accounting import Account
    from ..model.checkpoint import Checkpoint

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
        Id of the last checkpoint that it committed; `checkpoint_step` is its step.
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


def job_number(scheduler: Facts) -> str:
    """The number by which the scheduler's commands know a job: ``71``, or ``70_3``."""
    array, task = scheduler.get("array_job_id"), scheduler.get("array_task_id")
    if array is not None and task is not None:
        return f"{array}_{task}"
    return str(scheduler.get("job_id", ""))


def attempts(run: Bundle, accounts: Iterable[Account] = ()) -> tuple[Attempt, ...]:
    """Each job attempt of `run`, in order, with its account where there is one."""
    known = tuple(accounts)
    # Also the samples that a later attempt made again: they tell how far this one came.
    series = run.series(effective=False)
    sampled: dict[int, tuple[int, float]] = {}
    for view in run.segments:
        mine = series.segment == view.index
        if mine.any():
            sampled[view.index] = int(series.step[mine].max()), float(series.wall[mine].max())
    committed: dict[int, Checkpoint] = {c.segment: c for c in run.checkpoints}
    last = run.segments[-1].index if run.segments else 0
    return tuple(
        _attempt(
            view,
            sampled.get(view.index),
            committed.get(view.index),
            known,
            unknown="killed, or still running" if view.index == last else "killed",
        )
        for view in run.segments
    )


def decide(
    chain: Sequence[Attempt], most: int, job: str = "", restarts: int | None = None
) -> Decision:
    """What to do after the last attempt of `chain`.

    It is started again after it was told to stop or was taken away, and once after a fault; not
    where it made no step, or where a fault repeats no further on, or after `most` attempts.

    Parameters
    ----------
    chain : sequence of Attempt
        The attempts so far.
    most : int
        How many attempts there may be.
    job, restarts : str, int
        The job that asks; if the last attempt is not of this job, then the driver of this job
        left before it recorded anything.
    """
    if not chain:
        return Decision(verdict="stop", reason="nothing was recorded: no run began")
    last = chain[-1]
    if last.ending == "finished":
        return Decision(verdict="finished", reason=f"finished at step {last.step}")
    made = plural(len(chain), "attempt")
    if job and (last.job, last.restarts) != (job, restarts or 0):
        return Decision(
            verdict="stop", reason=f"this job recorded nothing: no run began ({made} before)"
        )
    # The job that asks is still running, so the scheduler's word on it is none.
    why = last.reason if last.ending or last.reason in TAKEN_AWAY else "killed"
    said = f"attempt {len(chain)} ended at step {last.step} ({why})"
    if len(chain) >= most:
        return Decision(verdict="stop", reason=f"{said}, and no more than {most} may be made")
    if last.step <= last.start_step:
        return Decision(verdict="stop", reason=f"{said} without having made a step")
    before = chain[-2] if len(chain) > 1 else None
    if last.failed and before is not None and before.failed and last.step <= before.step:
        return Decision(
            verdict="stop",
            reason=f"{said}, no further than the attempt before, which failed at {before.step}",
        )
    return Decision(verdict="again", reason=f"{said}; it goes on from there")


def continuation(run: Bundle, template: str = "chain.sbatch") -> str:
    """The command that continues `run`, for a shell; empty if it finished or never began."""
    views = run.segments
    if not views or (views[-1].end is not None and views[-1].end.ending == "finished"):
        return ""
    segment = views[-1].segment
    manifest = _manifest(run)
    if manifest is None:
        return ""
    path = str(run.path.absolute())
    if path.endswith(".journal"):  # all there is of a run that was killed early
        path = path.removesuffix(".journal") + ".h5"
    words = [f"SIMCKPT_BUNDLE={shlex.quote(path)}"]
    if segment.scheduler.get("scheduler") == "slurm":
        words += ["sbatch", f"--ntasks={segment.ranks}"]
        words += [
            f"--{option}={shlex.quote(str(segment.scheduler[fact]))}"
            for option, fact in (("partition", "partition"), ("account", "account"))
            if segment.scheduler.get(fact)
        ]
        words.append(template)
    elif segment.ranks > 1:
        words += ["mpiexec", "-n", str(segment.ranks)]
    words.append(shlex.join(manifest.command))
    return f"cd {shlex.quote(manifest.working_directory)} && {' '.join(words)}"


def _attempt(
    view: SegmentView,
    sampled: tuple[int, float] | None,
    committed: Checkpoint | None,
    accounts: tuple[Account, ...],
    unknown: str,
) -> Attempt:
    segment, end = view.segment, view.end
    job = job_number(segment.scheduler)
    account = next((a for a in accounts if a.job == job and a.covers(segment.started)), None)
    reached = max(
        step
        for step in (
            segment.start_step,
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
        job=job,
        restarts=restarts if isinstance(restarts, int) else 0,
        nodes=tuple(node.host for node in segment.nodes),
        ranks=segment.ranks,
        started=segment.started,
        start_step=segment.start_step,
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
    said = _STATES.get(account.state, "") if account else ""
    if end is not None:
        told = "told to stop" if end.ending == "signal" else end.ending
        return said if said in TAKEN_AWAY else told
    if said:
        return said
    ends = view.segment.scheduler.get("ends")
    if isinstance(ends, int | float) and silent > ends - GRACE:
        return "time limit, probably"
    return unknown


def _manifest(run: Bundle) -> Manifest | None:
    for checkpoint in reversed(run.checkpoints):
        if checkpoint.parts.manifest is not None:
            document = run.document(checkpoint.parts.manifest)
            return document if isinstance(document, Manifest) else None
    return None
