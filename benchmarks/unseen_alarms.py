"""False alarms of the anomaly score on codes that had no part in setting its thresholds.

The thresholds were set on the first three examples (`false_alarms`), and the least drift on one
alarm of pyro's acoustic pulse. Here are other problems of pyro's gas, shallow water, Burgers and
advection solvers, and stochastic systems, whose quantities never come to
rest: particles in a thermal bath, a rod with thermal noise, the magnet of Ising, and a
population that is born and dies. 10^5 samples in all, one a step.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import simckpt

from .false_alarms import count
from .timing import Ratio

PYRO = (
    ("compressible", "gresho", 32, 5_000),
    ("compressible", "sod", 32, 2_000),
    ("swe", "kh", 32, 5_000),
    ("swe", "acoustic_pulse", 32, 3_000),
    ("burgers", "test", 32, 5_000),
    ("advection", "smooth", 32, 5_000),
)
STOCHASTIC = 12_500
"""Steps of each stochastic system with each of its two seeds."""


def ratios() -> list[Ratio]:
    """Alarms, of which there may be none."""
    with tempfile.TemporaryDirectory() as folder:
        samples, alarms = count(unseen_runs(Path(folder)))
    return [
        Ratio("anomalies in 10^5 unseen samples", len(alarms), 0, 0, "; ".join(alarms)[:400]),
        Ratio("10^5 / samples of unseen runs", 1e5 / samples, 1, 1, f"{samples} samples"),
    ]


def unseen_runs(folder: Path, part: float = 1.0) -> Iterator[Path]:
    """Record the runs in `folder`; `part` of the steps of each."""
    for solver, problem, n, steps in PYRO:
        yield _pyro(folder / f"pyro-{solver}-{problem}", solver, problem, n, int(part * steps))
    for system in (_bath, _rod, _magnet, _population):
        for seed in (21, 22):
            path = folder / f"{system.__name__[1:]}-{seed}"
            with simckpt.run(path, captures=1):
                system(np.random.default_rng(seed), int(part * STOCHASTIC))
            yield path


def _pyro(path: Path, solver: str, problem: str, n: int, steps: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyro import Pyro

        code: Any = Pyro(solver)
        code.initialize_problem(
            problem,
            inputs_dict={
                "mesh.nx": n, "mesh.ny": n, "driver.verbose": 0, "vis.dovis": 0, "io.do_io": 0,
                "driver.tmax": 1e30, "driver.max_steps": steps + 1,
            },
        )  # fmt: skip
    data = code.sim.cc_data
    names = list(data.names)
    conserved = {name.replace("-", "_"): name.replace("-", "_") for name in names}
    courant = simckpt.CFL("abs(x_momentum/density)", "abs(y_momentum/density)")
    gas = solver == "compressible"
    step = simckpt.step(
        grid=simckpt.Grid((n, n), spacing=(data.grid.dx, data.grid.dy)),
        fields=lambda: {name.replace("-", "_"): data.get_var(name).v() for name in names},
        conserved=conserved,
        stability={"courant": courant} if gas else {},
        time=lambda: data.t,
        dt=lambda: code.sim.dt if code.sim.n else math.nan,
    )(code.single_step)
    with simckpt.run(path, captures=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(steps):
            step()
    return path


def _sampled(advance: Any, fields: Any, conserved: dict[str, str], **more: Any) -> Any:
    shape = next(iter(fields().values())).shape
    return simckpt.step(grid=simckpt.Grid(shape), fields=fields, conserved=conserved, **more)(
        advance
    )


def _bath(rng: np.random.Generator, steps: int) -> None:
    """Langevin's equation for 400 particles in a harmonic trap."""
    x, v = rng.standard_normal((2, 400))

    def advance(dt: float) -> None:
        v[:] += (-x - v) * dt + np.sqrt(2 * dt) * rng.standard_normal(len(v))
        x[:] += v * dt

    step = _sampled(
        advance,
        lambda: {"x": x, "v": v},
        {"momentum": "v", "energy": "0.5 * (v**2 + x**2)"},
        stability={"courant": simckpt.CFL("abs(v)")},
    )
    for _ in range(steps):
        step(0.02)


def _rod(rng: np.random.Generator, steps: int) -> None:
    """Heat conduction with a random flux at each face: the heat is constant, the field is not."""
    u = 1.0 + 0.1 * rng.standard_normal(256)

    def advance(dt: float) -> None:
        flux = u - np.roll(u, 1) + np.sqrt(2 / dt) * 0.05 * rng.standard_normal(len(u))
        u[:] += dt * (np.roll(flux, -1) - flux)

    step = _sampled(advance, lambda: {"u": u}, {"heat": "u", "square": "u**2"})
    for _ in range(steps):
        step(0.1)


def _magnet(rng: np.random.Generator, steps: int) -> None:
    """Ising's model near its critical temperature, by checkerboard Metropolis sweeps."""
    spins = rng.choice([-1.0, 1.0], (32, 32))
    even = np.indices(spins.shape).sum(axis=0) % 2 == 0

    def advance() -> None:
        for side in (even, ~even):
            around = sum(np.roll(spins, s, a) for s in (1, -1) for a in (0, 1))
            flip = rng.random(spins.shape) < np.exp(-2 * 0.44 * spins * around)
            spins[side & flip] *= -1

    step = _sampled(advance, lambda: {"s": spins}, {"magnetisation": "s"})
    for _ in range(steps):
        step()


def _population(rng: np.random.Generator, steps: int) -> None:
    """Births, deaths and migration on a ring of 128 sites, in whole numbers."""
    n = rng.poisson(50, 128).astype(np.float64)

    def advance() -> None:
        births, deaths = rng.poisson(0.05 * n), rng.binomial(n.astype(int), 0.05 * n / (n + 50))
        n[:] = np.maximum(n + births - deaths - rng.binomial(n.astype(int), 0.025), 0)
        moving = rng.binomial(n.astype(int), 0.1)
        n[:] += np.roll(moving, 1) - moving

    step = _sampled(advance, lambda: {"n": n}, {"individuals": "n"})
    for _ in range(steps):
        step()
