from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from simckpt.cli.main import verbs
from simckpt.cli.slurm import templates


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


def test_one_question_at_a_time(call) -> None:
    assert call("--list", "--next", "x").exit_code == 2
