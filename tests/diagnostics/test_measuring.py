"""Beside an integral stands that of one, the same on any number of ranks."""

import itertools

import numpy as np
import pytest
from msgspec import UNSET

from simckpt import Budget, Cells, Conserved, Grid, Particles
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

DECLARED = Declarations(
    conserved={"mass": "q", "n": Conserved("q", weight="one")}, budget={"b": Budget("q")}
)
SHAPE, SPACING = (12, 10), (0.1, 0.7)


def told(states, declared=DECLARED):
    probe = RankSampler(declared)
    probe.agree(
        [RankSampler(declared, rank).local_spec(state) for rank, state in enumerate(states)]
    )
    return {c.name: c.measure for c in probe.schema.columns if c.kind in ("conserved", "budget")}


def cut(parts, where=None):
    rows, columns = (
        np.array_split(np.arange(n), count) for n, count in zip(SHAPE, parts, strict=True)
    )
    states = []
    for i, j in itertools.product(rows, columns):
        box = np.ix_(i, j)
        mask = None if where is None else np.ascontiguousarray(where[box])
        grid = Grid(SHAPE, SPACING, (int(i[0]), int(j[0])), where=mask)
        states.append(State(grid, {"q": np.ones((len(i), len(j)))}))
    return states


def test_an_integral_has_the_volume_and_a_sum_the_number_of_cells():
    assert told(cut((1, 1))) == {"mass": pytest.approx(8.4), "b": pytest.approx(8.4), "n": 120.0}


@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_same_on_any_number_of_ranks(masked):
    where = np.random.default_rng(3).random(SHAPE) < 0.6 if masked else None
    alone = told(cut((1, 1), where))
    for parts in ((3, 1), (2, 5), (4, 3)):
        assert told(cut(parts, where)) == alone
    if where is not None:
        assert alone["n"] == np.count_nonzero(where)
        assert alone["mass"] == pytest.approx(0.07 * np.count_nonzero(where))


def test_cells_that_a_finer_level_covers_count_there():
    free = np.ones((8,), bool)
    free[2:4] = False
    grids = [Grid((8,), 1.0, where=free), Grid((16,), 0.5, (4,), level=1)]
    state = State(grids, {"q": [np.ones(8), np.ones(4)]})
    assert told([state]) == {"mass": 8.0, "b": 8.0, "n": 10.0}


def test_cells_by_id_have_it_too_and_particles_do_not():
    cells = State(Cells(np.arange(3), 3, volume=np.array([1.0, 2.0, 4.0])), {"q": np.ones(3)})
    assert told([cells]) == {"mass": 7.0, "b": 7.0, "n": 3.0}
    particles = Particles(np.arange(2), mass=np.ones(2), velocity=np.ones((2, 3)))
    found = told([State(particles=particles)], Declarations())
    assert found
    assert set(found.values()) == {UNSET}
