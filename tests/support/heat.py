"""A small driver that the tests of recording share."""

from __future__ import annotations

import numpy as np

import simckpt


class Heat:
    """Explicit diffusion on a periodic line."""

    def __init__(self, n: int = 32) -> None:
        self.u = np.exp(-((np.arange(n) - n / 2) ** 2) / 8.0)
        self.t = 0.0

    def advance(self, dt: float) -> None:
        u = self.u
        self.u = u + dt * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
        self.t += dt


MEASURED = {
    "grid": lambda sim: simckpt.Grid(sim.u.shape, spacing=0.5),
    "fields": lambda sim: {"u": sim.u},
    "conserved": {"heat": "u"},
}


@simckpt.step(**MEASURED, every=2)
def advance(sim: Heat, dt: float) -> None:
    sim.advance(dt)


def drive(steps: int = 7, dt: float = 0.2) -> Heat:
    sim = Heat()
    for _ in range(steps):
        advance(sim, dt)
    return sim
