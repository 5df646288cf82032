"""The solver behind the twins: a lattice of cells on a periodic square.

One equation settles (reaction and diffusion), and one is chaotic (coupled logistic maps). Every
option that changes the answer does so in the arithmetic, not in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simckpt.model.series import Event, Patch


@dataclass(frozen=True)
class Setup:
    """One run: what the user chose, what the machine was, and what went wrong."""

    name: str = "run"
    n: int = 32
    steps: int = 60
    every: int = 5
    rate: float = 0.5
    dt: float = 0.05
    seed: int = 1
    amplitude: float = 0.1
    chaotic: bool = False
    precision: str = "float64"
    ranks: int = 4
    # What happens
    reordered: bool = False
    bit: tuple[int, int] | None = None  # (step, bit) flipped in one cell
    stale_halo: int = 0  # from this step on, ranks use their own cells for their neighbours'
    restart: int = 0
    lossy_restart: bool = False
    poison: int = 0  # from this step on a cell is NaN
    killed: bool = False
    checkpoint_every: int = 20
    # What is recorded beside it
    packages: Mapping[str, str] = field(default_factory=lambda: {"numpy": "2.1.0", "rich": "13"})
    environment: Mapping[str, Any] = field(
        default_factory=lambda: {"cpu": {"model": "EPYC"}, "os": {"release": "6.1"}}
    )
    code: str = "a"
    inputs: Mapping[str, str] = field(default_factory=lambda: {"ic.toml": "b" * 64})
    parameters: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    mass_of: str = "x"
    host: str = "n1"
    fields: tuple[str, ...] = ("x",)
    generators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    streams: tuple[str, ...] = ()

    def but(self, **changes: Any) -> Setup:
        """The same with some things changed."""
        return replace(self, **changes)


def patches(n: int, ranks: int) -> tuple[tuple[Patch, ...], ...]:
    """Near-square blocks, one to a rank."""
    rows = {1: 1, 2: 1, 4: 2, 8: 2, 16: 4}[ranks]
    shape = (n // rows, n // (ranks // rows))
    return tuple(
        (Patch(start=(i * shape[0], j * shape[1]), shape=shape),)
        for i in range(rows)
        for j in range(ranks // rows)
    )


class Solver:
    """Advances the lattice."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.patches = patches(setup.n, setup.ranks)
        rng = np.random.default_rng(setup.seed)
        axis = np.arange(setup.n) / setup.n
        smooth = np.sin(2 * np.pi * axis)[:, None] * np.cos(2 * np.pi * axis)[None, :]
        noise = rng.random((setup.n, setup.n))
        state = 0.5 + setup.amplitude * smooth + 0.01 * setup.amplitude * noise
        self.x = state.astype(setup.precision)
        self.step = 0

    def advance(self) -> None:
        s = self.setup
        self.step += 1
        x = 3.9 * self.x * (1 - self.x) if s.chaotic else self.x
        west, east = np.roll(x, 1, 0), np.roll(x, -1, 0)
        south, north = np.roll(x, 1, 1), np.roll(x, -1, 1)
        if s.stale_halo and self.step >= s.stale_halo:
            for ((patch,),) in zip(self.patches, strict=True):
                (i, j), (h, w) = patch.start, patch.shape
                west[i, j : j + w] = x[i, j : j + w]
                east[i + h - 1, j : j + w] = x[i + h - 1, j : j + w]
                south[i : i + h, j] = x[i : i + h, j]
                north[i : i + h, j + w - 1] = x[i : i + h, j + w - 1]
        if s.reordered:
            around = ((north + east) + (south + west)) / 4
        else:
            around = (((west + east) + south) + north) / 4
        if s.chaotic:
            x = (1 - 0.1 * s.rate) * x + 0.1 * s.rate * around
        else:
            x = x + s.dt * (s.rate * (around - x) + x * (1 - x) * (x - 0.4))
        self.x = x.astype(s.precision)
        if s.bit is not None and self.step == s.bit[0]:
            cell = self.x[5:6, 7]
            cell.view(np.uint64)[...] ^= np.uint64(1) << np.uint64(s.bit[1])
        if s.poison and self.step == s.poison:
            self.x[3, 3] = np.nan
        if s.restart and s.lossy_restart and self.step == s.restart:
            self.x = self.x.astype(np.float32).astype(s.precision)
