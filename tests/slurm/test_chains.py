"""One run over several jobs: warned, requeued, cancelled, failing and preempted ones."""

from __future__ import annotations

import numpy as np
import pytest
from slurm_desk import Desk

from simckpt.bundle.reader import Bundle, open_bundle
from simckpt.capture.accounting import accounts
from simckpt.report.jobs import Attempt, attempts, continuation, job_number

LONG = ("--steps", "60", "--pause", "0.1")
THREE = ("--ntasks=3", "--nodes=3")


def same_bits(a: Bundle, b: Bundle) -> None:
    """The effective series of two runs have the same steps and the same bits in each column."""
    one, other = a.series(), b.series()
    np.testing.assert_array_equal(one.step, other.step)
    np.testing.assert_array_equal(one.t.view(np.uint64), other.t.view(np.uint64))
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name].view(np.uint64), other[name].view(np.uint64), name)
    for field in a.fields:
        np.testing.assert_array_equal(a.digests(field).values, b.digests(field).values)


def chain(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> tuple[Attempt, ...]:
    """The attempts of the run, with their accounts where the cluster keeps them."""
    monkeypatch.setenv("SLURM_CONF", desk.slurm.environment["SLURM_CONF"])
    with desk.bundle() as run:
        return attempts(run, accounts(job_number(v.segment.scheduler) for v in run.segments))


def test_a_run_over_four_jobs_has_the_bits_of_an_unbroken_one(desk: Desk, unbroken) -> None:
    number = desk.heat("chain.sbatch", *LONG, options=THREE)
    for restart in range(3):
        desk.slurm.running(number, restart)
        desk.reached(number, 10 * (restart + 1))
        desk.slurm.warn(number)
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 3), desk.output()
    with desk.bundle() as run, open_bundle(unbroken) as reference:
        assert [s.ending for s in run.segments] == ["signal"] * 3 + ["finished"]
        assert [s.segment.scheduler["restarts"] for s in run.segments] == [0, 1, 2, 3]
        assert {s.segment.scheduler["job_id"] for s in run.segments} == {number}
        assert len(run.series().step) == 61
        same_bits(run, reference)


def test_a_run_that_is_finished_is_not_run_again(desk: Desk) -> None:
    for _ in range(2):
        number = desk.heat("chain.sbatch", "--steps", "12", options=("--ntasks=2",))
        assert desk.slurm.ended(number).state == "COMPLETED"
    assert "simckpt: finished at step 12" in desk.output()
    with desk.bundle() as run:
        assert len(run.segments) == 1


def test_scontrol_requeue_goes_on_in_the_same_bundle(desk: Desk, unbroken) -> None:
    number = desk.heat("chain.sbatch", *LONG, options=THREE)
    desk.reached(number, 20)
    desk.slurm.command("scontrol", "requeue", number)
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 1), desk.output()
    with desk.bundle() as run, open_bundle(unbroken) as reference:
        assert run.segments[1].start_step >= 20
        same_bits(run, reference)


def test_a_cancelled_job_stays_cancelled_and_tells_how_to_go_on(desk: Desk, monkeypatch) -> None:
    number = desk.heat("chain.sbatch", *LONG, options=THREE)
    desk.reached(number, 10)
    desk.slurm.command("scancel", number)
    job = desk.slurm.ended(number)
    assert (job.state, job.restarts) == ("CANCELLED", 0)
    desk.slurm.clear()
    (attempt,) = chain(desk, monkeypatch)
    assert attempt.checkpoint
    assert attempt.checkpoint_step >= 10
    assert attempt.reason == ("cancelled" if desk.slurm.accounting else "told to stop")
    with desk.bundle() as run:
        command = continuation(run)
    assert f"SIMCKPT_BUNDLE={desk.bundle_path} sbatch --ntasks=3 --partition=debug" in command
    assert command.endswith("heat.py --steps 60 --pause 0.1")


def test_a_driver_that_fails_at_once_is_not_started_again(desk: Desk, monkeypatch) -> None:
    number = desk.heat("chain.sbatch", "--fail-at", "0", options=("--ntasks=2",))
    job = desk.slurm.ended(number)
    assert (job.state, job.restarts) == ("FAILED", 0)
    assert "without having made a step" in desk.output()
    (attempt,) = chain(desk, monkeypatch)
    assert attempt.reason == "exception"
    assert "the temperature is not finite" in attempt.why


@pytest.mark.parametrize(
    "how", ["exception", "kill", pytest.param("alone", marks=pytest.mark.slow)]
)
def test_a_fault_that_repeats_at_the_same_step_is_tried_twice(desk: Desk, how, monkeypatch) -> None:
    words = ("--fail-at", "15", "--how", how)
    number = desk.heat("chain.sbatch", *words, options=("--ntasks=2",))
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("FAILED", 1), desk.output()
    assert "no further than the attempt before" in desk.output()
    first, second = chain(desk, monkeypatch)
    assert first.failed
    assert second.failed
    assert first.checkpoint_step == (15 if how == "exception" else 10)
    assert second.start_step == 10


@pytest.mark.parametrize("launch", ["", "mpiexec -n 2"])
def test_no_more_attempts_are_made_than_allowed(desk: Desk, launch) -> None:
    # Without a launcher the driver is a child of the batch shell, and gets the warning itself.
    ranks = "2" if launch else "1"
    options = (f"--ntasks={ranks}",)
    settings = {"SIMCKPT_ATTEMPTS": "1", "SIMCKPT_LAUNCH": launch}
    number = desk.heat("chain.sbatch", *LONG, options=options, **settings)
    desk.reached(number, 10)
    desk.slurm.warn(number)
    job = desk.slurm.ended(number)
    assert job.restarts == 0
    assert "(told to stop), and no more than 1 may be made" in desk.output()


@pytest.mark.parametrize(
    "partition", ["scavenge", pytest.param("fleeting", marks=pytest.mark.slow)]
)
def test_a_preempted_job_makes_way_and_goes_on_later(desk: Desk, unbroken, partition) -> None:
    """One partition requeues what it preempts, the other cancels it."""
    options = (f"--partition={partition}", "--exclusive", *THREE)
    number = desk.heat("preempt.sbatch", *LONG, options=options)
    desk.reached(number, 10)
    other = desk.slurm.sbatch("--nodes=3", "--exclusive", "--wrap=sleep 1", cwd=desk.folder)
    assert desk.slurm.ended(other).state == "COMPLETED"
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 1), desk.output()
    with desk.bundle() as run, open_bundle(unbroken) as reference:
        assert [s.ending for s in run.segments] == ["signal", "finished"]
        same_bits(run, reference)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_warning_before_the_time_limit_requeues_the_job(desk: Desk, unbroken) -> None:
    options = ("--time=00:01:00", "--signal=B:USR1@30", *THREE)
    number = desk.heat("chain.sbatch", "--steps", "60", "--pause", "1.0", options=options)
    job = desk.slurm.ended(number, timeout=300)
    assert job.state == "COMPLETED", desk.output()
    assert job.restarts >= 1
    with desk.bundle() as run, open_bundle(unbroken) as reference:
        same_bits(run, reference)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_time_limit_without_warning_leaves_the_last_checkpoint(desk: Desk, monkeypatch) -> None:
    options = ("--time=00:01:00", "--ntasks=2")
    number = desk.heat("mpi.sbatch", "--steps", "1000", "--pause", "0.5", options=options)
    job = desk.slurm.ended(number, timeout=200)
    assert job.state == "TIMEOUT"
    desk.slurm.clear()
    (attempt,) = chain(desk, monkeypatch)
    assert attempt.checkpoint_step >= 10
    assert attempt.reason == ("time limit" if desk.slurm.accounting else "told to stop")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("node", "reason"), [("n1", "node failure"), ("n2", "killed, requeued")], ids=("first", "other")
)
def test_a_node_that_dies_gives_back_the_run(
    desk: Desk, unbroken, node, reason, monkeypatch
) -> None:
    """With the first node dies the batch shell, which otherwise requeues the job by itself."""
    if not desk.slurm.hosts_differ:
        pytest.skip("the nodes are not kept apart here: no namespaces")
    number = desk.heat("chain.sbatch", "--steps", "60", "--pause", "0.2", options=THREE)
    desk.reached(number, 20)
    desk.slurm.kill_node(node)
    try:
        desk.slurm.until(number, lambda job: job.restarts == 1, "requeued", timeout=180)
    finally:
        desk.slurm.start_node(node)
    job = desk.slurm.ended(number, timeout=180)
    assert job.state == "COMPLETED", desk.output()
    with desk.bundle() as run, open_bundle(unbroken) as reference:
        assert run.segments[-1].ending == "finished"
        same_bits(run, reference)
    if desk.slurm.accounting:
        assert chain(desk, monkeypatch)[0].reason == reason
