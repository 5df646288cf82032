"""`simckpt demo`: record one solver three times, and compare.

On 4 ranks, on 2 ranks, and on 4 ranks with another limiter. The first two must be the same bit
for bit; the third must not, and the comparison must say where they part and why.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from ..errors import SetupError
from .demo_runs import Progress, compile_kernels, drive, driver_path, launcher, plans

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

    from ..compare.comparison import Comparison


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

    planned = plans(ranks, n, t_end)
    starts = [launcher(plan.ranks) for plan in planned]
    driver = driver_path()
    folder = fresh_folder(folder)
    seconds = {}
    with Board(Console(stderr=True)) as board:
        title = "compiling the kernels"
        with board.stage(title) as progress:
            seconds[title] = compile_kernels(driver, folder / "kernels.log", progress)
        for plan, start in zip(planned, starts, strict=True):
            command = [*start, str(driver), *plan.arguments, "--bundle", plan.name]
            with board.stage(plan.title) as progress:
                seconds[plan.title] = drive(command, folder, folder / f"{plan.name}.log", progress)
    first, second, third = (folder / f"{plan.name}.simckpt.h5" for plan in planned)
    outcome = Outcome(
        folder, (first, second, third), seconds, compared(first, second), compared(first, third)
    )
    if as_json:
        from ..report.page import show_json

        show_json(outcome.facts())
    else:
        from ..report.page import show

        show(outcome_report(outcome, driver))
    ctx.exit(0 if outcome.expected else 1)


def fresh_folder(wanted: Path) -> Path:
    """Make the folder `wanted`, or the first free one of `wanted-2`, `wanted-3`, ..."""
    folder, number = wanted, 1
    try:
        while folder.exists() and not _is_empty(folder):
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            "--dir", str(wanted), f"cannot be made ({error.strerror})", mend="Choose another."
        ) from error
    return folder


def compared(a: Path, b: Path) -> Comparison:
    """Run `b` compared with run `a`."""
    from ..bundle.reading.reader import open_bundle
    from ..compare.comparison import compare

    with open_bundle(a) as run_a, open_bundle(b) as run_b:
        return compare(run_a, run_b)


def outcome_report(outcome: Outcome, driver: Path) -> RenderableType:
    """Both comparisons, and the commands to go on with."""
    from rich.console import Group
    from rich.rule import Rule
    from rich.text import Text

    from ..report.comparison import comparison_report

    def line(text: str, style: str = "") -> Text:
        return Text(text, style, no_wrap=True, overflow="ignore")  # to be copied whole

    first, second, third = outcome.bundles
    parts: list[RenderableType] = []
    for b, comparison in ((second, outcome.same), (third, outcome.altered)):
        parts += [Rule(), line(f"$ simckpt compare {first} {b}", "bold")]
        parts += [comparison_report(comparison), Text()]
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


class Board:
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
