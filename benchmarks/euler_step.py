"""A sample of five fields against one step of a 2-D Euler solver of the same size."""

from __future__ import annotations

from simckpt import CFL, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

from .example import load_example
from .timing import Ratio, medians

SIDES = (512, 1024)


def ratios() -> list[Ratio]:
    """Four conserved integrals and a Courant number with a square root, every step."""
    return [ratio for side in SIDES for ratio in _ratios(side)]


def _ratios(side: int) -> list[Ratio]:
    example = load_example("kelvin_helmholtz")
    domain = example.Domain(side)
    flow = example.Flow(domain, example.kelvin_helmholtz(domain))
    dt = 0.1 * flow.stable_dt(0.4)
    declarations = Declarations(
        conserved={"mass": "rho", "x_momentum": "mx", "y_momentum": "my", "energy": "E"},
        stability={"courant": CFL("abs(mx/rho) + c", "abs(my/rho) + c")},
        derived={"c": "sqrt(1.4*0.4*(E - 0.5*(mx*mx + my*my)/rho)/rho)"},
    )
    fields = {"rho": flow.rho, "mx": flow.mx, "my": flow.my, "E": flow.E, "p": flow.W[3]}
    grid = Grid(domain.global_shape, domain.spacing, domain.start, ghost=example.GHOST)
    state = State(grid, fields, dt=dt)
    probe = RankSampler(declarations)
    probe.agree([probe.local_spec(state)])
    times = medians(
        {
            "sample": lambda: probe.finish(*probe.measure(state)),
            "step": lambda: (flow.stable_dt(0.4), example.advance(flow, dt)),
        },
        rounds=21,
    )
    share = times["sample"] / times["step"]
    return [
        Ratio(
            f"sample of five fields / one Euler step, {side} x {side}",
            share,
            0.10,
            0.03,
            f"{times['sample'] * 1e3:.2f} ms / {times['step'] * 1e3:.1f} ms",
        ),
        Ratio(
            f"the same every 10 steps, instrumented / bare, from these two, {side} x {side}",
            1 + share / 10,
            1.01,
            1.003,
        ),
    ]
