"""What a bundle and `simckpt log` say of the jobs behind a run."""

from __future__ import annotations

import json

import pytest
from slurm_desk import ROOT, Desk

from simckpt.capture.accounting import accounts


def test_a_segment_says_which_job_it_was_and_which_rank_ran_where(desk: Desk) -> None:
    options = ("--nodes=2", "--ntasks=4", "--ntasks-per-node=2", "--time=00:07:00")
    number = desk.heat("mpi.sbatch", "--steps", "5", options=options)
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    with desk.bundle() as run:
        segment = run.segments[0].segment
    facts = segment.scheduler
    assert facts["scheduler"] == "slurm"
    assert (facts["job_id"], facts["restarts"]) == (number, 0)
    assert (facts["partition"], facts["nodes"], facts["tasks"]) == ("debug", "n[1-2]", 4)
    assert facts["account"] == "root"
    assert facts["time_limit_s"] == 420
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
        number = desk.heat("mpi.sbatch", "--steps", "5", options=options)
        assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    finally:
        variables.unlink()
    with desk.bundle() as run:
        nodes = {n.host: n for n in run.segments[0].segment.nodes}
    assert nodes["n1"].environment == nodes["n3"].environment != nodes["n2"].environment
    assert (nodes["n1"].differs, nodes["n3"].differs) == ((), ())
    assert any("OMP_SCHEDULE" in fact for fact in nodes["n2"].differs), nodes["n2"].differs


def test_accounts_tell_state_memory_and_time_of_each_attempt(desk: Desk, monkeypatch) -> None:
    if not desk.slurm.accounting:
        pytest.skip("no slurmdbd and mariadb-server here")
    monkeypatch.setenv("SLURM_CONF", desk.slurm.environment["SLURM_CONF"])
    words = ("--steps", "40", "--pause", "0.1")
    number = desk.heat("chain.sbatch", *words, options=("--ntasks=2",))
    desk.reached(number, 10)
    desk.slurm.warn(number)
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    desk.slurm.clear()
    first, second = accounts([number])
    assert (first.state, second.state) == ("REQUEUED", "COMPLETED")
    assert second.nodes == "n1"
    assert second.elapsed > 0
    assert second.max_rss is not None
    assert second.max_rss > 10 * 2**20
    told = json.loads(desk.slurm.command("simckpt", "log", "--json", desk.bundle_path).stdout)
    assert [(j["job"], j["restarts"], j["reason"]) for j in told["jobs"]] == [
        (number, 0, "told to stop"),
        (number, 1, "finished"),
    ]


def test_the_example_has_the_same_bits_on_two_nodes_and_on_one_rank(desk: Desk) -> None:
    jobs = {"one": ("serial.sbatch", ()), "two": ("mpi.sbatch", ("--nodes=2", "--ntasks=4"))}
    for name, (template, options) in jobs.items():
        number = desk.submit(
            *(template, "python", ROOT / "examples/kelvin_helmholtz.py"),
            *("--n", "16", "--steps", "6", "--every", "1"),
            options=options,
            SIMCKPT_BUNDLE=f"{name}.simckpt.h5",
        )
        assert desk.slurm.ended(number, timeout=240).state == "COMPLETED", desk.output()
    number = desk.submit("compare.sbatch", "one.simckpt.h5", "two.simckpt.h5")
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    assert "SAME" in desk.output()
