"""Ranks that were started together and see themselves alone: another MPI's launcher did it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import simckpt

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import simckpt\nwith simckpt.run('alone'): pass\n"
OTHERS_LAUNCHER = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}


@pytest.fixture
def started(tmp_path: Path):
    """Runs the program as rank 2 of 4 of a launcher that its MPI library knows nothing of."""
    pytest.importorskip("mpi4py")

    def start(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=tmp_path,
            env=os.environ | OTHERS_LAUNCHER | {"PYTHONPATH": str(ROOT)} | more,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return start


def test_each_rank_gets_a_bundle_of_its_own_and_says_so(started, tmp_path: Path) -> None:
    done = started()
    assert done.returncode == 0, done.stderr
    assert "started 4 ranks and this program's communicator has 1" in done.stderr
    (path,) = tmp_path.glob("*rank2.simckpt.h5")
    with simckpt.open(path) as bundle:
        assert [event.name for event in bundle.events].count("launched_alone") == 1


def test_in_a_job_of_a_template_they_are_stopped_with_the_mend(started, tmp_path: Path) -> None:
    done = started(SIMCKPT_RANKS="4")
    assert done.returncode == 1
    assert "each rank sees itself alone" in done.stderr
    assert "SIMCKPT_LAUNCH='srun -K --mpi=pmix' sbatch" in done.stderr
    assert not list(tmp_path.iterdir())
