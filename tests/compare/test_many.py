from unittest.mock import patch

import pytest
from recorded_twins import Setup, run

from simckpt import SetupError
from simckpt.compare import many
from simckpt.compare.comparison import Options, compare
from simckpt.compare.many import compare_many
from simckpt.compare.tolerance import Limits, Tolerance

SMALL = Setup(n=16, steps=24, every=2, checkpoint_every=8)


def runs(*changes):
    return [run(SMALL, **{"name": f"r{i}", **change}) for i, change in enumerate(changes)]


SAME = {}
OTHER = {"rate": 0.6}


def test_runs_that_are_all_the_same_are_one_group():
    result = compare_many(runs(SAME, {"ranks": 2}, {"host": "n2"}))
    assert result.verdict == "same"
    assert result.exit_status == 0
    assert result.groups == ((0, 1, 2),)
    assert result.separations == ()
    assert result.odd is None
    assert "All 3 runs" in result.headline


def test_groups_hold_the_runs_that_are_the_same_as_each_other_the_largest_first():
    result = compare_many(runs(OTHER, SAME, {"ranks": 2}, OTHER, SAME))
    assert result.groups == ((1, 2, 4), (0, 3))
    assert result.verdict == "different"
    assert result.exit_status == 1
    assert result.odd is None


def test_the_matrix_holds_the_verdict_of_each_pair():
    given = runs(SAME, OTHER, SAME, {"fields": ("x", "y")}, {"steps": 16}, {"bit": (13, 40)}, OTHER)
    result = compare_many(given)
    for i, one in enumerate(given):
        for j, two in enumerate(given):
            found = compare(one, two)
            cell = result.matrix[i][j]
            assert cell.verdict == ("same" if i == j else found.verdict)
            if found.verdict == "different" and found.first is not None:
                assert cell.step == found.first.step
            else:
                assert cell.step is None


def test_one_run_that_stands_apart_is_the_odd_one_out():
    result = compare_many(runs(SAME, SAME, {"bit": (13, 40)}, SAME))
    assert result.odd == 2
    (contrast,) = result.contrasts
    assert contrast.step == 14
    assert contrast.cause is None


def test_of_two_runs_none_is_odd():
    assert compare_many(runs(SAME, OTHER)).odd is None


def test_a_run_that_could_not_be_compared_is_neither_the_same_nor_odd():
    result = compare_many(runs(SAME, SAME, {"fields": ("x", "y")}))
    assert result.verdict == "could-not-compare"
    assert result.exit_status == 2
    assert result.groups == ((0, 1), (2,))
    assert result.odd is None


def test_the_parameter_that_separates_the_groups_is_named_with_its_values():
    result = compare_many(runs(SAME, OTHER, {"ranks": 2}, {**OTHER, "ranks": 2}))
    best = result.separations[0]
    assert best.exact
    assert best.facts == ("numerics rate",)
    assert best.values == (((0.5,),), ((0.6,),))
    assert all("layout" not in s.facts[0] for s in result.separations if s.exact)


def test_a_contrast_is_told_from_the_first_group_whatever_the_order_given():
    result = compare_many(runs({"steps": 16}, SAME, SAME))
    (contrast,) = result.contrasts
    assert "B ends at step 16" in contrast.headline


def test_interchangeable_runs_are_compared_once_with_the_others():
    given = runs(*[SAME] * 6, *[OTHER] * 6)
    with patch.object(many, "compare", wraps=compare) as called:
        result = compare_many(given)
    assert result.groups == (tuple(range(6)), tuple(range(6, 12)))
    # Marks tell the groups; how they differ takes one whole comparison.
    assert called.call_count == 1


def test_a_tolerance_makes_groups_of_runs_that_differ_in_bits():
    loose = Options(tolerance=Tolerance(default=Limits(rtol=1e-9)))
    given = runs(SAME, {"reordered": True}, OTHER)
    assert compare_many(given).groups == ((0,), (1,), (2,))
    assert compare_many(given, loose).groups == ((0, 1), (2,))


def test_many_runs_have_no_truth_value():
    with pytest.raises(TypeError, match="verdict"):
        bool(compare_many(runs(SAME, SAME)))


def test_too_few_runs_and_renames_among_many_are_refused():
    with pytest.raises(SetupError, match="too few"):
        compare_many(runs(SAME))
    with pytest.raises(SetupError, match="more"):
        compare_many(runs(SAME, SAME, SAME), Options(renames={"x": "y"}))
