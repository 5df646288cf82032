"""The command as a process: statuses, pipes, and what it must not load."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def call(bundles):
    def run(*arguments, code="from simckpt.cli.main import main; main()", **options):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=bundles,
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
            **options,
        )

    return run


REPORT_LOADED = """
import atexit, json, sys
def tell():
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
atexit.register(tell)
from simckpt.cli.main import main
main()
"""


def test_the_status_is_the_verdict(call):
    assert call("compare", "base", "again").returncode == 0
    assert call("compare", "base", "rate").returncode == 1
    assert call("compare", "base", "other").returncode == 2
    assert call("compare", "base", "nowhere").returncode == 2
    assert call("compare", "base").returncode == 2
    assert call("nonsense").returncode == 2
    assert call("--help").returncode == 0


def test_what_is_piped_has_no_colour_and_fits_100_columns(call):
    text = call("compare", "base", "rate").stdout
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize("arguments", [("compare", "base", "rate"), ("show", "base")])
def test_reading_a_bundle_loads_neither_numba_nor_mpi(call, arguments):
    loaded = json.loads(call(*arguments, code=REPORT_LOADED).stderr)
    assert "numpy" in loaded
    assert not {"numba", "llvmlite", "mpi4py"} & set(loaded)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("compare", "--help")])
def test_help_loads_nothing_heavy(call, arguments):
    loaded = set(json.loads(call(*arguments, code=REPORT_LOADED).stderr))
    assert not {"numpy", "h5py", "rich", "msgspec", "numba", "mpi4py"} & loaded


def test_a_reader_that_leaves_is_no_error_message(bundles):
    command = (
        f"{sys.executable} -c 'from simckpt.cli.main import main; main()' "
        "log restarted --json | head -c 1 > /dev/null"
    )
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=bundles,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_an_ascii_terminal_gets_a_report_all_the_same(bundles):
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from simckpt.cli.main import main; main()",
            "compare",
            "base",
            "rate",
        ],
        cwd=bundles,
        capture_output=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert b"DIFFERENT" in result.stdout


def test_a_fault_in_simckpt_is_never_taken_for_a_verdict(call):
    broken = (
        "import simckpt.compare.comparison as c\n"
        "def broken(*_): raise ZeroDivisionError\n"
        "c.compare = broken\n"
        "from simckpt.cli.main import main; main()"
    )
    result = call("compare", "base", "again", code=broken)
    assert result.returncode == 2
    assert "fault in simckpt" in result.stderr
