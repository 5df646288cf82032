"""Cells of unstructured meshes, by global id."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from simckpt import CFL, Cells, Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

COUNT = 6000
TOTAL = Declarations(conserved={"mass": "rho", "square": "rho*rho"})


def mesh():
    rng = np.random.default_rng(7)
    rho = rng.normal(size=COUNT) * 10.0 ** rng.integers(-12, 12, COUNT)
    return rho, rng.uniform(0.1, 2, COUNT)


def states(pieces, volume=True):
    rho, volumes = mesh()
    return [
        State(Cells(ids, COUNT, volumes[ids] if volume else 0.25), {"rho": rho[ids]})
        for ids in pieces
    ]


def layouts():
    shuffled = np.random.default_rng(8).permutation(COUNT)
    return [
        [np.arange(COUNT)],
        [shuffled],
        np.array_split(shuffled, 5),
        [*np.array_split(np.arange(COUNT)[::-1], 3), np.zeros(0, int)],
    ]


@pytest.mark.parametrize("volume", [True, False])
def test_neither_order_nor_partition_changes_a_bit(ranks, volume):
    readings = [ranks.sample(TOTAL, states(pieces, volume)) for pieces in layouts()]
    assert len({ranks.bits_of(r) for r in readings}) == 1


def test_integrals_are_exact(ranks):
    rho, volume = mesh()
    reading = ranks.sample(TOTAL, states(layouts()[2]))
    pairs = list(zip(rho.tolist(), volume.tolist(), strict=True))
    assert reading["mass"] == float(sum((Fraction(r) * Fraction(v) for r, v in pairs)))
    assert reading["square"] == float(sum((Fraction(r * r) * Fraction(v) for r, v in pairs)))
    assert reading["rho.max"] == rho.max()
    plain = ranks.sample(TOTAL, states(layouts()[2], volume=False))
    assert plain["mass"] == float(ranks.exact_sum(rho) / 4)


def test_ids_in_order_have_the_digests_and_tiles_of_a_grid(ranks):
    rho, _ = mesh()
    by_id = ranks.sample(TOTAL, states(layouts()[1], volume=False))
    grid = ranks.sample(TOTAL, [State(Grid(COUNT, 0.25), {"rho": rho})])
    assert ranks.bits_of(by_id) == ranks.bits_of(grid)


@pytest.mark.parametrize(
    "pieces", [[np.arange(COUNT - 1)], [np.arange(COUNT), np.array([5])], [np.zeros(COUNT, int)]]
)
def test_ids_that_are_missing_or_held_twice_are_an_error(ranks, pieces):
    with pytest.raises(SetupError, match="each once"):
        ranks.agree(TOTAL, states(pieces))


def test_a_courant_number_in_cells_needs_a_grid(ranks):
    declarations = Declarations(stability={"courant": CFL("rho")})
    with pytest.raises(SetupError, match="needs a grid"):
        ranks.agree(declarations, states(layouts()[0]))


@pytest.mark.parametrize(
    "build",
    [
        lambda: Cells(np.ones(3), 3),
        lambda: Cells(np.arange(3), 2),
        lambda: Cells(np.arange(3) + 1, 3),
        lambda: Cells(np.arange(3), 3.0),
        lambda: Cells(np.arange(3), 3, np.ones(2)),
    ],
)
def test_nonsense_is_refused(build):
    with pytest.raises(SetupError, match="Cells"):
        build()
