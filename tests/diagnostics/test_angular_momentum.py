"""Angular momentum about the centre of mass: the same in every frame, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from simckpt import AngularMomentum, Grid, Particles, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

DECLARATIONS = Declarations(
    conserved={
        "spin": AngularMomentum("z"),
        "whole": AngularMomentum("z", about="origin"),
        "spin_x": AngularMomentum("x"),
    }
)


def cloud():
    # Small whole numbers: every product is exact, so that frames can be compared bit by bit.
    rng = np.random.default_rng(5)
    x, v = rng.integers(-9, 9, (2, 30, 3)).astype(float)
    return rng.integers(1, 9, 30).astype(float), x, v


def measure(ranks, mass, x, v, ranks_=1, order=None):
    ids = np.arange(30) if order is None else order
    states = [
        State(particles=Particles(i, mass[i], x[i], v[i])) for i in np.array_split(ids, ranks_)
    ]
    return ranks.sample(DECLARATIONS, states)


def spin_of(mass, x, v):
    m, a, b, va, vb = (
        [Fraction(t) for t in values] for values in (mass, x[:, 0], x[:, 1], v[:, 0], v[:, 1])
    )
    total = sum(m)
    ca, cb, ua, ub = (sum(p * q for p, q in zip(m, s, strict=True)) / total for s in (a, b, va, vb))
    return sum(
        mi * ((ai - ca) * (vbi - ub) - (bi - cb) * (vai - ua))
        for mi, ai, bi, vai, vbi in zip(m, a, b, va, vb, strict=True)
    )


def test_it_is_that_of_the_definition_for_any_ranks_and_order(ranks):
    mass, x, v = cloud()
    order = np.random.default_rng(1).permutation(30)
    seen = {
        (r["spin"], r["spin_x"], r["whole"])
        for r in (measure(ranks, mass, x, v), measure(ranks, mass, x, v, 4, order))
    }
    ((spin, _, whole),) = seen
    assert spin == float(spin_of(mass, x, v))
    assert whole == (mass * (x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0])).sum()


def test_a_moving_frame_changes_it_about_the_origin_alone(ranks):
    mass, x, v = cloud()
    here = measure(ranks, mass, x, v)
    shift, boost = np.array([100.0, -30.0, 7.0]), np.array([4.0, 5.0, -6.0])
    there = measure(ranks, mass, x + shift, v + boost)
    assert here["spin"] == there["spin"]
    assert here["spin_x"] == there["spin_x"]
    assert here["whole"] != there["whole"]


def test_it_needs_particles_that_move_in_its_plane(ranks):
    with pytest.raises(SetupError, match=r"conserved\['spin'\].*vx, vy, x, y"):
        ranks.agree(DECLARATIONS, [State(Grid(3), {"u": np.ones(3)})])
    with pytest.raises(SetupError, match="Choices: x, y, z"):
        AngularMomentum("w")


def test_one_energy_and_the_centre_of_mass_are_not_called_conserved(ranks):
    mass, x, v = cloud()
    kinds = {c.name: c.kind for c in measure(ranks, mass, x, v).schema.columns}
    assert kinds["kinetic_energy"] == kinds["centre_of_mass_x"] == "scalar"
    assert kinds["momentum_x"] == kinds["angular_momentum_z"] == "conserved"
