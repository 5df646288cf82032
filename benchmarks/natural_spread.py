"""References: how often a run of the ensemble itself fails, and what changes are found.

The system is that of Lorenz (1996) with 40 variables, which is chaotic and saturates. Each run is
recorded as any user's is. ``python -m benchmarks natural_spread`` prints the rates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import simckpt
from simckpt.compare.held import Held, held
from simckpt.compare.reference import refer

from .timing import Ratio

VARIABLES = 40
STEPS, EVERY, DT = 600, 10, 0.05
RUNS, CHANGED_RUNS = 60, 8
TRIALS = 100
FORCING = 8.0

CHANGES: dict[str, dict[str, Any]] = {
    "forcing 8.001": {"forcing": 8.001},
    "forcing 8.5": {"forcing": 8.5},
    "time step 1 % longer": {"dt": 0.0505},
    "float32": {"dtype": np.float32},
}


def ratios() -> list[Ratio]:
    """Rates of failure, by the number of references."""
    found = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def opened(name: str, **how: Any) -> Held:
            path = Path(folder) / f"{name}.simckpt.h5"
            record(path, **how)
            return held(stack.enter_context(simckpt.open(path)))

        pool = [opened(f"member{i}", seed=i) for i in range(RUNS)]
        changed = {
            what: [opened(f"{what[:9]}{i}", seed=1000 + i, **how) for i in range(CHANGED_RUNS)]
            for what, how in CHANGES.items()
        }
        for count in (1, 3, 8, 20):
            failing = rate(pool, count, lambda chosen: chosen[-1])
            found.append(
                Ratio(f"own runs that fail, {count} references", failing, 0.05, 0.02, "of all")
            )
            for what, runs in changed.items():
                missed = 1 - rate(pool, count, lambda _, runs=runs: runs[_next(runs)])
                found.append(Ratio(f"missed, {count} references: {what}", missed, None, None, ""))
    return found


_turn = iter(range(10**9))


def _next(runs: Sequence[Held]) -> int:
    return next(_turn) % len(runs)


def rate(pool: Sequence[Held], count: int, tested: Callable[[list[Held]], Held]) -> float:
    """The part of trials in which a run is beyond `count` references drawn from a pool."""
    draw = np.random.default_rng(1)
    failing = 0
    for _ in range(TRIALS):
        chosen = [pool[i] for i in draw.choice(len(pool), count + 2, replace=False)]
        found = refer(chosen[0], [tested(chosen)], chosen[1:-1])
        failing += found.outcome == "beyond"
    return failing / TRIALS


def record(
    path: Path,
    *,
    seed: int = 0,
    forcing: float = FORCING,
    dt: float = DT,
    dtype: Any = np.float64,
    steps: int = STEPS,
    every: int = EVERY,
) -> None:
    """Record one run; members differ by 1e-13 in their initial state."""
    x = FORCING + np.random.default_rng(96).normal(size=VARIABLES)
    x = (x * (1 + 1e-13 * np.random.default_rng(seed).normal(size=VARIABLES))).astype(dtype)
    numerics = {"forcing": forcing, "dt": dt, "dtype": np.dtype(dtype).name}
    with simckpt.run(bundle=path, numerics=numerics, seeds={"start": seed}) as run:
        for step in range(steps + 1):
            if step % every == 0:
                run.sample(
                    grid=simckpt.Grid(x.shape),
                    fields={"x": x.astype(np.float64)},
                    conserved={"sum": "x", "energy": "0.5*x*x", "skew": "x*x*x",
                               "size": "abs(x)"},
                    step=step,
                    t=step * dt,
                )  # fmt: skip
            x = advanced(x, dtype(forcing), dtype(dt))


def advanced(x: NDArray[Any], forcing: Any, dt: Any) -> NDArray[Any]:
    """One Runge-Kutta step."""

    def rate_of(y: NDArray[Any]) -> NDArray[Any]:
        return (np.roll(y, -1) - np.roll(y, 2)) * np.roll(y, 1) - y + forcing

    two, six = x.dtype.type(2), x.dtype.type(6)
    k1 = rate_of(x)
    k2 = rate_of(x + dt / two * k1)
    k3 = rate_of(x + dt / two * k2)
    k4 = rate_of(x + dt * k3)
    return x + dt / six * (k1 + two * (k2 + k3) + k4)
