"""Run benchmarks by name, or all, and print their ratios: ``python -m benchmarks [names]``."""

from __future__ import annotations

import argparse
import importlib

from rich.console import Console
from rich.table import Table

from .timing import Ratio

BENCHMARKS = (
    "contiguous",
    "strided",
    "fused_expression",
    "euler_step",
    "whole_run",
    "threads",
    "first_sample",
    "reduction",
    "durability",
    "long_run",
    "sizes",
    "environment",
    "false_alarms",
    "unseen_alarms",
    "natural_spread",
    "comparing",
)
"""One module each, with a function ``ratios() -> list[Ratio]``."""


def main() -> int:
    """Print the table; the exit status is 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names or BENCHMARKS
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    table = Table("benchmark", "what", "at most", "reach for", "measured", "")
    table.columns[4].justify = "right"
    kept = True
    console = Console()
    for name in names:
        with console.status(name):
            measured = importlib.import_module(f".{name}", __package__).ratios()
        for ratio in measured:
            kept &= _keeps(ratio)
            table.add_row(name, ratio.what, *map(_number, (ratio.at_most, ratio.reach)),
                          _coloured(ratio), ratio.detail)  # fmt: skip
    console.print(table)
    return 0 if kept else 1


def _keeps(ratio: Ratio) -> bool:
    return ratio.at_most is None or ratio.ratio <= ratio.at_most


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _coloured(ratio: Ratio) -> str:
    shown = f"{ratio.ratio:.4g}"
    if ratio.at_most is None:
        return shown
    if ratio.reach is not None and ratio.ratio <= ratio.reach:
        return f"[green]{shown}[/]"
    return f"[yellow]{shown}[/]" if _keeps(ratio) else f"[bold red]{shown}[/]"


if __name__ == "__main__":
    raise SystemExit(main())
