"""The anomaly score's false alarms: 10^5 samples of healthy runs of the examples, and none.

The runs are recorded as any user's are, with a sample at each step, and the events of their
bundles are counted. They take a few minutes.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import simckpt

from .example import load_example
from .timing import Ratio


def ratios() -> list[Ratio]:
    """Alarms, of which there may be none."""
    with tempfile.TemporaryDirectory() as folder:
        samples, alarms = count(healthy_runs(Path(folder)))
    return [
        Ratio("anomalies in 10^5 healthy samples", len(alarms), 0, 0, "; ".join(alarms)[:200]),
        Ratio("10^5 / samples of healthy runs", 1e5 / samples, 1, 1, f"{samples} samples"),
    ]


def count(runs: Iterator[Path]) -> tuple[int, list[str]]:
    """Samples of the runs, and what the anomaly score said of them."""
    samples, alarms = 0, []
    for path in runs:
        with simckpt.open(path) as bundle:
            samples += len(bundle.series().step)
            alarms += [
                f"{path.name}, step {e.step}: {e.text}"
                for e in bundle.events
                if e.facts.get("rule") == "anomaly"
            ]
    return samples, alarms


def healthy_runs(folder: Path) -> Iterator[Path]:
    """Record healthy runs of the examples in `folder`."""
    yield from heat_runs(folder, 10_000)
    yield from flow_runs(folder, 8_000)
    yield from star_runs(folder, 11_000)


def heat_runs(folder: Path, steps: int) -> Iterator[Path]:
    """Heat conduction, until nothing moves any more."""
    heat = load_example("heat_serial")
    for number in (0.1, 0.3, 0.5):
        with _recorded(folder / f"heat-{number}") as path:
            _heat(heat, steps, number)
        yield path


def flow_runs(folder: Path, steps: int) -> Iterator[Path]:
    """Kelvin-Helmholtz rolls, far into turbulence."""
    flow = load_example("kelvin_helmholtz")
    for n, cfl, limiter, seed in (
        (32, 0.4, "mc", None),
        (48, 0.4, "minmod", 1),
        (48, 0.2, "mc", 2),
        (64, 0.4, "mc", 3),
        (64, 0.45, "minmod", None),
    ):
        path = folder / f"flow-{n}-{cfl}-{limiter}-{seed}"
        with contextlib.redirect_stdout(io.StringIO()):
            flow.main(
                bundle=str(path), n=n, t_end=np.inf, cfl=cfl, limiter=limiter, seed=seed,
                every=1, steps=steps,
            )  # fmt: skip
        yield path


def star_runs(folder: Path, steps: int) -> Iterator[Path]:
    """Star clusters, with close encounters."""
    stars = load_example("nbody")
    for number, seed in ((50, 1), (100, 2), (200, 3)):
        with _recorded(folder / f"stars-{number}") as path:
            _stars(stars, number, seed, steps)
        yield path


@contextlib.contextmanager
def _recorded(path: Path) -> Iterator[Path]:
    with simckpt.run(path):
        yield path


def _heat(heat: Any, steps: int, diffusion_number: float) -> None:
    step = simckpt.step(
        grid=simckpt.Grid(heat.CELLS, spacing=heat.DX),
        fields=lambda rod: {"T": rod.temperature},
        conserved={"heat": "T"},
    )(heat.advance.__wrapped__)
    x = (np.arange(heat.CELLS) + 0.5) * heat.DX
    rod = heat.Rod(1 + np.cos(np.pi * x) + 0.3 * np.cos(7 * np.pi * x))
    for _ in range(steps):
        step(rod, diffusion_number * heat.DX**2)


def _stars(stars: Any, number: int, seed: int, steps: int) -> None:
    step = simckpt.step(
        particles=lambda cluster: simckpt.Particles(
            cluster.ids, cluster.mass, cluster.x, cluster.v, cluster.potential
        )
    )(stars.advance.__wrapped__)
    cluster = stars.plummer(number, np.random.default_rng(seed))
    for _ in range(steps):
        step(cluster, 0.01)
