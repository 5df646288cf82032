import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_twins import Setup, run

from simckpt.compare.comparison import Options, compare
from simckpt.compare.curves import MOST_CELLS, MOST_FRAMES, MOST_POINTS, _cells, curves, thinned

SMALL = Setup(n=16, steps=24, every=2, checkpoint_every=8)


def of(options=None, **changes):
    return curves(run(SMALL), run(SMALL, **changes), options)


def test_equal_runs_have_no_onset_and_no_differing_tile():
    found = of(ranks=2)
    assert found.step is None
    assert all(f.differing == 0 and "1" not in f.cells for m in found.maps for f in m.frames)
    assert all(set(q.difference.y) == {0.0} for q in found.quantities)


def test_the_onset_is_that_of_the_comparison():
    a, b = run(SMALL), run(SMALL, bit=(14, 40))
    found, first = curves(a, b), compare(a, b).first
    assert (found.step, found.t, found.after) == (first.step, first.t, first.after)


def test_a_map_shows_each_tile_that_differs_at_each_step():
    (found,) = of(bit=(14, 40)).maps
    frames = {f.step: f for f in found.frames}
    assert frames[12].differing == 0
    assert frames[14].cells.count("1") == frames[14].differing == 1
    across = len(found.columns) - 1
    at = frames[14].cells.index("1")
    row, column = divmod(at, across)
    assert found.rows[row] <= 5 < found.rows[row + 1]
    assert found.columns[column] <= 7 < found.columns[column + 1]


def test_what_differs_in_the_state_comes_first():
    names = [q.name for q in of(rate=0.6).quantities]
    assert names[0] in ("mass", "x.min", "x.max")
    assert names.index("courant") < names.index("x.nan")


def test_both_series_are_there_whole_where_they_are_short():
    found = {q.name: q for q in of(steps=16).quantities}["mass"]
    assert found.a.step == tuple(range(0, 25, 2))
    assert found.b.step == tuple(range(0, 17, 2))
    assert found.difference.step == found.b.step
    assert len(found.a.t) == len(found.a.y) == len(found.a.step)


def test_the_difference_is_relative_to_the_scale():
    a, b = run(SMALL), run(SMALL, rate=0.6)
    (drawn,) = [q for q in curves(a, b).quantities if q.name == "x.min"]
    (told,) = [q for q in compare(a, b).quantities if q.name == "x.min"]
    assert max(drawn.difference.y) == pytest.approx(told.largest)


def test_runs_of_other_shapes_have_series_and_no_map():
    found = of(n=32)
    assert found.maps == ()
    assert found.quantities


def test_other_cadences_and_alignment_by_time_are_drawn():
    found = of(Options(by="time"), dt=0.04)
    assert any(max(q.difference.y, default=0.0) > 0 for q in found.quantities)
    assert of(every=3).maps[0].frames


def test_long_runs_are_thinned_and_keep_the_onset():
    long = SMALL.but(n=8, steps=1500, every=1, checkpoint_every=500)
    found = curves(run(long), run(long, bit=(777, 50)))
    (shown,) = found.maps
    assert len(shown.frames) <= MOST_FRAMES
    steps = [f.step for f in shown.frames]
    assert {0, found.after, found.step, 1500} <= set(steps)
    assert steps == sorted(set(steps))
    assert all(len(q.a.y) <= 2 * MOST_POINTS for q in found.quantities)


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=400),
    st.integers(4, 50),
)
def test_thinning_keeps_the_ends_and_the_extremes(values, most):
    array = np.array(values)
    rows = thinned(array, most)
    assert rows[0] == 0
    assert rows[-1] == len(array) - 1
    assert np.all(np.diff(rows) > 0)
    if np.isfinite(array).any():
        assert np.nanmin(array[rows]) == np.nanmin(array)
        assert np.nanmax(array[rows]) == np.nanmax(array)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.randoms())
def test_a_cell_differs_if_any_tile_it_stands_for_does(shape, random):
    mask = np.zeros(shape, dtype=bool)
    index = tuple(random.randrange(n) for n in shape)
    mask[index] = True
    cells = _cells(mask)
    across = shape[1] if len(shape) > 1 else shape[0]
    row, column = (index[0], index[1]) if len(shape) > 1 else (0, index[0])
    assert [i for i, c in enumerate(cells) if c == "1"] == [row * across + column]


def test_many_tiles_are_joined_and_none_is_lost():
    mask = np.zeros((1, 1000), dtype=bool)
    mask[0, 999] = True
    cells = _cells(mask)
    assert len(cells) <= MOST_CELLS
    assert cells[-1] == "1"
    assert cells.count("1") == 1
