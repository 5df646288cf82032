"""Particles: invariants and digests by global id, whichever rank holds which."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from simckpt import Particles, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

COUNT = 5000


def swarm(seed=1):
    rng = np.random.default_rng(seed)
    return {
        "ids": np.arange(COUNT),
        "mass": rng.uniform(0.5, 2, COUNT),
        "position": rng.normal(size=(COUNT, 3)),
        "velocity": rng.normal(size=(COUNT, 3)) * 10.0 ** rng.integers(-8, 8, (COUNT, 1)),
        "potential": -rng.uniform(0, 1, COUNT),
    }


def held(arrays, chosen, order="C"):
    return Particles(**{k: np.array(v[chosen], order=order) for k, v in arrays.items()})


def states(arrays, pieces, order="C"):
    return [State(particles=held(arrays, piece, order), step=2, t=0.5) for piece in pieces]


def test_every_bit_is_the_same_whoever_holds_which_particle(ranks):
    arrays = swarm()
    rng = np.random.default_rng(3)
    shuffled = rng.permutation(COUNT)
    layouts = [
        [np.arange(COUNT)],
        [shuffled],
        np.array_split(shuffled, 2),
        np.array_split(np.arange(COUNT)[::-1], 3),
        [*np.array_split(shuffled, 6), np.zeros(0, int)],
    ]
    readings = [
        ranks.sample(Declarations(), states(arrays, pieces, order))
        for pieces, order in zip(layouts, "CFCFC", strict=True)
    ]
    assert len({ranks.bits_of(r) for r in readings}) == 1
    assert readings[0].ranks == 1
    assert readings[4].ranks == 7


def test_the_invariants_are_exact_sums(ranks):
    arrays = swarm()
    m, (x, y, z), (u, v, w) = arrays["mass"], arrays["position"].T, arrays["velocity"].T
    reading = ranks.sample(Declarations(), states(arrays, [np.arange(COUNT)]))
    kinetic = 0.5 * m * (u * u + v * v + w * w)
    expected = {
        "kinetic_energy": kinetic,
        "potential_energy": arrays["potential"],
        "momentum_x": m * u,
        "momentum_z": m * w,
        "angular_momentum_x": m * (y * w - z * v),
        "angular_momentum_y": m * (z * u - x * w),
        "angular_momentum_z": m * (x * v - y * u),
    }
    for name, terms in expected.items():
        assert reading[name] == float(ranks.exact_sum(terms)), name
    both = ranks.exact_sum(kinetic) + ranks.exact_sum(arrays["potential"])
    assert reading["total_energy"] == float(both)
    centre = ranks.exact_sum(m * y) / ranks.exact_sum(m)
    assert reading["centre_of_mass_y"] == float(centre)
    assert reading["particles.vx.max"] == u.max()


def test_tiles_are_ranges_of_ids(ranks):
    arrays = swarm()
    chosen = np.random.default_rng(3).permutation(COUNT)
    before = ranks.sample(Declarations(), states(arrays, [chosen]))
    arrays["position"][1234, 0] += 1e-9
    after = ranks.sample(Declarations(), states(arrays, [chosen]))
    (place,) = np.flatnonzero(before.digests != after.digests)
    tiles = before.schema.tiles[0]
    assert tiles.field == "particles.x"
    ((low, high),) = tiles.bounds(int(place))
    assert low <= 1234 < high
    inside = arrays["position"][low:high, 0]
    statistics = after.tiles["particles.x"]
    assert statistics.minimum[place] == inside.min()
    mean = sum(map(Fraction, inside.tolist())) / inside.size
    assert abs(statistics.mean[place] - float(mean)) < 1e-12


def test_one_mass_for_all_and_two_dimensions(ranks):
    rng = np.random.default_rng(5)
    position, velocity = rng.normal(size=(2, 40, 2))
    particles = Particles(np.arange(40), 2.0, position, velocity)
    reading = ranks.sample(Declarations(), [State(particles=particles)])
    names = [c.name for c in reading.schema.columns]
    assert "momentum_z" not in names
    assert reading["momentum_y"] == float(ranks.exact_sum(2.0 * velocity[:, 1]))
    turning = position[:, 0] * velocity[:, 1] - position[:, 1] * velocity[:, 0]
    assert reading["angular_momentum_z"] == float(ranks.exact_sum(2.0 * turning))


def test_not_finite_particles_are_found_by_id(ranks):
    arrays = swarm()
    arrays["position"][77, 1] = np.nan
    pieces = np.array_split(np.random.default_rng(3).permutation(COUNT), 3)
    reading = ranks.sample(Declarations(), states(arrays, pieces))
    assert reading.origins == {"particles.y": (77,)}
    assert reading["particles.y.nan"] == 1
    assert np.isnan(reading["angular_momentum_x"])
    assert np.isfinite(reading["momentum_x"])


@pytest.mark.parametrize(
    ("pieces", "part"),
    [
        ([np.arange(COUNT), np.arange(3)], "each on one rank only"),
        ([np.array([0, 1, 1])], "each on one rank only"),
        ([np.array([0, 1, 3])], "is not one of 0 ... 2"),
    ],
)
def test_ids_that_are_missing_or_held_twice_are_an_error(ranks, pieces, part):
    arrays = swarm()
    with pytest.raises(SetupError, match=part.replace(".", r"\.")):
        ranks.agree(Declarations(), states(arrays, pieces))


def test_particles_may_have_left_if_the_total_is_given(ranks):
    particles = Particles(np.array([5, 2]), 1.0, velocity=np.ones((2, 1)), total=10)
    assert ranks.sample(Declarations(), [State(particles=particles)])["momentum_x"] == 2.0


@pytest.mark.parametrize(
    "build",
    [
        lambda: Particles(np.zeros(3)),
        lambda: Particles(np.arange(3), np.ones(2)),
        lambda: Particles(np.arange(3), position=np.ones((2, 3))),
        lambda: Particles(np.arange(3), position=np.ones((3, 4))),
        lambda: Particles(np.arange(3), position=np.ones((3, 3)), velocity=np.ones((3, 2))),
        lambda: Particles(np.arange(3), potential=np.ones((3, 1))),
        lambda: Particles(np.arange(3), total=2),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(build):
    with pytest.raises(SetupError, match="Particles"):
        build()


@pytest.mark.parametrize("total", [np.int64(4), np.uint8(4), np.array(4), 4])
def test_a_total_may_be_any_whole_number(total):
    given = Particles(np.arange(4), total=total).total
    assert given == 4
    assert type(given) is int


@pytest.mark.parametrize("total", [3, 4.0, True, "4", np.array([4, 4])])
def test_a_total_that_is_no_count_is_refused_with_the_mend(total):
    with pytest.raises(SetupError, match=r"is not a count of 4 or more.*over all ranks"):
        Particles(np.arange(4), total=total)
