"""Two threads against one, on fields that fit the cache."""

from __future__ import annotations

import os

import numpy as np

from simckpt import CFL, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

from .sampling import normal, one_field, ready
from .timing import Ratio, medians

FLOW = Declarations(
    conserved={"mass": "rho", "x_momentum": "mx", "y_momentum": "my", "energy": "E"},
    stability={"courant": CFL("abs(mx/rho) + c", "abs(my/rho) + c")},
    derived={"c": "sqrt(1.4*0.4*(E - 0.5*(mx*mx + my*my)/rho)/rho)"},
)
LITTLE = Declarations(conserved={"total": "f", "squares": "f*f"})


def ratios() -> list[Ratio]:
    """The same samples with SIMCKPT_THREADS at 1 and 2."""
    flow, little = _flow((1024, 1024)), one_field(normal((4096, 1024)))
    samples = {}
    before = os.environ.get("SIMCKPT_THREADS")
    for threads in ("1", "2"):
        os.environ["SIMCKPT_THREADS"] = threads
        samples["flow " + threads] = ready(FLOW, flow)
        samples["little " + threads] = ready(LITTLE, little)
    if before is None:
        del os.environ["SIMCKPT_THREADS"]
    else:
        os.environ["SIMCKPT_THREADS"] = before
    times = medians(samples, rounds=31)
    return [
        Ratio(
            "2 threads / 1 thread, five fields and a Courant number, 1024 x 1024",
            times["flow 2"] / times["flow 1"],
            0.6,
            0.52,
            f"{times['flow 2'] * 1e3:.1f} ms / {times['flow 1'] * 1e3:.1f} ms",
        ),
        Ratio(
            "the same, one field of 32 MiB and its square",
            times["little 2"] / times["little 1"],
            None,
            None,
            f"{times['little 2'] * 1e3:.1f} ms / {times['little 1'] * 1e3:.1f} ms",
        ),
    ]


def _flow(shape: tuple[int, int]) -> State:
    """A gas at rest but for noise, of the Euler example's fields."""
    noise = [0.1 * normal(shape) for _ in range(2)]
    rho, energy = 1.0 + 0.1 * np.abs(noise[0]), 2.5 + np.abs(noise[1])
    fields = {"rho": rho, "mx": noise[0], "my": noise[1], "E": energy, "p": 0.4 * energy}
    return State(Grid(shape, 1.0 / shape[0]), fields, dt=1e-4)
