"""Heat conduction in a square plate: implicit by conjugate gradients, or explicit. Serial.

The plate begins with a hot spot, and a heater comes on at step `switch_on`. Its material is read
from a file or taken from the package `platelib`. Each side is insulated or held at its temperature.
"""

from pathlib import Path

import numpy as np
import platelib

import simckpt


def inner(x, y):
    """The inner product that conjugate gradients rest on."""
    return float(np.dot(x.ravel(), y.ravel()))


class Plate:
    def __init__(self, start, conductivity, sides, dt, precision):
        self.T = start.astype(precision)
        self.k = conductivity.astype(precision)
        self.fixed = [side == "fixed" for side in sides]
        self.dt, self.t, self.step = dt, 0.0, 0
        self.iterations = 0

    def state(self):
        return {"T": self.T, "t": self.t, "step": self.step}

    def conduction(self, T):
        """The divergence of the heat flux, in units of the cell size squared."""
        out = np.zeros_like(T)
        for axis in (0, 1):
            A, K, D = (np.moveaxis(a, axis, 0) for a in (T, self.k, out))
            flux = 0.5 * (K[1:] + K[:-1]) * (A[1:] - A[:-1])
            D[:-1] += flux
            D[1:] -= flux
            # A side that is held has temperature zero half a cell outside.
            if self.fixed[2 * axis]:
                D[0] -= 2 * K[0] * A[0]
            if self.fixed[2 * axis + 1]:
                D[-1] -= 2 * K[-1] * A[-1]
        return out


def explicit(plate, dt, source):
    plate.T += plate.T.dtype.type(dt) * (plate.conduction(plate.T) + source)


def implicit(plate, dt, source, rtol, max_iterations, preconditioner):
    """Solve (1 - dt L) T' = T + dt source."""
    dt = plate.T.dtype.type(dt)
    right = plate.T + dt * source
    x = plate.T.copy()
    diagonal = 1 + 4 * dt * plate.k if preconditioner == "jacobi" else np.ones_like(x)
    r = right - (x - dt * plate.conduction(x))
    z = r / diagonal
    p, rho = z.copy(), inner(r, z)
    limit = rtol * np.sqrt(inner(right, right))
    for plate.iterations in range(max_iterations):
        if np.sqrt(inner(r, r)) <= limit:
            break
        Ap = p - dt * plate.conduction(p)
        alpha = rho / inner(p, Ap)
        x += x.dtype.type(alpha) * p
        r -= r.dtype.type(alpha) * Ap
        z = r / diagonal
        rho, before = inner(r, z), rho
        p = z + p.dtype.type(rho / before) * p
    plate.T[...] = x


def hot_spot(n, width):
    x = (np.arange(n) + 0.5) / n - 0.4
    spot = np.exp(-0.5 * (x[:, None] ** 2 + x**2) / width**2)
    return np.where(spot < 1e-300, 0.0, spot)


def material(n, conductivity):
    x = (np.arange(n) + 0.5) / n
    if conductivity is None:
        return platelib.conductivity(x[:, None], x)
    return np.loadtxt(conductivity)[np.arange(n)[:, None] // 16, np.arange(n) // 16]


@simckpt.run(
    "{bundle}",
    intent=simckpt.Intent(goal="how a hot spot spreads", assumptions=["no radiation"]),
    numerics=lambda scheme, rtol, dt, precision, preconditioner, max_iterations: simckpt.Numerics(
        solver="conjugate gradients" if scheme == "implicit" else None,
        integrator=f"{scheme} Euler",
        rtol=rtol,
        dt=dt,
        precision=precision,
        preconditioner=preconditioner,
        max_iterations=max_iterations,
    ),
    inputs=lambda conductivity, initial: [f for f in (conductivity, initial) if f],
)
def main(
    bundle="plate",
    n=128,
    steps=24,
    dt=0.5,
    dt_max=None,
    scheme="implicit",
    rtol=1e-10,
    max_iterations=400,
    preconditioner="none",
    precision="float64",
    width=0.05,
    initial=None,
    conductivity=None,
    conductivity_unit=1.0,
    sides=("insulated", "insulated", "insulated", "insulated"),
    switch_on=1000,
    power=0.01,
    every=1,
):
    start = np.loadtxt(initial) if initial else hot_spot(n, width)
    plate = Plate(start, conductivity_unit * material(n, conductivity), sides, dt, precision)
    saved = Path("restart-0.npz")
    if saved.exists():
        with np.load(saved) as kept:
            plate.T[...], plate.t, plate.step = kept["T"], float(kept["t"]), int(kept["step"])
    heater = np.zeros_like(plate.T)
    heater[n // 2 : n // 2 + 4, n // 8 : n // 8 + 4] = power

    def advance(plate, dt):
        source = heater if plate.step >= switch_on else 0 * heater
        if scheme == "implicit":
            implicit(plate, dt, source, rtol, max_iterations, preconditioner)
        else:
            explicit(plate, dt, source)
        plate.t += dt
        plate.step += 1

    step = simckpt.step(
        grid=simckpt.Grid((n, n), spacing=1 / n),
        fields=lambda plate: {"T": plate.T},
        conserved={"heat": "T"},
        every=every,
    )(advance)
    while plate.step < steps:
        # The step may grow until a limit is met.
        wanted = dt * 1.05**plate.step if dt_max else dt
        step(plate, min(wanted, dt_max or dt))
