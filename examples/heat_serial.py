"""Heat conduction in an insulated rod: the smallest instrumented simulation. Serial, NumPy only.

python heat_serial.py
"""

from dataclasses import dataclass

import numpy as np

import simckpt

CELLS = 100
DX = 1 / CELLS
DIFFUSIVITY = 1.0


@dataclass
class Rod:
    temperature: np.ndarray
    t: float = 0.0


@simckpt.step(
    grid=simckpt.Grid(CELLS, spacing=DX),
    fields=lambda rod: {"T": rod.temperature},
    conserved={"heat": "T"},
    every=100,
)
def advance(rod, dt):
    """Advance by one step of the explicit Euler method; no heat leaves at the ends."""
    T = rod.temperature
    flux = -DIFFUSIVITY * np.diff(T, prepend=T[0], append=T[-1]) / DX
    T -= dt * np.diff(flux) / DX
    rod.t += dt


@simckpt.run(
    bundle="heat.simckpt.h5",
    intent=simckpt.Intent(goal="decay rate of the longest mode", assumptions=["insulated ends"]),
)
def main(t_end=0.1, diffusion_number=0.4):
    x = (np.arange(CELLS) + 0.5) * DX
    rod = Rod(1 + np.cos(np.pi * x))
    steps = round(t_end * DIFFUSIVITY / (diffusion_number * DX**2))
    for _ in range(steps):
        advance(rod, t_end / steps)
    rate = -np.log((rod.temperature[0] - 1) / np.cos(np.pi * x[0])) / rod.t
    print(f"decay rate {rate:.4f}, in theory {DIFFUSIVITY * np.pi**2:.4f}")
    print(f"look at the record with: simckpt show {simckpt.active_run().path}")


if __name__ == "__main__":
    main()
