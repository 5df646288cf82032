from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest

from simckpt.bundle.reader import open_bundle
from simckpt.bundle.writer import BundleWriter
from simckpt.capture.accounting import Account
from simckpt.model.checkpoint import Checkpoint, Parts
from simckpt.model.journal import RunOpened
from simckpt.model.manifest import Manifest, Stage
from simckpt.model.segment import Node, Segment, SegmentEnd
from simckpt.report.job_table import job_table
from simckpt.report.jobs import STATUS, Attempt, attempts, continuation, decide, job_number
from simckpt.report.page import show

SLURM = {"scheduler": "slurm", "job_id": "71", "partition": "debug", "account": "cfd team"}


def attempt(start=0, step=10, ending="signal", reason="told to stop", restarts=0) -> Attempt:
    return Attempt(
        segment=0,
        job="71",
        restarts=restarts,
        start_step=start,
        step=step,
        ending=ending,
        reason=reason,
    )


def test_a_finished_run_is_finished_whoever_asks() -> None:
    for job in ("", "71", "72"):
        decision = decide([attempt(ending="finished", reason="finished")], 1, job, 0)
        assert decision.verdict == "finished"
        assert STATUS[decision.verdict] == 0


def test_a_warned_run_goes_on_as_long_as_it_makes_steps() -> None:
    chain = [attempt(0, 10), attempt(10, 19, restarts=1)]
    assert decide(chain, 5, "71", 1).verdict == "again"
    chain.append(attempt(19, 19, restarts=2))
    decision = decide(chain, 5, "71", 2)
    assert decision.verdict == "stop"
    assert "without having made a step" in decision.reason


def test_a_run_goes_on_from_before_the_step_at_which_a_node_was_lost() -> None:
    lost = attempt(0, 50, ending="", reason="node failure")
    assert decide([lost, attempt(40, 45)], 5).verdict == "again"
    fault = attempt(40, 45, ending="exception", reason="exception")
    assert decide([lost, fault], 5).verdict == "again"


@pytest.mark.parametrize(
    ("ending", "reason"),
    [("exception", "exception"), ("aborted", "aborted"), ("", "killed"), ("", "out of memory")],
)
def test_a_fault_is_tried_once_more_unless_it_comes_no_further(ending, reason) -> None:
    first = attempt(0, 15, ending, reason)
    assert decide([first], 9).verdict == "again"
    for step, verdict in ((12, "stop"), (15, "stop"), (16, "again")):
        again = attempt(10, step, ending, reason, restarts=1)
        assert decide([first, again], 9).verdict == verdict


def test_a_job_that_requeued_itself_after_a_fault_is_still_a_fault() -> None:
    """The accounts call the attempt requeued, and say nothing of its driver."""
    first = attempt(0, 15, "", "killed, requeued")
    assert decide([first, attempt(10, 15, "", "running")], 9).verdict == "stop"


def test_no_more_attempts_than_allowed() -> None:
    chain = [attempt(0, 10), attempt(10, 20, restarts=1)]
    assert decide(chain, 3).verdict == "again"
    assert decide(chain, 2).verdict == "stop"
    assert STATUS["again"] == 75


def test_a_job_that_recorded_nothing_is_not_started_again() -> None:
    assert decide([], 9).verdict == "stop"
    decision = decide([attempt()], 9, "71", 1)
    assert decision.verdict == "stop"
    assert "this job recorded nothing" in decision.reason
    assert decide([attempt()], 9, "71", None).verdict == "again"


def test_a_task_of_an_array_has_the_number_of_the_array() -> None:
    assert job_number({"job_id": "74", "array_job_id": "70", "array_task_id": 0}) == "70_0"
    assert job_number({"job_id": "74"}) == "74"
    assert job_number({}) == ""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Three attempts: warned at step 8, lost after a checkpoint at 12, and one that is open."""
    path = tmp_path / "it's.simckpt.h5"
    opened = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
    writer = BundleWriter.create(path, opened)
    manifest = writer.store(
        Manifest(
            stage=Stage(),
            command=("python", "-m", "mpi4py", "driver.py", "--name", "a b$(x)"),
            working_directory="/home/me/my runs",
            driver="main",
            parameters={},
        )
    )
    parents: tuple[str, ...] = ()
    for index, (start, step, ending) in enumerate([(0, 8, "signal"), (8, 12, ""), (12, 12, "")]):
        began = 1000.0 * index
        writer.append(
            Segment(
                index=index,
                started=began,
                ranks=4,
                start_step=start,
                nodes=(Node(host="n1", ranks=(0, 1, 2, 3), environment="e"),),
                scheduler=SLURM | {"restarts": index, "ends": began + 600},
            )
        )
        if step > start:
            committed = writer.commit(
                Checkpoint(
                    parents=parents,
                    segment=index,
                    index=index,
                    label="x",
                    reason="schedule",
                    step=step,
                    t=None,
                    wall=began + 580,
                    parts=Parts(manifest=manifest),
                )
            )
            parents = (committed.id,)
        if ending:
            writer.append(
                SegmentEnd(segment=index, ending=ending, ended=began, step=step, why="USR1")
            )
    writer.flush()
    return path


def test_attempts_put_the_bundle_and_the_accounts_together(chain) -> None:
    accounts = [
        Account(job="71", state="REQUEUED", start=0, end=590, elapsed=590),
        Account(job="71", state="NODE_FAIL", start=999, end=1600, elapsed=601, max_rss=2**30),
        Account(job="71", state="RUNNING", start=1999),
        Account(job="7", state="COMPLETED", start=0, end=9999),
    ]
    with open_bundle(chain) as run:
        first, second, third = attempts(run, accounts)
    assert (first.reason, first.step, first.why) == ("told to stop", 8, "USR1")
    assert (second.reason, second.max_rss, second.elapsed) == ("node failure", 2**30, 601)
    assert second.checkpoint_step == 12
    assert (third.reason, third.checkpoint, third.step) == ("running", "", 12)


def test_without_accounts_the_time_limit_is_the_probable_reason(chain) -> None:
    with open_bundle(chain) as run:
        first, second, third = attempts(run)
    assert first.reason == "told to stop"
    assert second.reason == "time limit, probably"
    assert third.reason == "killed, or still running"
    assert all(a.checkpoint != b.checkpoint for a, b in pairwise((first, second, third)))


def test_the_command_that_continues_is_quoted_for_a_shell(chain) -> None:
    with open_bundle(chain) as run:
        command = continuation(run)
    assert command == (
        "cd '/home/me/my runs' && "
        f"SIMCKPT_BUNDLE='{chain.parent}/it'\"'\"'s.simckpt.h5' "
        "sbatch --ntasks=4 --partition=debug --account='cfd team' chain.sbatch "
        "python -m mpi4py driver.py --name 'a b$(x)'"
    )


def test_the_table_names_what_each_attempt_left(chain) -> None:
    with open_bundle(chain) as run:
        table = job_table(attempts(run))
    page = io.StringIO()
    show(table, page)
    assert "71, restart 1" in page.getvalue()
    assert "time limit, probably" in page.getvalue()
    assert "at 12" in page.getvalue()


def test_a_plain_run_that_finished_needs_no_table() -> None:
    page = io.StringIO()
    show(job_table([Attempt(segment=0, ending="finished", reason="finished")]), page)
    assert page.getvalue().strip() == ""
