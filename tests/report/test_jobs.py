from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from simckpt import open as open_bundle
from simckpt.bundle.writer import BundleWriter
from simckpt.capture.jobs import Account
from simckpt.model.documents import Manifest, Stage
from simckpt.model.series import Checkpoint, Node, Parts, RunOpened, Segment, SegmentEnd
from simckpt.report.continuation import continuation, template_of
from simckpt.report.history import job_table
from simckpt.report.job_chain import (
    STATUS,
    Attempt,
    attempts,
    decide,
    job_number,
    recorded,
    unrecorded,
)
from simckpt.report.text import show

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


def test_a_warned_run_goes_on_until_three_attempts_in_a_row_make_no_step() -> None:
    chain = [attempt(0, 10), attempt(10, 19, restarts=1)]
    assert decide(chain, 9, "71", 1).verdict == "again"
    for restart in (2, 3):
        chain.append(attempt(19, 19, restarts=restart))
        assert decide(chain, 9, "71", restart).verdict == "again"
    chain.append(attempt(19, 19, restarts=4))
    decision = decide(chain, 9, "71", 4)
    assert decision.verdict == "stop"
    assert "without having made a step, 3 times in a row" in decision.reason


@pytest.mark.parametrize(("ending", "reason"), [("exception", "exception"), ("", "killed")])
def test_a_fault_before_the_first_step_stops_at_once(ending, reason) -> None:
    decision = decide([attempt(0, 0, ending, reason)], 9, "71", 0)
    assert decision.verdict == "stop"
    assert "without having made a step" in decision.reason


def test_a_driver_that_was_ended_while_it_was_told_to_stop_is_no_fault() -> None:
    killed = attempt(0, 0, "", "killed")
    assert decide([killed], 9, "71", 0, warned=True).verdict == "again"
    assert decide([attempt(0, 0, "exception")], 9, "71", 0, warned=True).verdict == "stop"


def test_a_job_warned_before_its_run_began_is_tried_three_times() -> None:
    for before, first in (([], 0), ([attempt()], 1)):
        verdicts = [decide(before, 9, "71", first + n, warned=True).verdict for n in range(3)]
        assert verdicts == ["again", "again", "stop"]
    assert decide([attempt()], 9, "72", 0, warned=True).verdict == "again"


def test_a_fault_repeats_also_where_the_job_was_taken_away_in_between() -> None:
    chain = [
        attempt(0, 15, "exception", "exception"),
        attempt(10, 12, restarts=1),
        attempt(12, 15, "exception", "exception", restarts=2),
    ]
    decision = decide(chain, 9, "71", 2)
    assert decision.verdict == "stop"
    assert "no further than the attempt before that failed, at 15" in decision.reason


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
    writer.close()
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


def test_a_killed_attempt_whose_rank_held_all_its_memory_ran_out_of_it_probably(tmp_path) -> None:
    path = tmp_path / "run.simckpt.h5"
    with BundleWriter.create(
        path, RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
    ) as writer:
        facts = SLURM | {"memory_per_cpu_MiB": 100, "cpus_per_task": 4}
        writer.append(Segment(index=0, started=1.0, ranks=4, scheduler=facts))
    killed = Account(job="71", state="REQUEUED", start=0, end=9)
    with open_bundle(path) as run:
        for account, reason in (
            (replace(killed, max_rss=399 * 2**20), "killed, requeued"),
            (replace(killed, max_rss=400 * 2**20), "out of memory, probably"),
            (replace(killed, step_state="OUT_OF_MEMORY"), "out of memory"),
            (replace(killed, state="OUT_OF_MEMORY"), "out of memory"),
        ):
            assert attempts(run, [account])[0].reason == reason


def test_without_accounts_the_time_limit_is_the_probable_reason(chain) -> None:
    with open_bundle(chain) as run:
        first, second, third = attempts(run)
    assert first.reason == "told to stop"
    assert second.reason == "time limit, probably"
    assert third.reason == "killed, or still running"
    assert all(a.checkpoint != b.checkpoint for a, b in pairwise((first, second, third)))


def test_the_command_that_continues_is_quoted_for_a_shell(chain) -> None:
    with open_bundle(chain) as run:
        command = continuation(run, "/my jobs/chain.sbatch")
    assert command == (
        "cd '/home/me/my runs' && "
        f"SIMCKPT_BUNDLE='{chain.parent}/it'\"'\"'s.simckpt.h5' "
        "sbatch --ntasks=4 --partition=debug '--account=cfd team' '/my jobs/chain.sbatch' "
        "python -m mpi4py driver.py --name 'a b$(x)'"
    )


def test_the_command_asks_for_what_the_job_had_and_names_the_member(
    tmp_path, one_checkpoint
) -> None:
    path = tmp_path / "member-3.simckpt.h5"
    facts = {
        "job_id": "74",
        "array_job_id": "70",
        "array_task_id": 3,
        "job_name": "two words",
        "node_count": 2,
        "cpus_per_task": 8,
        "qos": "long",
        "memory_per_node_MiB": 500,
        "time_limit_s": 3601,
        "template": "/jobs/array.sbatch",
    }
    one_checkpoint(path, ("python", "driver.py"), "/home/me", ranks=4, scheduler=SLURM | facts)
    with open_bundle(path) as run:
        assert template_of(run) == "/jobs/array.sbatch"
        command = continuation(run, template_of(run))
    assert command == (
        f"cd /home/me && SIMCKPT_FOLDER={tmp_path} sbatch --array=3 --ntasks=4 --nodes=2 "
        "--cpus-per-task=8 --partition=debug '--account=cfd team' --qos=long "
        "'--job-name=two words' --mem=500M --time=61 /jobs/array.sbatch python driver.py"
    )


def test_what_accounting_said_is_kept_in_the_bundle(chain) -> None:
    accounts = [
        Account(job="71", state="TIMEOUT", start=0, end=590, elapsed=590, max_rss=2**20),
        Account(job="71", state="NODE_FAIL", start=999, end=1600, elapsed=601),
        Account(job="71", state="RUNNING", start=1999, elapsed=7.0),
    ]
    store(chain, accounts)
    with open_bundle(chain) as run:
        assert list(recorded(run).values()) == accounts
        assert unrecorded(run, accounts) == ()
        first, second, third = attempts(run)
        assert (first.reason, first.elapsed, first.max_rss) == ("time limit", 590, 2**20)
        assert (second.reason, second.state) == ("node failure", "NODE_FAIL")
        # It ran when this was recorded, which does not say what became of it.
        assert (third.reason, third.elapsed) == ("killed, or still running", 7.0)
        ended = [*accounts[:2], replace(accounts[2], state="OUT_OF_MEMORY", end=2100.0)]
        assert attempts(run, ended)[2].reason == "out of memory"
    store(chain, ended)
    with open_bundle(chain) as run:
        assert attempts(run)[2].reason == "out of memory"
        assert len(run.events) == 4


def store(path: Path, accounts: list[Account]) -> None:
    with open_bundle(path) as run:
        events = unrecorded(run, accounts)
    with BundleWriter.resume(path) as writer:
        for event in events:
            writer.append(event)


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
