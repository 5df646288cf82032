"""`simckpt demo`: record one solver three times, and compare.

On 4 ranks, on 2 ranks, and on 4 ranks with another limiter. The first two must be the same bit
for bit; the third must not, and the comparison must say where they part and why.
"""

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
from typing import TYPE_CHECKING, Any, Self

import click

from ..errors import SetupError, SimckptError

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

    from ..compare.comparison import Comparison

# The runs of `simckpt demo`: which they are, and how each is started and followed to its end.


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
class DemoRun:
    """One run of the demonstration: the name of its bundle, what it is, ranks and arguments."""

    name: str
    title: str
    ranks: int
    arguments: tuple[str, ...]


def demo_runs(ranks: int, n: int, t_end: float) -> tuple[DemoRun, DemoRun, DemoRun]:
    """The three runs: the base, the same on half the ranks, and one with another limiter."""
    fewer = max(1, ranks // 2)
    size = ("--n", str(n), "--t-end", str(t_end), "--seed", "1")
    again = ("kh-again", "again") if fewer == ranks else (f"kh-{fewer}", f"on {_ranks(fewer)}")
    return (
        DemoRun(f"kh-{ranks}", f"on {_ranks(ranks)}", ranks, size),
        DemoRun(*again, fewer, size),
        DemoRun(
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
    bundled = Path(sys.prefix) / "bin" / "mpiexec"
    mpiexec = str(bundled) if bundled.exists() else shutil.which("mpiexec")
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
    with log.open("w") as output, _started(command, folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            if match := _TIME.search(line):
                progress(float(match[1]) / float(match[2]))
    seconds = time.monotonic() - began
    if process.returncode and seconds > TIME_LIMIT:
        raise DemoError(f"{log}: the run was ended after {TIME_LIMIT:g} s.")
    if process.returncode:
        raise DemoError(f"{log}: the run ended with status {process.returncode}: {_last_line(log)}")
    return seconds


def _last_line(log: Path) -> str:
    """The line that names an exception, if there is one: launchers print much after it."""
    lines = log.read_text(errors="replace").splitlines()
    exceptions = [line for line in lines if _EXCEPTION.match(line)]
    return (exceptions or lines or ["it printed nothing"])[-1]


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


@dataclass(frozen=True)
class Outcome:
    """What the demonstration found, and how long each of its parts took, in seconds."""

    folder: Path
    bundles: tuple[Path, Path, Path]
    seconds: dict[str, float]
    same: Comparison
    altered: Comparison

    @property
    def expected(self) -> bool:
        """The first two runs are the same, and the third is not."""
        return self.same.verdict == "same" and self.altered.verdict == "different"

    def facts(self) -> dict[str, Any]:
        """The outcome for JSON."""
        return {
            "expected": self.expected,
            "folder": str(self.folder),
            "bundles": [str(path) for path in self.bundles],
            "seconds": self.seconds,
            "same": self.same,
            "altered": self.altered,
        }


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default="simckpt-demo",
    show_default=True,
    help="Where the bundles stay; a number is added to a name that is taken.",
)
@click.option(
    "--n", type=click.IntRange(16), default=128, show_default=True, help="Cells along each axis."
)
@click.option(
    "--t-end",
    type=click.FloatRange(0, min_open=True),
    default=0.3,
    show_default=True,
    help="Simulated time.",
)
@click.option(
    "--ranks", type=click.IntRange(1), default=4, show_default=True, help="1 needs no MPI."
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def demo(ctx: click.Context, folder: Path, n: int, t_end: float, ranks: int, as_json: bool) -> None:
    """Record a solver on 4 ranks, on 2, and with one thing changed; then compare.

    Exits with 0 if the first two runs are the same bit for bit and the third is not, with 1 if
    it turns out otherwise, and with 2 if a run fails.
    """
    from rich.console import Console

    runs = demo_runs(ranks, n, t_end)
    starts = [launcher(plan.ranks) for plan in runs]
    driver = driver_path()
    folder = fresh_folder(folder)
    seconds = {}
    with ProgressBoard(Console(stderr=True)) as board:
        title = "compiling the kernels"
        with board.stage(title) as progress:
            seconds[title] = compile_kernels(driver, folder / "kernels.log", progress)
        for plan, start in zip(runs, starts, strict=True):
            command = [*start, str(driver), *plan.arguments, "--bundle", plan.name]
            with board.stage(plan.title) as progress:
                seconds[plan.title] = drive(command, folder, folder / f"{plan.name}.log", progress)
    first, second, third = (folder / f"{plan.name}.simckpt.h5" for plan in runs)
    outcome = Outcome(
        folder, (first, second, third), seconds, compared(first, second), compared(first, third)
    )
    if as_json:
        from ..report.text import show_json

        show_json(outcome.facts())
    else:
        from ..report.text import show

        show(outcome_report(outcome, driver))
    ctx.exit(0 if outcome.expected else 1)


def fresh_folder(path: Path) -> Path:
    """Make the folder `wanted`, or the first free one of `wanted-2`, `wanted-3`, ..."""
    folder, number = path, 1
    try:
        while folder.exists() and not _is_empty(folder):
            number += 1
            folder = path.with_name(f"{path.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            "--dir", str(path), f"cannot be made ({error.strerror})", mend="Choose another."
        ) from error
    return folder


def compared(a: Path, b: Path) -> Comparison:
    """Run `b` compared with run `a`."""
    from ..bundle.reader import open_bundle
    from ..compare.comparison import compare

    with open_bundle(a) as run_a, open_bundle(b) as run_b:
        return compare(run_a, run_b)


def outcome_report(outcome: Outcome, driver: Path) -> RenderableType:
    """Both comparisons, and the commands to go on with."""
    from rich.console import Group
    from rich.rule import Rule
    from rich.text import Text

    from ..report.sections import terminal
    from ..report.two_runs import comparison_report

    def line(text: str, style: str = "") -> Text:
        return Text(text, style, no_wrap=True, overflow="ignore")  # to be copied whole

    first, second, third = outcome.bundles
    parts: list[RenderableType] = []
    for b, comparison in ((second, outcome.same), (third, outcome.altered)):
        parts += [Rule(), line(f"$ simckpt compare {first} {b}", "bold")]
        parts += [terminal(comparison_report(comparison)), Text()]
    if not outcome.expected:
        parts.append(line("The demonstration expects SAME, then DIFFERENT.", "bold red"))
    parts += [
        Rule(),
        line(f"The bundles stay in {outcome.folder}. Go on with:"),
        line(f"  simckpt show {first}"),
        line(f"  simckpt log {third}"),
        line(f"  simckpt verify {second}"),
        line(f"The driver, to be read and copied: {driver}"),
    ]
    return Group(*parts)


class ProgressBoard:
    """Shows the stages of the work: bars on a terminal, and otherwise a line when each is done."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    @contextmanager
    def stage(self, title: str) -> Iterator[Progress]:
        """A stage that is done when the block ends; yields what takes its progress."""
        began = time.monotonic()
        bar = self._bars.add_task(title, total=1.0)
        yield lambda part: self._bars.update(bar, completed=part)
        self._bars.update(bar, completed=1.0)
        if not self._console.is_terminal:
            self._console.print(f"{title}: {time.monotonic() - began:.1f} s", highlight=False)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None
