"""The places of minimum and maximum, from messages that only know how to take the largest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simckpt import Cells, Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.quantities.norms import PAIRS, blocks, decode, encode
from simckpt.diagnostics.state import Extremum, State

DECLARATIONS = Declarations(extrema=["u"])


def place(reading, what, axes):
    return tuple(int(reading[f"u.{what}.{axis}"]) for axis in "ijkl"[:axes])


@settings(deadline=None, max_examples=25)
@given(shape=st.lists(st.integers(1, 30), min_size=1, max_size=3), data=st.data())
def test_the_cell_is_that_of_argmin_and_argmax_on_any_decomposition(ranks, shape, data):
    parts = [data.draw(st.integers(1, min(n, 3))) for n in shape]
    ghost = data.draw(st.integers(0, 2))
    seed = data.draw(st.integers(0, 2**31))
    size = int(np.prod(shape))
    values = data.draw(st.sampled_from([size, 3]))
    field = np.random.default_rng(seed).permutation(size).reshape(shape) % values - 0.5
    states = ranks.decomposed({"u": field}, parts, order="F", ghost=ghost)
    reading = ranks.sample(DECLARATIONS, states)
    for what, cell in (("min", field.argmin()), ("max", field.argmax())):
        index = tuple(map(int, np.unravel_index(cell, shape)))
        assert place(reading, what, len(shape)) == index
        holder = next(
            rank
            for rank, (_, box) in enumerate(ranks.boxes(shape, parts))
            if all(s.start <= i < s.stop for s, i in zip(box, index, strict=True))
        )
        assert reading[f"u.{what}.rank"] == holder


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", "?", "f2"])
def test_any_type_of_number_is_found(ranks, dtype):
    field = np.zeros((9, 300), dtype)
    field[7, 211] = 1
    reading = ranks.sample(DECLARATIONS, ranks.decomposed({"u": field}, (3, 2)))
    assert place(reading, "max", 2) == (7, 211)


def test_where_one_rank_has_the_value_twice_it_is_the_lowest_index(ranks):
    field = np.zeros((8, 400))
    field[2, 301] = field[3, 5] = 1.0
    reading = ranks.sample(DECLARATIONS, ranks.decomposed({"u": field}, (2, 1)))
    assert place(reading, "max", 2) == (2, 301)
    assert reading["u.max.rank"] == 0


def test_where_several_ranks_have_the_value_it_is_the_lowest_index(ranks):
    field = np.zeros((6, 40))
    # In C order the fourth rank's cell comes first.
    field[5, 3] = field[2, 33] = field[4, 20] = 2.0
    reading = ranks.sample(DECLARATIONS, ranks.decomposed({"u": field}, (1, 4)))
    assert reading["u.max"] == 2.0
    assert place(reading, "max", 2) == (2, 33)
    assert reading["u.max.rank"] == 3


def test_values_that_are_not_finite_are_passed_over(ranks):
    field = np.arange(20.0)
    field[[0, 19]] = np.nan, np.inf
    reading = ranks.sample(DECLARATIONS, ranks.decomposed({"u": field}, (3,)))
    assert (place(reading, "min", 1), place(reading, "max", 1)) == ((1,), (18,))
    field[:] = np.nan
    reading = ranks.sample(DECLARATIONS, ranks.decomposed({"u": field}, (3,)))
    assert place(reading, "min", 1) == (-1,)


def test_masked_cells_are_passed_over(ranks):
    field = np.arange(20.0).reshape(4, 5)
    where = field < 13
    reading = ranks.sample(DECLARATIONS, [State(Grid((4, 5), where=where), {"u": field})])
    assert place(reading, "max", 2) == (2, 2)


def test_cells_that_carry_ids_are_found_by_id(ranks):
    ids = np.random.default_rng(1).permutation(50)
    values = np.sin(ids + 0.25)
    states = [
        State(Cells(ids[part], total=50, volume=1.0), {"u": values[part]})
        for part in (slice(0, 17), slice(17, 50))
    ]
    reading = ranks.sample(DECLARATIONS, states)
    assert place(reading, "max", 1) == (int(ids[values.argmax()]),)


def test_each_level_of_a_refined_grid_has_its_own_places(ranks):
    coarse, fine = np.arange(8.0), np.arange(4.0)[::-1] * 10
    grids = [Grid(8), Grid(16, start=4, level=1)]
    reading = ranks.sample(DECLARATIONS, [State(grids, {"u": [coarse, fine.copy()]})])
    assert reading["u.max.i"] == 7
    assert reading["u@1.max.i"] == 4


@settings(deadline=None)
@given(data=st.data())
def test_the_lowest_of_equal_cells_is_told_with_its_rank_for_any_number_of_both(data):
    size = blocks((2**33,)) * PAIRS
    # Few values, so that many are equal; cells in several blocks.
    cells = data.draw(st.lists(st.integers(0, 2**33 - 1), min_size=1, max_size=8, unique=True))
    found = [
        (data.draw(st.integers(0, 2**24 - 1)), Extremum(data.draw(st.sampled_from([-1.0, 2.5])), c))
        for c in cells
    ]
    # Each rank tells one cell, the lowest that it has of its largest value.
    told = {}
    for rank, f in found:
        told[rank] = min(told.get(rank, f), f, key=lambda f: (-f.value, f.cell))
    joined = [(-np.inf, 0)] * size
    for rank, f in told.items():
        pairs = encode(f, rank, size, 1.0)
        joined = [
            max(a, b, key=lambda p: (p[0], -p[1])) for a, b in zip(joined, pairs, strict=True)
        ]
    rank, best = min(told.items(), key=lambda item: (-item[1].value, item[1].cell))
    assert decode(joined) == (best.cell, rank)


def test_the_cells_of_a_uniform_field_are_the_same_on_any_decomposition(ranks):
    told = set()
    for parts in ((1, 1), (3, 2), (2, 5)):
        states = ranks.decomposed({"u": np.full((12, 20), 0.5)}, parts)
        reading = ranks.sample(DECLARATIONS, states)
        told.add((place(reading, "min", 2), place(reading, "max", 2), reading["u.max.rank"]))
    assert told == {((0, 0), (0, 0), 0.0)}


def test_the_message_does_not_grow_with_the_ranks(ranks):
    field = np.arange(64.0)
    sizes = set()
    for parts in ((1,), (8,), (64,)):
        states = ranks.decomposed({"u": field}, parts)
        message = ranks.agree(DECLARATIONS, states).probes[0].measure(states[0])
        sizes.add(tuple(len(array) for array in message))
    assert len(sizes) == 1


def test_a_field_that_is_not_there_is_refused(ranks):
    with pytest.raises(SetupError, match=r"extrema\['v'\].*Choices: u"):
        ranks.agree(Declarations(extrema=["v"]), ranks.decomposed({"u": np.ones(4)}, (2,)))
