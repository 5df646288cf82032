"""What has no value by its own definition, or belongs to the decomposition, is no difference."""

import numpy as np
import pytest
from msgspec import structs
from recorded_twins import Setup, run

import simckpt
from simckpt.compare.comparison import compare
from simckpt.compare.health import health
from simckpt.compare.quantities import same_decomposition
from simckpt.model.series import DECOMPOSITION, DECOMPOSITION_CHANGED, Event
from simckpt.report.two_runs import health_rows

SMALL = Setup(name="small", n=8, steps=8, every=2, checkpoint_every=4)
PLACE = 4
"""The twins' column that is given out as a rank here."""


def refined(path, values):
    """Two levels, of which the finer one has a box at the steps that `values` tells of."""
    with simckpt.run(path, triggers=False) as recorder:
        for step, value in enumerate(values):
            free = np.ones(8, bool)
            grids, arrays = [simckpt.Grid(8, 1.0, where=free)], [np.arange(8.0)]
            if value is not None:
                free[2:4] = False
                grids.append(simckpt.Grid(16, 0.5, (4,), level=1))
                arrays.append(np.full(4, value))
            recorder.sample(grid=grids, fields={"q": arrays}, conserved={"mass": "q"}, step=step)
    return simckpt.open(path)


def test_a_level_without_boxes_is_no_difference(tmp_path):
    with (
        refined(tmp_path / "x", (1.0, None, 2.0)) as a,
        refined(tmp_path / "y", (1.0, None, 2.0)) as b,
    ):
        assert np.isnan(a.series()["q@1.min"][1])
        found = compare(a, b)
        assert (found.verdict, found.quantities) == ("same", ())


def test_a_level_of_nan_still_is_one_and_so_is_one_that_only_one_run_has(tmp_path):
    with refined(tmp_path / "x", (1.0, np.nan)) as a, refined(tmp_path / "y", (1.0, None)) as b:
        alone, between = compare(a, a), compare(a, b)
        assert "q@1.min" in {q.name for q in alone.quantities}
        assert between.verdict == "different"


def growing(path, values):
    """A run that watches how its largest value grows."""
    with simckpt.run(path, triggers=False) as recorder:
        for step, value in enumerate(values):
            recorder.sample(
                grid=simckpt.Grid(4),
                fields={"q": np.full(4, value)},
                stability={"g": simckpt.Growth("q.max", window=3)},
                step=step,
                t=float(step),
                dt=1.0,
            )
    return simckpt.open(path)


def test_a_growth_rate_before_its_window_is_full_is_no_difference(tmp_path):
    with growing(tmp_path / "x", (1.0, 2.0, 4.0, 8.0)) as a:
        assert np.isnan(a.series()["g"]).tolist() == [True, True, False, False]
        found = compare(a, a)
        assert (found.verdict, found.quantities) == ("same", ())


def test_what_the_rate_is_made_of_is_still_a_difference_where_it_is_nan(tmp_path):
    with growing(tmp_path / "x", (1.0, 2.0, 4.0, np.nan)) as a:
        found = compare(a, a)
        assert found.verdict == "different"
        assert {q.name for q in found.quantities} == {"q.min", "q.max"}


def test_a_number_that_is_lost_says_from_where_on(tmp_path):
    with growing(tmp_path / "x", (1.0, 2.0, 4.0, 8.0, np.nan, 8.0)) as a:
        (peak,) = health(a).peaks
        assert (peak.step, peak.non_finite_from) == (2, 4)
        assert health_rows(health(a))["g, largest"].endswith("at step 2, not finite from step 4 on")
    with growing(tmp_path / "y", (1.0, 2.0, 4.0)) as b:
        assert health(b).peaks[0].non_finite_from is None


def ranked(setup, rank, events=()):
    """A twin with a column that tells which rank holds a maximum."""
    twin = run(setup)
    columns = list(twin.schema.columns)
    columns[PLACE] = structs.replace(
        columns[PLACE], name="x.max.rank", kind="location", of="x", exact=False
    )
    twin.schema = structs.replace(twin.schema, columns=tuple(columns))
    for view in twin.segments:
        view.schema = twin.schema
    series = twin.series()
    series._values[:, PLACE] = rank
    twin.series = lambda: series
    twin.events = (*twin.events, *events)
    return twin


def moved(step, where):
    return Event(
        name=DECOMPOSITION_CHANGED,
        severity="note",
        step=step,
        wall=0.0,
        text="",
        facts={DECOMPOSITION: where},
    )


def test_the_rank_of_an_extremum_is_left_out_between_other_decompositions():
    found = compare(ranked(SMALL.but(ranks=1), 0.0), ranked(SMALL, 3.0))
    assert found.verdict == "same"
    (left,) = found.uncompared
    assert (left.name, left.code, left.essential) == ("x.max.rank", "decomposition", False)
    assert "x.max.rank" not in found.coverage.quantity_names


@pytest.mark.parametrize("ranks", [1, 4])
def test_between_equal_decompositions_it_is_compared(ranks):
    setup = SMALL.but(ranks=ranks)
    found = compare(ranked(setup, 0.0), ranked(setup, 3.0))
    assert [q.name for q in found.quantities] == ["x.max.rank"]
    assert not found.uncompared


def test_boxes_that_moved_otherwise_are_another_decomposition():
    one, two, three = (ranked(SMALL, 0.0, (moved(4, h),)) for h in ("h", "h", "k"))
    assert same_decomposition(one, two)
    assert not same_decomposition(one, three)
    assert not same_decomposition(one, ranked(SMALL, 0.0))
