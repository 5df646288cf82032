"""The driver is found however it was started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simckpt.capture.driver import callable_name

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json
from simckpt.capture.driver import callable_name, driver_name, driver_path

def main():
    path = driver_path()
    print(json.dumps([str(path) if path else None, driver_name(), callable_name(main)]))

main()
"""


def start(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def program(tmp_path):
    (tmp_path / "case").mkdir()
    path = tmp_path / "case" / "kh.py"
    path.write_text(PROGRAM)
    (tmp_path / "case" / "__main__.py").write_text(PROGRAM)
    return path


def test_started_as_a_script(program):
    expected = [str(program), "kh", "kh.main"]
    assert start("case/kh.py", cwd=program.parent.parent) == expected


def test_started_as_a_module(program):
    expected = [str(program), "case.kh", "case.kh.main"]
    assert start("-m", "case.kh", cwd=program.parent.parent) == expected


def test_started_as_a_package(program):
    path = str(program.parent / "__main__.py")
    assert start("-m", "case", cwd=program.parent.parent) == [path, "case", "case.main"]


@pytest.mark.mpi
def test_started_by_the_runner_of_mpi4py(program):
    expected = [str(program), "kh", "kh.main"]
    assert start("-m", "mpi4py", "case/kh.py", cwd=program.parent.parent) == expected


@pytest.mark.mpi
def test_a_module_started_by_the_runner_of_mpi4py(program):
    expected = [str(program), "case.kh", "case.kh.main"]
    assert start("-m", "mpi4py", "-m", "case.kh", cwd=program.parent.parent) == expected


def test_started_under_the_profiler(program):
    told = start("-m", "cProfile", "-o", os.devnull, "case/kh.py", cwd=program.parent.parent)
    assert told[0] == str(program)


def test_a_command_line_has_no_driver(tmp_path):
    assert start("-c", PROGRAM, cwd=tmp_path) == [None, "__main__", "__main__.main"]


def test_a_function_of_a_module_is_named_by_it():
    assert callable_name(json.dumps) == "json.dumps"
    assert callable_name("solver.main") == "solver.main"
