"""A small star cluster by the leapfrog method: particles, and what they conserve.

    python nbody.py --stars 200 --t-end 5

Stars of equal mass in the standard units of N-body work (G = 1, total mass 1, energy near -1/4),
drawn from Plummer's model by the recipe of Aarseth, Henon & Wielen (1974, A&A 37:183), with
softened gravity. Leapfrog keeps momentum and angular momentum to roundoff, and the energy error
bounded: a drift in the record is a fault of the run.
"""

import argparse

import numpy as np

import simckpt

SOFTENING = 0.05
SCALE = 3 * np.pi / 16  # radius of Plummer's model in these units


class Cluster:
    """Positions and velocities of the stars, shape (n, 3), at time `t`."""

    def __init__(self, x, v):
        self.t = 0.0
        self.ids = np.arange(len(x))
        self.mass = np.full(len(x), 1 / len(x))
        self.x, self.v = x, v
        self.potential = np.empty(len(x))
        self.acceleration = np.empty_like(x)
        self.attract()

    def attract(self):
        """Set the accelerations, and each star's half of the potential energy of its pairs."""
        away = self.x[:, None] - self.x
        inverse = 1 / np.sqrt((away**2).sum(axis=2) + SOFTENING**2)
        self.acceleration[...] = -np.einsum("ijk,ij->ik", away, self.mass * inverse**3)
        np.fill_diagonal(inverse, 0)
        self.potential[...] = -0.5 * self.mass * (inverse @ self.mass)


def directions(rng, lengths):
    """Vectors of the given lengths in random directions."""
    z = rng.uniform(-1, 1, len(lengths))
    phi = rng.uniform(0, 2 * np.pi, len(lengths))
    flat = np.sqrt(1 - z**2)
    return lengths[:, None] * np.column_stack([flat * np.cos(phi), flat * np.sin(phi), z])


def plummer(stars, rng):
    """A cluster in equilibrium, at rest around the origin."""
    r = SCALE / np.sqrt(rng.uniform(0.001, 0.999, stars) ** (-2 / 3) - 1)
    escape = np.sqrt(2) * (r**2 + SCALE**2) ** -0.25
    q = np.empty(0)  # speeds as parts of the escape speed, with density q^2 (1 - q^2)^(7/2)
    while len(q) < stars:
        draw, height = rng.uniform(0, [[1], [0.1]], (2, 4 * stars))
        q = np.concatenate([q, draw[height < draw**2 * (1 - draw**2) ** 3.5]])
    x, v = directions(rng, r), directions(rng, q[:stars] * escape)
    return Cluster(x - x.mean(axis=0), v - v.mean(axis=0))


@simckpt.step(
    particles=lambda cluster: simckpt.Particles(
        cluster.ids, cluster.mass, cluster.x, cluster.v, cluster.potential
    ),
    every=10,
)
def advance(cluster, dt):
    """Advance by one step: half a kick, a drift, half a kick."""
    cluster.v += 0.5 * dt * cluster.acceleration
    cluster.x += dt * cluster.v
    cluster.attract()
    cluster.v += 0.5 * dt * cluster.acceleration
    cluster.t += dt


def main(stars=200, t_end=5.0, dt=0.01, seed=1, bundle="nbody.simckpt.h5"):
    rng = np.random.default_rng(seed)
    with simckpt.run(
        bundle,
        intent=simckpt.Intent(
            goal="a Plummer sphere in equilibrium keeps its energy",
            assumptions=["stars of equal mass", f"softening {SOFTENING}"],
            conclusion="energy to 1e-4, momentum and angular momentum to roundoff",
        ),
        numerics=simckpt.Numerics(solver="direct sum", integrator="leapfrog", dt=dt),
        seeds={"cluster": seed, "generator": rng},
    ) as run:
        cluster = plummer(stars, rng)
        for _ in range(round(t_end / dt)):
            advance(cluster, dt)
        kinetic = 0.5 * (cluster.mass * (cluster.v**2).sum(axis=1)).sum()
        print(f"t = {cluster.t:.2f}: energy {kinetic + cluster.potential.sum():.6f}")
        print(f"recorded in {run.path}; look at it with: simckpt show {run.path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A star cluster by the leapfrog method.")
    parser.add_argument("--stars", type=int, default=200)
    parser.add_argument("--t-end", type=float, default=5.0)
    parser.add_argument("--dt", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bundle", default="nbody.simckpt.h5", help="where it is recorded")
    main(**vars(parser.parse_args()))
