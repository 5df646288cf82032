"""Fixtures for the whole suite: real MPI programs, and a cache that all processes share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
SUPPORT = Path(__file__).resolve().parent / "support"
sys.path.insert(0, str(SUPPORT))

# How long an example takes says more of the machine than of the code.
settings.register_profile("simckpt", deadline=None)
settings.load_profile("simckpt")


def pytest_configure() -> None:
    # What a shell starts in the background ignores SIGINT, and so would every program from here.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the long forms too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "slurm" in item.keywords:
            # One cluster, however many processes share the tests.
            item.add_marker(pytest.mark.xdist_group("slurm"))
    if config.getoption("--run-slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a long form: pytest --run-slow"))


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One cache of compiled kernels for all sessions, programs under mpiexec included."""
    if given := os.environ.get("SIMCKPT_CACHE_DIR"):
        return Path(given)
    mine = tmp_path_factory.getbasetemp()
    session = mine if worker_id == "master" else mine.parent
    folder = session.parent / "simckpt-kernels"
    folder.mkdir(exist_ok=True)
    os.environ["SIMCKPT_CACHE_DIR"] = str(folder)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder


@dataclass(frozen=True)
class Completed:
    """How a program ended: exit status, output, and each rank's verdict."""

    status: int
    stdout: str
    stderr: str
    verdicts: dict[int, dict[str, Any]]

    def check(self) -> Completed:
        """This, if the program ended well; otherwise the test fails with its output."""
        if self.status != 0:
            pytest.fail(f"exit status {self.status}\n{self.stdout}\n{self.stderr}")
        return self


def mpiexec_path() -> str | None:
    """The launcher of this environment's MPI."""
    beside = Path(sys.executable).parent / "mpiexec"
    return str(beside) if beside.exists() else shutil.which("mpiexec")


@pytest.fixture
def mpiexec(tmp_path: Path):
    """Start a Python program on N ranks; a program that hangs is ended and fails the test.

    ``mpiexec(program, *arguments, ranks=4, timeout=60)`` takes a path or the text of a program,
    which can ``from verdict import tell``.
    """
    launcher = mpiexec_path()
    if launcher is None:
        pytest.skip("no mpiexec: pip install 'simckpt[mpi]'")

    def start(
        program: str | Path,
        *arguments: str,
        ranks: int,
        timeout: float = 60.0,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        runner: tuple[str, ...] = ("-m", "mpi4py"),
    ) -> Completed:
        if isinstance(program, str):
            text = textwrap.dedent(program)
            program = tmp_path / "program.py"
            program.write_text(text)
        folder = tmp_path / "verdicts"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        command = [launcher, "-n", str(ranks), sys.executable, *runner, str(program), *arguments]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or tmp_path,
            start_new_session=True,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join((str(SUPPORT), str(ROOT))),
                "SIMCKPT_TEST_VERDICTS": str(folder),
                "OMP_NUM_THREADS": "1",
                "NUMBA_NUM_THREADS": "1",
            }
            | (env or {}),
        )
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            pytest.fail(f"hung for {timeout:.0f} s on {ranks} ranks\n{stdout}\n{stderr}")
        verdicts = {int(f.stem): json.loads(f.read_text()) for f in folder.glob("*.json")}
        return Completed(process.returncode, stdout, stderr, verdicts)

    return start
