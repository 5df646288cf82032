"""A stochastic Allen-Cahn equation on rows of cells that are spread over MPI ranks.

Noise comes from one generator for each rank, or from one for each row of cells, which makes it the
same on any number of ranks. The mean of the field is held by a force that all ranks agree on.
"""

import json

import numpy as np

import simckpt

try:
    from mpi4py import MPI
except (ImportError, RuntimeError):
    MPI = None


def stream(seed, rank, offset, bits):
    """The generator of one rank."""
    return np.random.Generator(getattr(np.random, bits)([seed, rank + offset]))


class Field:
    """This rank's rows of an n x n periodic field, with one ghost row at either side."""

    def __init__(self, n, cut):
        self.comm = MPI.COMM_WORLD if MPI is not None and MPI.COMM_WORLD.size > 1 else None
        self.rank, self.size = (self.comm.rank, self.comm.size) if self.comm else (0, 1)
        weights = np.arange(1, self.size + 1) if cut == "uneven" else np.ones(self.size)
        edges = np.round(n * np.concatenate([[0], np.cumsum(weights) / weights.sum()])).astype(int)
        self.first, self.last = int(edges[self.rank]), int(edges[self.rank + 1])
        self.n, self.t, self.step = n, 0.0, 0
        self.phi = np.zeros((self.last - self.first + 2, n))
        self.rng = None

    @property
    def inside(self):
        return self.phi[1:-1]

    def state(self):
        return {
            "phi": self.phi,
            "t": self.t,
            "step": self.step,
            "generator": json.dumps(self.rng.bit_generator.state),
        }

    def load(self, kept):
        self.phi[...], self.t, self.step = kept["phi"], float(kept["t"]), int(kept["step"])
        if "generator" in kept:
            self.rng.bit_generator.state = json.loads(str(kept["generator"]))

    def exchange(self):
        if self.comm is None:
            self.phi[0], self.phi[-1] = self.phi[-2], self.phi[1]
            return
        up, down = (self.rank + 1) % self.size, (self.rank - 1) % self.size
        self.comm.Sendrecv(self.phi[-2].copy(), up, 0, self.phi[0], down, 0)
        self.comm.Sendrecv(self.phi[1].copy(), down, 1, self.phi[-1], up, 1)

    def mean(self):
        total = self.inside.sum()
        return (self.comm.allreduce(total) if self.comm else total) / self.n**2


def xi(field, streams, seed):
    """Normal random numbers for this rank's cells."""
    if streams == "rank":
        return field.rng.standard_normal(field.inside.shape)
    rows = (
        np.random.default_rng([seed, field.step, row]) for row in range(field.first, field.last)
    )
    return np.stack([row.standard_normal(field.n) for row in rows])


def main(
    bundle="noise",
    n=64,
    steps=24,
    dt=0.05,
    seed=1,
    rank_offset=0,
    bits="PCG64",
    streams="rank",
    cut="even",
    temperature=0.02,
    hold_mean=True,
    every=1,
):
    field = Field(n, cut)
    field.rng = stream(seed, field.rank, rank_offset, bits)
    x = (np.arange(n) + 0.5) / n
    rows = x[field.first : field.last]
    field.inside[...] = 0.5 * np.sin(2 * np.pi * rows)[:, None] * np.cos(4 * np.pi * x)
    with simckpt.run(
        bundle,
        intent=simckpt.Intent(goal="how domains coarsen under noise"),
        numerics=simckpt.Numerics(integrator="Euler-Maruyama", dt=dt, rng=bits, seed=seed),
        seeds={"seed": seed, "noise": field.rng},
    ) as run:
        run.report_settings(
            n=n,
            streams=streams,
            rank_offset=rank_offset,
            cut=cut,
            temperature=temperature,
            hold_mean=hold_mean,
        )
        restore(field)

        def advance(field, dt):
            field.exchange()
            phi = field.phi
            around = phi[:-2] + phi[2:] + np.roll(phi[1:-1], 1, 1) + np.roll(phi[1:-1], -1, 1)
            inside = field.inside
            force = around - 4 * inside + inside - inside**3
            if hold_mean:
                force -= 0.1 * field.mean()
            noise = np.sqrt(2 * temperature * dt) * xi(field, streams, seed)
            inside += dt * force + noise
            field.t += dt
            field.step += 1

        step = simckpt.step(
            grid=simckpt.Grid((n, n), spacing=1 / n, start=(field.first, 0)),
            fields=lambda field: {"phi": field.inside},
            conserved={"order": "phi"},
            every=every,
        )(advance)
        while field.step < steps:
            step(field, dt)


def restore(field):
    """Go on from a restart file, if the job before left one."""
    try:
        with np.load(f"restart-{field.rank}.npz") as kept:
            field.load(kept)
    except FileNotFoundError:
        pass
