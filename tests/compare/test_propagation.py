"""How a difference goes on tells a fault in one place from rounding, and rounding from a change."""

import numpy as np
import pytest

from simckpt.compare.patterns import outgrows, propagation

EPSILON = 2.0**-52
ROUNDOFF = 4096 * EPSILON
STEPS = np.arange(40)


def tiles(*places: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((6, 6), dtype=bool)
    for place in places:
        mask[place] = True
    return mask


def test_a_difference_that_moves_to_neighbours_is_connected():
    assert propagation(tiles((2, 2)), tiles((2, 2), (2, 3), (1, 2))).connected
    assert propagation(tiles((0, 2)), tiles((5, 2))).connected, "around the end of the domain"


def test_a_difference_that_turns_up_elsewhere_is_not():
    assert not propagation(tiles((2, 2)), tiles((2, 2), (5, 5))).connected


def test_a_difference_that_is_everywhere_at_once_tells_nothing_of_the_place():
    assert propagation(tiles((2, 2)), np.ones((6, 6), dtype=bool)).connected


def test_only_tiles_at_the_edge_are_at_the_edge():
    assert propagation(tiles((0, 2), (0, 3)), tiles()).at_boundary
    assert not propagation(tiles((0, 2), (1, 2)), tiles()).at_boundary
    assert not propagation(np.ones((2, 2), dtype=bool), np.ones((2, 2), dtype=bool)).at_boundary


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.65])
def test_errors_of_rounding_grow_slower_than_by_doubling_in_each_step(rate):
    curve = np.minimum(EPSILON * np.exp(rate * STEPS), 0.1)
    curve[0] = 0.0
    assert outgrows(curve, STEPS, 1, EPSILON, ROUNDOFF) is None


def test_what_rises_faster_was_never_rounding():
    curve = np.minimum(1e-20 * 10.0**STEPS, 0.1)
    curve[0] = 0.0
    size = outgrows(curve, STEPS, 1, EPSILON, ROUNDOFF)
    assert size is not None
    assert ROUNDOFF < size < 20 * ROUNDOFF


def test_a_sparse_cadence_gives_rounding_the_time_to_grow():
    curve = np.array([0.0, 1e-9, 1e-3])
    assert outgrows(curve, np.array([0, 100, 200]), 1, EPSILON, ROUNDOFF) is None
    assert outgrows(curve, np.array([0, 2, 4]), 1, EPSILON, ROUNDOFF) == 1e-9
