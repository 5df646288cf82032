"""A whole run of the Euler solver, instrumented against bare: what a sample every ten steps adds.

Both go on side by side in one process, ten steps of the one and ten of the other in turn, so that
noise strikes both alike; each pair of turns is one ratio.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import simckpt

from .example import load_example
from .timing import Ratio

SIDE = 512
EVERY = 10
TURNS = 60


def ratios() -> list[Ratio]:
    """The median over the turns, with the quartiles of the ratio as its spread."""
    example = load_example("kelvin_helmholtz")
    bare = _turn(example, instrumented=False)
    times: dict[str, list[float]] = {"bare": [], "instrumented": []}
    with tempfile.TemporaryDirectory() as folder, simckpt.run(bundle=str(Path(folder) / "run")):
        turns = {"bare": bare, "instrumented": _turn(example, instrumented=True)}
        for number in range(TURNS + 2):
            # Who goes first changes, too; the first turns are for compilers and set-up.
            for name in sorted(turns, reverse=bool(number % 2)):
                begin = time.perf_counter()
                turns[name]()
                if number > 1:
                    times[name].append(time.perf_counter() - begin)
    pairs = [a / b for a, b in zip(times["instrumented"], times["bare"], strict=True)]
    low, middle, high = statistics.quantiles(pairs, n=4)
    return [
        Ratio(
            f"whole run, a sample every {EVERY} steps, {SIDE} x {SIDE}, instrumented / bare",
            middle,
            1.01,
            1.003,
            f"quartiles {low:.3f} to {high:.3f} of {TURNS} turns",
        )
    ]


def _turn(example: ModuleType, *, instrumented: bool) -> Callable[[], None]:
    """A function that takes a flow of its own on by `EVERY` steps."""
    domain = example.Domain(SIDE)
    flow = example.Flow(domain, example.kelvin_helmholtz(domain))
    dt = 0.1 * flow.stable_dt(0.4)
    step = example.advance
    if instrumented:
        step = simckpt.step(
            grid=simckpt.Grid(
                domain.global_shape, domain.spacing, domain.start, ghost=example.GHOST
            ),
            fields={"rho": flow.rho, "mx": flow.mx, "my": flow.my, "E": flow.E},
            derived={"c": "sqrt(1.4*0.4*(E - 0.5*(mx*mx + my*my)/rho)/rho)"},
            conserved={"mass": "rho", "x_momentum": "mx", "y_momentum": "my", "energy": "E"},
            stability={"courant": simckpt.CFL("abs(mx/rho) + c", "abs(my/rho) + c")},
            every=EVERY,
        )(step)

    def turn() -> None:
        for _ in range(EVERY):
            flow.stable_dt(0.4)
            step(flow, dt)

    return turn
