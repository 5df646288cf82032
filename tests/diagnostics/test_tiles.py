"""Tiles: the global shape alone decides, and they cover it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.tiles import (
    LONG_RUN,
    MOST_TILES,
    SHORTEST_RUN,
    SMALL_FIELD,
    plan_walk,
    tile_edges,
)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=4))
def test_tiles_cover_every_axis_and_are_not_too_many(shape):
    edges = tile_edges(shape)
    for n, e in zip(shape, edges, strict=True):
        assert (e[0], e[-1]) == (0, n)
        assert all(a < b for a, b in itertools.pairwise(e))
    assert np.prod([len(e) - 1 for e in edges]) <= MOST_TILES


@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ((1 << 20,), [64]),
        ((100,), [8]),
        ((128, 128), [16, 4]),
        ((512, 512), [8, 8]),
        ((2048, 2048), [8, 8]),
        ((512, 512, 512), [4, 4, 4]),
        ((64, 64, 64), [8, 4, 2]),
        ((3, 3), [1, 1]),
    ],
)
def test_tiles_run_long_along_the_last_axis(shape, counts):
    edges = tile_edges(shape)
    assert [len(e) - 1 for e in edges] == counts
    if len(shape) > 1 and counts[-1] > 1:
        small = np.prod(shape) <= SMALL_FIELD
        assert shape[-1] // counts[-1] >= (SHORTEST_RUN if small else LONG_RUN)


@settings(deadline=None)
@given(st.data())
def test_a_walk_visits_each_cell_of_its_box_once_and_knows_its_tile(data):
    shape = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    start = [data.draw(st.integers(0, n - 1)) for n in shape]
    size = [data.draw(st.integers(1, n - a)) for n, a in zip(shape, start, strict=True)]
    order = data.draw(st.permutations(range(len(shape))))
    edges = tile_edges(shape)
    walk = plan_walk(start, size, shape, order, edges)
    padded = [1] * (4 - len(shape)) + [size[axis] for axis in order]
    tiles = np.full(padded, -1)
    for piece in np.ndindex(*walk.pieces):
        box = tuple(slice(walk.begin[a, p], walk.end[a, p]) for a, p in enumerate(piece))
        assert (tiles[box] == -1).all()
        tiles[box] = sum(walk.tile[a, p] for a, p in enumerate(piece))
    for local in np.ndindex(*padded):
        cell = int(walk.origin + np.dot(local, walk.steps))
        index = np.unravel_index(cell, shape)
        expected = 0
        for i, e in zip(index, edges, strict=True):
            expected = expected * (len(e) - 1) + int(np.searchsorted(e, i, side="right")) - 1
        assert tiles[local] == expected


def test_the_mean_of_a_tile_is_that_of_the_exact_sum_whatever_the_field_becomes(ranks):
    shape = (64, 64)
    rng = np.random.default_rng(8)
    plain = rng.standard_normal(shape)
    wide = plain * 10.0 ** rng.integers(-300, 300, shape)
    stages = [
        np.zeros(shape),
        1e-28 * plain,
        1e20 * plain,
        plain,
        1e-300 * plain,
        wide,
        1e12 * plain,
    ]
    declared = Declarations()
    readings = []
    for parts in ((1, 1), (3, 2)):
        group = ranks.agree(declared, ranks.decomposed({"f": stages[0]}, parts))
        readings.append([group.sample(ranks.decomposed({"f": f}, parts)) for f in stages])
    edges = tile_edges(shape)
    for field, one, other in zip(stages, *readings, strict=True):
        assert ranks.bits_of(one) == ranks.bits_of(other)
        pieces = itertools.product(*(itertools.pairwise(e) for e in edges))
        for box, mean in zip(pieces, one.tiles["f"].mean, strict=True):
            inside = field[tuple(slice(a, b) for a, b in box)]
            assert mean == float(ranks.exact_sum(inside) / inside.size)
