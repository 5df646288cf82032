"""The runs of `simckpt demo`: which they are, and how each is started and followed to its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import SetupError, SimckptError

DRIVER = "kelvin_helmholtz.py"
ALTERED = "minmod"
TIME_LIMIT = 600.0
"""Seconds after which a run of the demonstration is ended."""

_TIME = re.compile(r"\bt = (\S+) of (\S+)")
_EXCEPTION = re.compile(r"[\w.]+(Error|Exception|Warning|Exit|Timeout)\b.*:")

# Open MPI refuses more ranks than cores, and the user root, unless told otherwise; MPICH ignores
# these. One thread a rank, since the ranks may outnumber the cores as it is.
_SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}

# These steer a user's own runs.
_OVERRIDES = ("SIMCKPT_BUNDLE", "SIMCKPT_UPSTREAM", "SIMCKPT_DISABLE")

Progress = Callable[[float], None]
"""Takes the part of a run that is done, 0 to 1."""


class DemoError(SimckptError):
    """A run of the demonstration ended badly; the message names its log and its last words."""


@dataclass(frozen=True)
class Plan:
    """One run of the demonstration: the name of its bundle, what it is, ranks and arguments."""

    name: str
    title: str
    ranks: int
    arguments: tuple[str, ...]


def plans(ranks: int, n: int, t_end: float) -> tuple[Plan, Plan, Plan]:
    """The three runs: the base, the same on half the ranks, and one with another limiter."""
    fewer = max(1, ranks // 2)
    size = ("--n", str(n), "--t-end", str(t_end), "--seed", "1")
    again = ("kh-again", "again") if fewer == ranks else (f"kh-{fewer}", f"on {_ranks(fewer)}")
    return (
        Plan(f"kh-{ranks}", f"on {_ranks(ranks)}", ranks, size),
        Plan(*again, fewer, size),
        Plan(
            f"kh-{ALTERED}",
            f"on {_ranks(ranks)}, limiter {ALTERED}",
            ranks,
            (*size, "--limiter", ALTERED),
        ),
    )


def driver_path() -> Path:
    """The driver: among the package's files where it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_examples", package.parent / "examples"):
        if (path := folder / DRIVER).is_file():
            return path
    raise DemoError(f"{package}: {DRIVER} is not among the installed files. Install simckpt again.")


def launcher(ranks: int) -> tuple[str, ...]:
    """What stands in front of the driver to start it on `ranks` ranks.

    Raises
    ------
    SetupError
        If there is no MPI here, and more than one rank is asked for.
    """
    if ranks == 1:
        return (sys.executable,)
    beside = Path(sys.prefix) / "bin" / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None or find_spec("mpi4py") is None:
        raise SetupError(
            "--ranks",
            ranks,
            f"needs MPI, and there is no {'mpi4py' if mpiexec else 'mpiexec'} here",
            mend='Install it with: pip install "simckpt[mpi]". Or run: simckpt demo --ranks 1',
        )
    # Under `-m mpi4py`, an exception on one rank ends all of them; else the others would wait.
    return (mpiexec, "-n", str(ranks), sys.executable, "-m", "mpi4py")


def compile_kernels(driver: Path, log: Path, progress: Progress) -> float:
    """Compile the solver's kernels and those of the diagnostics, once for all ranks."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(driver), "--n", "16", "--steps", "2", "--bundle", "kernels"]
        return drive(command, Path(folder), log, progress)


def drive(command: Sequence[str], folder: Path, log: Path, progress: Progress) -> float:
    """Run the driver in `folder` to its end; what it prints is kept in `log`.

    Returns
    -------
    float
        The wall time, in seconds.

    Raises
    ------
    DemoError
        If it fails or takes more than `TIME_LIMIT` seconds.
    """
    began = time.monotonic()
    with log.open("w") as kept, _started(command, folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line)
            if found := _TIME.search(line):
                progress(float(found[1]) / float(found[2]))
    seconds = time.monotonic() - began
    if process.returncode and seconds > TIME_LIMIT:
        raise DemoError(f"{log}: the run was ended after {TIME_LIMIT:g} s.")
    if process.returncode:
        raise DemoError(
            f"{log}: the run ended with status {process.returncode}: {_last_words(log)}"
        )
    return seconds


def _last_words(log: Path) -> str:
    """The line that names an exception, if there is one: launchers print much after it."""
    lines = log.read_text(errors="replace").splitlines()
    named = [line for line in lines if _EXCEPTION.match(line)]
    return (named or lines or ["it printed nothing"])[-1]


@contextmanager
def _started(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - this interpreter, or the launcher found above
        command,
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k not in _OVERRIDES} | _SETTINGS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        limit = threading.Timer(TIME_LIMIT, _end, (process,))
        limit.start()
        try:
            yield process
            process.wait()
        finally:
            limit.cancel()
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End the launcher, which ends its ranks, if it is still there."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _ranks(ranks: int) -> str:
    return f"{ranks} rank" + "s" * (ranks != 1)
