"""The environment's stable facts give one fingerprint for one machine and software."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simckpt.capture.environment import (
    capture_environment,
    capture_node,
    common_part,
    differing_facts,
)
from simckpt.model.documents import Environment
from simckpt.model.record import canonical_json

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
for name in sys.argv[1].split(","):
    __import__(name)
from simckpt.capture.environment import capture_environment
environment, circumstances = capture_environment({"mpi": {"library": "none"}})
from simckpt.model.record import canonical_json
print(canonical_json(environment).decode())
"""


def run_elsewhere(folder, modules, **variables):
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, modules],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_processes_have_the_same_fingerprint_whatever_their_folder_and_import_order(tmp_path):
    first = run_elsewhere(tmp_path / "a", "numpy,h5py,blake3,ssl")
    second = run_elsewhere(tmp_path / "b", "ssl,blake3,numpy,h5py", TMPDIR=str(tmp_path))
    assert first == second
    assert first["unavailable"].keys() <= {"gpu.nvml"}


def test_libraries_of_unrelated_imports_do_not_change_the_fingerprint(tmp_path):
    without = run_elsewhere(tmp_path / "a", "numpy")
    with_more = run_elsewhere(tmp_path / "b", "numpy,h5py,sqlite3,ssl,lzma,uuid,ctypes")
    assert without["sections"]["libraries"] == with_more["sections"]["libraries"]


def test_a_setting_that_bears_on_results_changes_the_fingerprint_and_is_named(tmp_path):
    plain = run_elsewhere(tmp_path / "a", "numpy")
    other = run_elsewhere(tmp_path / "b", "numpy", OPENBLAS_NUM_THREADS="1", MKL_CBWR="AVX2")
    changes = differing_facts(
        Environment(sections=plain["sections"]), Environment(sections=other["sections"])
    )
    assert {"variables.OPENBLAS_NUM_THREADS", "variables.MKL_CBWR"} <= set(changes)
    assert {c.partition(".")[0] for c in changes} <= {"variables", "blas"}


def test_nothing_of_the_moment_is_among_the_stable_facts():
    environment, circumstances = capture_environment()
    text = canonical_json(environment).decode()
    assert f'"{os.uname().nodename}"' not in text
    assert str(Path.cwd()) not in text
    assert sys.prefix not in text
    assert circumstances.sections["os"]["host"] == os.uname().nodename
    assert circumstances.sections["process"]["pid"] == os.getpid()
    assert circumstances.sections["python"]["prefix"] == sys.prefix


def test_the_facts_that_matter_are_there():
    assert np.ones(2) @ np.ones(2) == 2  # a linear algebra library is loaded
    environment, _ = capture_environment({"mpi": {"library": "MPICH"}})
    sections = environment.sections
    assert sections["os"]["kernel"] == os.uname().release
    assert sections["cpu"]["logical"] == os.cpu_count()
    assert sections["python"]["version"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert sections["memory"]["total_GiB"] >= 1
    assert sections["floating_point"]["rounding"] == "nearest"
    assert any(name.startswith("libc.so") for name in sections["libraries"])
    assert all(sections["libraries"].values())
    assert sections["blas"]["openblas"]["threads"] >= 1
    assert sections["jit"]["numba"]
    assert sections["packages"]["count"] > 10
    assert sections["mpi"] == {"library": "MPICH"}


def test_a_node_shares_the_common_part_of_a_full_environment():
    environment, _ = capture_environment()
    node = capture_node()
    assert common_part(environment) == node
    assert node.fingerprint != environment.fingerprint
    assert len(node.sections) < len(environment.sections)


def test_a_node_that_differs_is_named_with_what_differs():
    node = capture_node()
    sections = {**node.sections, "cpu": {**node.sections["cpu"], "microcode": "0xdead"}}
    assert differing_facts(node, Environment(sections=sections)) == ("cpu.microcode",)
    assert differing_facts(node, node) == ()


@pytest.mark.parametrize("capture", [capture_node, capture_environment])
def test_no_process_is_started(capture, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    found = capture()
    environment = found if isinstance(found, Environment) else found[0]
    assert environment.unavailable.keys() <= {"gpu.nvml"}


@pytest.mark.mpi
def test_ranks_of_one_node_agree_although_only_the_first_one_writes_files(mpiexec):
    program = """
    from mpi4py import MPI
    import numpy
    rank = MPI.COMM_WORLD.rank
    if rank == 0:
        import h5py, sqlite3
    from simckpt.capture.environment import capture_environment, capture_node, common_part
    from simckpt.capture.jobs import launched_rank, launched_size
    from verdict import tell
    node = capture_node()
    tell(
        rank,
        fingerprint=node.fingerprint,
        same=common_part(capture_environment()[0]) == node,
        mpi=[name for name in node.sections["libraries"] if "mpi" in name],
        launched=[launched_size(), launched_rank()],
    )
    """
    verdicts = mpiexec(program, ranks=3).check().verdicts
    assert len({v["fingerprint"] for v in verdicts.values()}) == 1
    assert all(v["same"] for v in verdicts.values())
    assert all(v["mpi"] for v in verdicts.values())
    assert {rank: v["launched"] for rank, v in verdicts.items()} == {r: [3, r] for r in range(3)}
