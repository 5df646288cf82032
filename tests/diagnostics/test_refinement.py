"""Adaptive refinement: three levels whose boxes come, go and move from rank to rank."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt.diagnostics import Declarations, Grid, State

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


def test_a_level_that_nobody_knew_of_is_a_fault_with_its_name(ranks):
    probes = ranks.agree(DECLARED, states(COARSENED, 1))
    reading = probes.sample(states(FIRST, 1))
    assert reading.faults > 0
    assert np.isnan(reading["mass"])


def test_a_level_that_is_still_empty_can_be_announced(ranks):
    first = COARSENED | {2: [((0, 0), (0, 0))]}
    probes = ranks.agree(DECLARED, states(first, 2))
    for boxes in (first, FIRST):
        reading = probes.sample(states(boxes, 2))
        assert reading.problems == ()
        assert reading["mass"] == composite(ranks, boxes)
