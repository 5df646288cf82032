from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, verify
from simckpt.cli.main import verbs
from simckpt.cli.slurm import templates
from simckpt.model.series import RunOpened, Segment


@pytest.fixture
def call():
    def run(*arguments: str):
        return CliRunner().invoke(verbs, ["slurm", *arguments])

    return run


def test_the_list_says_what_each_template_is_for(call) -> None:
    told = json.loads(call("--list", "--json").output)
    assert set(told) == {p.name for p in templates()}
    assert told["mpi.sbatch"] == "One program on many MPI ranks."
    for name in told:
        assert name in call("--list").output


def test_copied_templates_are_the_same_and_edited_ones_are_kept(call, tmp_path: Path) -> None:
    folder = tmp_path / "jobs here"
    assert call("--copy", str(folder)).exit_code == 0
    for template in templates():
        assert (folder / template.name).read_bytes() == template.read_bytes()
    assert call("--copy", str(folder)).exit_code == 0
    (folder / "mpi.sbatch").write_text("mine")
    refused = call("--copy", str(folder))
    assert refused.exit_code == 2
    assert "mpi.sbatch" in refused.stderr
    assert (folder / "mpi.sbatch").read_text() == "mine"
    assert call("--copy", str(folder), "--force").exit_code == 0
    assert (folder / "mpi.sbatch").read_text() != "mine"


@pytest.mark.parametrize(("name", "status"), [("base", 0), ("nowhere", 1)])
def test_next_says_by_its_status_whether_a_run_is_finished(call, bundles, name, status) -> None:
    asked = call("--next", str(bundles / f"{name}.simckpt.h5"))
    assert asked.exit_code == status, asked.output


def test_a_warned_job_that_recorded_nothing_is_tried_again_and_others_are_not(
    call, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "71")
    nowhere = str(tmp_path / "nowhere.simckpt.h5")
    assert call("--next", nowhere).exit_code == 1
    assert call("--next", nowhere, "--warned").exit_code == 75
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert call("--next", nowhere, "--warned").exit_code == 1


def test_accounts_are_recorded_once_and_read_without_sacct(
    call, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "run.simckpt.h5"
    opened = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
    with BundleWriter.create(path, opened) as writer:
        facts = {"scheduler": "slurm", "job_id": "71"}
        writer.append(Segment(index=0, started=1001.0, ranks=1, scheduler=facts))
        writer.flush()
        torn = writer.paths.journal.read_bytes() + b"torn"
    writer.paths.h5.unlink()
    writer.paths.journal.write_bytes(torn)
    sacct = tmp_path / "sacct"
    sacct.write_text("#!/bin/sh\necho '71|TIMEOUT|0:0|1000|1060|60||n1'\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said = call("--accounts", str(path))
    assert (said.exit_code, said.output) == (0, "job 71: TIMEOUT, 60 s\n")
    assert json.loads(call("--accounts", str(path), "--json").output) == []
    sacct.unlink()
    told = CliRunner().invoke(verbs, ["log", "--json", str(path)])
    (job,) = json.loads(told.output)["jobs"]
    assert (job["reason"], job["state"], job["elapsed"]) == ("time limit", "TIMEOUT", 60)
    assert verify(path) == ()
    with open_bundle(path) as run:
        assert [event.name for event in run.events] == ["record_cut_off", "job_accounted"]


def test_one_question_at_a_time(call) -> None:
    assert call("--list", "--next", "x").exit_code == 2
