"""Adaptive refinement: three levels whose boxes come, go and move from rank to rank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simckpt import CFL, Conserved, Divergence, Grid, Norm, TotalVariation
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

COARSE = (16, 40)
DECLARED = Declarations(conserved={"mass": "rho"})


def level_shape(level):
    return tuple(n << level for n in COARSE)


def values(level):
    return np.random.default_rng(level).normal(size=level_shape(level))


def covered(level, boxes):
    """The cells of `level` that no box of the next one covers."""
    free = np.ones(level_shape(level), bool)
    for start, shape in boxes.get(level + 1, []):
        free[tuple(slice(a // 2, (a + n) // 2) for a, n in zip(start, shape, strict=True))] = False
    return free


def states(boxes, ranks, step=0):
    """The states of all ranks: the boxes of all levels are dealt out in turn."""
    dealt = [([], []) for _ in range(ranks)]
    flat = [(level, *box) for level, some in boxes.items() for box in some]
    for number, (level, start, shape) in enumerate(flat):
        grids, arrays = dealt[(number + step) % ranks]
        box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        ghosted = np.pad(values(level)[box], 1, constant_values=np.nan)
        free = covered(level, boxes)[box]
        grids.append(
            Grid(level_shape(level), 1 / 2**level, start, ghost=1, where=free, level=level)
        )
        arrays.append(ghosted)
    return [State(grids, {"rho": arrays}, step=step) for grids, arrays in dealt]


def composite(ranks, boxes):
    """The integral over the cells that no finer one covers, exactly."""
    total = 0
    for level, some in boxes.items():
        free = covered(level, boxes)
        for start, shape in some:
            box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
            total += ranks.exact_sum(values(level)[box][free[box]]) / 4**level
    return float(total)


FIRST = {
    0: [((0, 0), (8, 40)), ((8, 0), (8, 40))],
    1: [((4, 10), (12, 30)), ((4, 40), (12, 20))],
    2: [((12, 40), (8, 20))],
}
LATER = {
    0: [((0, 0), (16, 20)), ((0, 20), (16, 20))],
    1: [((8, 20), (16, 30)), ((24, 20), (4, 30)), ((8, 50), (8, 8))],
    2: [((24, 60), (10, 12)), ((36, 60), (6, 8))],
}
COARSENED = {0: [((0, 0), (16, 40))], 1: [((10, 10), (4, 4))]}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_three_levels_are_one_integral_while_boxes_change(ranks, count):
    probes = ranks.agree(DECLARED, states(FIRST, count))
    for step, boxes in enumerate((FIRST, LATER, COARSENED, FIRST)):
        reading = probes.sample(states(boxes, count, step))
        assert reading.problems == ()
        assert reading["mass"] == composite(ranks, boxes)


def test_the_bits_do_not_depend_on_the_ranks_nor_on_how_a_level_is_cut(ranks):
    readings = [ranks.sample(DECLARED, states(LATER, count)) for count in (1, 2, 4)]
    merged = LATER | {1: [((8, 20), (20, 30)), ((8, 50), (8, 8))]}
    readings.append(ranks.sample(DECLARED, states(merged, 3)))
    assert len({ranks.bits_of(reading) for reading in readings}) == 1


def test_each_level_has_its_own_digests_and_extrema(ranks):
    reading = ranks.sample(DECLARED, states(FIRST, 2))
    assert set(reading.tiles) == {"rho", "rho@1", "rho@2"}
    (start, shape) = FIRST[2][0]
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    assert reading["rho@2.max"] == values(2)[box].max()


def test_a_level_that_has_gone_has_no_extrema_but_is_no_fault(ranks):
    probes = ranks.agree(DECLARED, states(FIRST, 2))
    reading = probes.sample(states(COARSENED, 2))
    assert np.isnan(reading["rho@2.max"])
    assert reading.faults == 0


UNREFINED = {0: [((0, 0), (8, 40)), ((8, 0), (8, 40))]}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("first", [UNREFINED, COARSENED])
def test_a_level_that_appears_later_counts_in_every_integral_and_maximum(ranks, count, first):
    declared = Declarations(
        conserved={"mass": "rho", "cells": Conserved("where(rho == rho, 1, 1)", weight="one"),
                   "square": "rho*rho", "sum": Conserved("rho", weight="one")},
        norms={"size": Norm("rho", "Linf")},
        stability={"courant": CFL("abs(rho)", "abs(rho)")},
    )  # fmt: skip
    probes = ranks.agree(declared, states(first, count))
    for step, boxes in enumerate((first, FIRST, LATER, first)):
        reading = probes.sample([replace(s, dt=0.5) for s in states(boxes, count, step)])
        assert reading.problems == ()
        assert reading["mass"] == composite(ranks, boxes)
        left = [
            (level, values(level)[box][covered(level, boxes)[box]])
            for level, some in boxes.items()
            for start, shape in some
            for box in [tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
        ]
        assert reading["cells"] == sum(v.size for _, v in left)
        assert reading["sum"] == float(sum(ranks.exact_sum(v) for _, v in left))
        assert reading["size"] == max(np.abs(v).max() for _, v in left)
        assert reading["courant"] == max(
            0.5 * (np.abs(v) / (1 / 2**level) + np.abs(v) / (1 / 2**level)).max()
            for level, v in left
        )


def test_the_digests_of_the_coarse_level_do_not_see_a_level_that_appears(ranks):
    probes = ranks.agree(DECLARED, states(UNREFINED, 2))
    before = probes.sample(states(UNREFINED, 2))
    covering = UNREFINED | {1: [((0, 0), (8, 80))]}
    reading = probes.sample(states(covering, 2, 1))
    # The cells it covers are masked, so only tiles with such cells may change.
    tiles = before.schema.tiles[0]
    same = [tiles.bounds(t)[0][0] >= 4 for t in range(len(before.digests))]
    assert np.array_equal(before.digests[same], reading.digests[same])
    assert not np.array_equal(before.digests, reading.digests)
    again = probes.sample(states(UNREFINED, 2, 2))
    assert np.array_equal(before.digests, again.digests)


def test_one_grid_that_is_no_list_cannot_be_refined_later(ranks):
    whole = State(Grid(COARSE), {"rho": values(0)})
    probes = ranks.agree(DECLARED, [whole])
    reading = probes.sample(states(FIRST, 1))
    assert reading.faults > 0
    assert np.isnan(reading["mass"])


def test_levels_of_different_width_have_one_divergence_and_total_variation(ranks):
    declared = Declarations(
        stability={"div": Divergence("u", "v"), "tv": TotalVariation("u")},
    )
    coarse, fine = Grid((4, 4), 1.0, ghost=1), Grid((8, 8), 0.5, (2, 2), ghost=1, level=1)
    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=(6, 6)), rng.normal(size=(5, 6))]
    other = [rng.normal(size=(6, 6)), rng.normal(size=(5, 6))]
    reading = ranks.sample(declared, [State([coarse, fine], {"u": arrays, "v": other})])
    sizes, variation = [], 0.0
    for u, v, h in zip(arrays, other, (1.0, 0.5), strict=True):
        div = (u[2:, 1:-1] - u[:-2, 1:-1]) / (2 * h) + (v[1:-1, 2:] - v[1:-1, :-2]) / (2 * h)
        sizes.append(np.abs(div).max())
        inner = u[1:-1, 1:-1]
        jumps = np.abs(u[2:, 1:-1] - inner) / h + np.abs(u[1:-1, 2:] - inner) / h
        variation += jumps.sum() * h * h
    assert reading["div.max"] == max(sizes)
    assert reading["tv"] == pytest.approx(variation, rel=1e-14)


def test_a_level_that_is_still_empty_can_be_announced(ranks):
    first = COARSENED | {2: [((0, 0), (0, 0))]}
    probes = ranks.agree(DECLARED, states(first, 2))
    for boxes in (first, FIRST):
        reading = probes.sample(states(boxes, 2))
        assert reading.problems == ()
        assert reading["mass"] == composite(ranks, boxes)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_boxes_that_move_are_seen_by_the_sample_alone(ranks, count):
    probes = ranks.agree(DECLARED, states(FIRST, count))
    moved = [probes.sample(states(boxes, count)).moved for boxes in (FIRST, LATER, FIRST)]
    assert moved == [False, True, False]


def test_boxes_that_only_change_their_rank_have_moved(ranks):
    probes = ranks.agree(DECLARED, states(FIRST, 3))
    assert not probes.sample(states(FIRST, 3)).moved
    assert probes.sample(states(FIRST, 3, step=1)).moved


def test_the_cells_of_a_level_without_digests_are_counted(ranks):
    probes = ranks.agree(DECLARED, states(UNREFINED, 2))
    assert probes.sample(states(UNREFINED, 2)).unseen == 0
    refined = 12 * 30 + 12 * 20 + 8 * 20
    assert probes.sample(states(FIRST, 2)).unseen == refined
