"""One run over several jobs: warned, requeued, preempted, and failing ones."""

from __future__ import annotations

import pytest
from slurm_desk import Desk

from simckpt import open as open_bundle
from simckpt.compare.restart_check import restarts

SLOWLY = ("--pause", "0.06")
TWO = ("--ntasks=2", "--nodes=2")
THREE = ("--ntasks=3", "--nodes=3")


def test_a_run_over_four_jobs_has_the_bits_of_an_unbroken_one(desk: Desk, unbroken) -> None:
    number = desk.run("chain.sbatch", *SLOWLY, options=THREE)
    for restart in range(3):
        desk.slurm.running(number, restart)
        desk.reached(number, 10 * (restart + 1))
        desk.slurm.warn(number)
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 3), desk.output()
    with desk.bundle() as run:
        assert [s.ending for s in run.segments] == ["signal"] * 3 + ["finished"]
        assert [s.segment.scheduler["restarts"] for s in run.segments] == [0, 1, 2, 3]
        assert {s.segment.scheduler["job_id"] for s in run.segments} == {number}
        assert len(run.series().step) == 21
        assert {found.verdict for found in restarts(run)} == {"bit-for-bit"}
    desk.same_bits(unbroken)

    # What is finished is not run again.
    number = desk.run("chain.sbatch", options=("--ntasks=2",))
    assert desk.slurm.ended(number).state == "COMPLETED"
    assert desk.output().count("simckpt: finished at step 60") == 2
    with desk.bundle() as run:
        assert len(run.segments) == 4


def test_a_warning_that_comes_while_the_driver_starts_is_not_lost(desk: Desk, unbroken) -> None:
    options = ("--ntasks=2",)
    number = desk.run("chain.sbatch", "--start-up", "3", *SLOWLY, options=options)
    desk.slurm.until(number, lambda _: (desk.folder / "starting").exists(), "starting")
    desk.slurm.warn(number)
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 1), desk.output()
    with desk.bundle() as run:
        assert [s.ending for s in run.segments] == ["signal", "finished"]
    desk.same_bits(unbroken)


@pytest.mark.slow
def test_a_job_that_is_warned_before_it_started_anything_is_tried_again(desk: Desk) -> None:
    slow = desk.edited("chain.sbatch", "touch loading; sleep 2")
    number = desk.run(slow, "--steps", "6", options=("--ntasks=2",))
    desk.slurm.until(number, lambda _: (desk.folder / "loading").exists(), "loading")
    desk.slurm.warn(number)
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 1), desk.output()
    assert "told to stop before anything was started" in desk.output()
    with desk.bundle() as run:
        assert [s.ending for s in run.segments] == ["finished"]


@pytest.mark.parametrize("restart_file", ["there", pytest.param("lost", marks=pytest.mark.slow)])
def test_scontrol_requeue_goes_on_in_the_same_bundle(desk: Desk, unbroken, restart_file) -> None:
    loses = "[ -z ${SLURM_RESTART_COUNT:-} ] || rm restart.npz" * (restart_file == "lost")
    number = desk.run(desk.edited("chain.sbatch", loses), *SLOWLY, options=TWO)
    desk.reached(number, 20)
    desk.slurm.command("scontrol", "requeue", number)
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 1), desk.output()
    with desk.bundle() as run:
        start = run.segments[1].start_step
        assert start == 0 if restart_file == "lost" else start >= 20
    desk.same_bits(unbroken)


def test_a_driver_that_fails_at_once_is_not_started_again(desk: Desk) -> None:
    number = desk.run("chain.sbatch", "--fail-at", "0", options=("--ntasks=2",))
    job = desk.slurm.ended(number)
    assert (job.state, job.restarts) == ("FAILED", 0)
    assert "without having made a step" in desk.output()
    (attempt,) = desk.attempts()
    assert attempt.reason == "exception"
    assert "the density is not finite" in attempt.why


@pytest.mark.parametrize(
    "how",
    [
        "exception",
        pytest.param("kill", marks=pytest.mark.slow),
        pytest.param("alone", marks=pytest.mark.slow),
    ],
)
def test_a_fault_that_repeats_at_the_same_step_is_tried_twice(desk: Desk, how) -> None:
    # A step that takes its time: what rank 0 had before it was killed is on its way no more.
    words = ("--fail-at", "16", "--how", how, *SLOWLY)
    number = desk.run("chain.sbatch", *words, options=("--ntasks=2",))
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("FAILED", 1), desk.output()
    if how == "exception":
        assert "no further than the attempt before that failed, at 16" in desk.output()
    first, second = desk.attempts()
    assert first.failed
    assert second.failed
    assert first.checkpoint_step == (16 if how == "exception" else 15)
    assert second.start_step == 15


@pytest.mark.parametrize("launch", [pytest.param("", marks=pytest.mark.slow), "mpiexec -n 2"])
def test_no_more_attempts_are_made_than_allowed(desk: Desk, launch) -> None:
    # Without a launcher the driver is a child of the batch shell.
    ranks = "2" if launch else "1"
    settings = {"SIMCKPT_ATTEMPTS": "1", "SIMCKPT_LAUNCH": launch}
    number = desk.run("chain.sbatch", *SLOWLY, options=(f"--ntasks={ranks}",), **settings)
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
    number = desk.run("preempt.sbatch", *SLOWLY, options=options)
    desk.reached(number, 10)
    other = desk.slurm.sbatch("--nodes=3", "--exclusive", "--wrap=sleep 1", cwd=desk.folder)
    assert desk.slurm.ended(other).state == "COMPLETED"
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 1), desk.output()
    with desk.bundle() as run:
        assert [s.ending for s in run.segments] == ["signal", "finished"]
    desk.same_bits(unbroken)


@pytest.mark.slow
def test_a_job_preempted_while_its_driver_starts_goes_on_later(desk: Desk, unbroken) -> None:
    options = ("--partition=scavenge", "--exclusive", *THREE)
    number = desk.run("preempt.sbatch", "--start-up", "4", options=options)
    desk.slurm.until(number, lambda _: (desk.folder / "starting").exists(), "starting")
    other = desk.slurm.sbatch("--nodes=3", "--exclusive", "--wrap=sleep 1", cwd=desk.folder)
    assert desk.slurm.ended(other).state == "COMPLETED"
    job = desk.slurm.ended(number, timeout=200)
    assert (job.state, job.restarts) == ("COMPLETED", 1), desk.output()
    desk.same_bits(unbroken)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_warning_before_the_time_limit_requeues_the_job(desk: Desk, unbroken) -> None:
    options = ("--time=00:01:00", "--signal=B:USR1@30", *THREE)
    number = desk.run("chain.sbatch", "--pause", "0.6", options=options)
    job = desk.slurm.ended(number, timeout=400)
    assert job.state == "COMPLETED", desk.output()
    assert job.restarts >= 1
    desk.same_bits(unbroken)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("node", ["n1", "n2"])
def test_a_node_that_dies_gives_back_the_run(desk: Desk, unbroken, node) -> None:
    """With the first node dies the batch shell, which otherwise requeues the job by itself."""
    if not desk.slurm.hosts_differ:
        pytest.skip("the nodes are not kept apart here: no namespaces")
    number = desk.run("chain.sbatch", "--pause", "0.2", options=THREE)
    desk.reached(number, 20)
    desk.slurm.kill_node(node)
    try:
        desk.slurm.until(number, lambda job: job.restarts == 1, "requeued", timeout=180)
    finally:
        desk.slurm.start_node(node)
    job = desk.slurm.ended(number, timeout=180)
    assert job.state == "COMPLETED", desk.output()
    desk.same_bits(unbroken)
    if desk.slurm.accounting:
        # The batch shell on the first node may requeue the job before Slurm misses the other.
        reasons = ("node failure",) if node == "n1" else ("node failure", "killed, requeued")
        assert desk.attempts()[0].reason in reasons
        with open_bundle(desk.bundle_path) as run:
            accounted = [e for e in run.events if e.name == "job_accounted"]
        assert accounted[0].facts["state"] in ("NODE_FAIL", "REQUEUED")
