"""What a bundle and `simckpt log` say of the jobs behind a run, and of how they ended."""

from __future__ import annotations

import json

import pytest
from slurm_desk import RESTART, ROOT, SMALL, Desk

from simckpt.report.job_chain import recorded

FEW = ("--steps", "6")
SLOWLY = ("--pause", "0.06")


def test_a_segment_says_which_job_it_was_and_which_rank_ran_where(desk: Desk) -> None:
    options = ("--nodes=2", "--ntasks=4", "--ntasks-per-node=2", "--time=00:07:00")
    number = desk.run("mpi.sbatch", *FEW, options=options)
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    with desk.bundle() as run:
        segment = run.segments[0].segment
    facts = segment.scheduler
    assert facts["scheduler"] == "slurm"
    assert (facts["job_id"], facts["restarts"]) == (number, 0)
    assert (facts["partition"], facts["nodes"], facts["tasks"]) == ("debug", "n[1-2]", 4)
    assert facts["account"] == "root"
    assert facts["time_limit_s"] == 420
    assert facts["template"] == str(ROOT / "slurm/mpi.sbatch")
    assert 0 <= segment.started - facts["started"] < 300
    if desk.slurm.hosts_differ:
        assert {n.host: n.ranks for n in segment.nodes} == {"n1": (0, 1), "n2": (2, 3)}
        assert facts["submit_host"] not in {n.host for n in segment.nodes}


def test_a_node_with_another_setting_is_named_with_the_setting(desk: Desk) -> None:
    if not desk.slurm.hosts_differ:
        pytest.skip("the nodes have one host name here")
    variables = desk.slurm.folder / "variables-n2"
    variables.write_text("OMP_SCHEDULE=dynamic\n")
    try:
        options = ("--nodes=3", "--ntasks=3")
        number = desk.run("mpi.sbatch", *FEW, options=options)
        assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    finally:
        variables.unlink()
    with desk.bundle() as run:
        nodes = {n.host: n for n in run.segments[0].segment.nodes}
    assert nodes["n1"].environment == nodes["n3"].environment != nodes["n2"].environment
    assert (nodes["n1"].differs, nodes["n3"].differs) == ((), ())
    assert any("OMP_SCHEDULE" in fact for fact in nodes["n2"].differs), nodes["n2"].differs


def test_the_accounts_of_each_attempt_are_in_the_bundle(desk: Desk) -> None:
    if not desk.slurm.accounting:
        pytest.skip("no slurmdbd and mariadb-server here")
    number = desk.run("chain.sbatch", *SLOWLY, options=("--ntasks=2",))
    desk.reached(number, 10)
    desk.slurm.warn(number)
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    desk.slurm.clear()
    with desk.bundle() as run:
        first, last = recorded(run).values()
    # The last one was still running when it recorded what was known of it.
    assert (first.state, last.state) == ("REQUEUED", "RUNNING")
    assert first.nodes == last.nodes == "n1"
    assert first.elapsed > 0
    assert min(first.max_rss, last.max_rss) > 10 * 2**20
    said = desk.slurm.command("simckpt", "slurm", "--accounts", desk.bundle_path).stdout
    assert f"job {number}: COMPLETED" in said
    again = desk.slurm.command("simckpt", "slurm", "--accounts", desk.bundle_path).stdout
    assert "nothing that the bundle does not have" in again
    # And from now on nobody has to be asked.
    alone = {"SLURM_CONF": "/nowhere"}
    told = desk.slurm.command("simckpt", "log", "--json", desk.bundle_path, env=alone).stdout
    assert [
        (j["job"], j["restarts"], j["reason"], j["state"], j["max_rss"] > 0)
        for j in json.loads(told)["jobs"]
    ] == [
        (number, 0, "told to stop", "REQUEUED", True),
        (number, 1, "finished", "COMPLETED", True),
    ]


def test_a_cancelled_run_says_so_and_the_command_it_prints_finishes_it(
    desk: Desk, unbroken
) -> None:
    """In a folder, with a template and with a job whose names a shell would take apart."""
    desk.folder = desk.folder / "it's my `folder`"
    desk.folder.mkdir()
    copied = desk.folder / "job $templates"
    desk.slurm.command("simckpt", "slurm", "--copy", copied)
    options = ("--ntasks=2", "--nodes=2", "--time=00:09:00", "--job-name=two words")
    number = desk.submit(
        *(copied / "chain.sbatch", "python", ROOT / "tests/slurm/drivers/troubled.py"),
        *(*SMALL, *RESTART, *SLOWLY, "--bundle", "$(touch pwned) it's"),
        options=options,
    )
    desk.reached(number, 10)
    desk.slurm.command("scancel", number)
    job = desk.slurm.ended(number)
    assert (job.state, job.restarts) == ("CANCELLED", 0)
    desk.slurm.clear()
    desk.bundle_path = desk.folder / f"two_words-{number}.simckpt.h5"
    (attempt,) = desk.attempts()
    assert attempt.checkpoint
    assert attempt.checkpoint_step >= 10
    assert attempt.reason == ("cancelled" if desk.slurm.accounting else "told to stop")
    told = desk.slurm.command("simckpt", "log", desk.bundle_path).stdout
    command = told.split("Continue it with\n")[1]
    assert " --ntasks=2 --nodes=2 " in command
    assert "'--job-name=two words' --time=9 " in command
    # As a user would paste it, in another folder, with other ranks.
    submitted = desk.slurm.command(
        *("bash", "-c", command.replace("--ntasks=2", "--ntasks=3")),
    )
    second = submitted.stdout.split()[-1]
    assert desk.slurm.ended(second, timeout=200).state == "COMPLETED", desk.output()
    assert [(a.ranks, a.reason) for a in desk.attempts()][1:] == [(3, "finished")]
    desk.same_bits(unbroken)
    assert not list(desk.folder.glob("*pwned"))


def test_a_run_that_took_more_memory_than_it_was_given_is_said_to(desk: Desk) -> None:
    if not desk.slurm.accounting:
        pytest.skip("no slurmdbd and mariadb-server here")
    words = ("--fail-at", "12", "--how", "memory", *SLOWLY)
    number = desk.run("serial.sbatch", *words, options=("--mem=400M",))
    assert desk.slurm.ended(number).state == "FAILED"
    desk.slurm.clear()
    (attempt,) = desk.attempts()
    assert attempt.reason == "out of memory, probably"
    assert attempt.max_rss > 400 * 2**20
    assert attempt.checkpoint_step == 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_time_limit_without_warning_leaves_the_last_checkpoint(desk: Desk) -> None:
    words = ("--steps", "1000", "--pause", "0.5")
    number = desk.run("mpi.sbatch", *words, options=("--time=00:01:00", "--ntasks=2"))
    assert desk.slurm.ended(number, timeout=200).state == "TIMEOUT"
    desk.slurm.clear()
    (attempt,) = desk.attempts()
    assert attempt.checkpoint_step >= 10
    assert attempt.reason == ("time limit" if desk.slurm.accounting else "told to stop")
