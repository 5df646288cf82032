"""Whole comparisons: every verdict, and the promises that a test suite relies on."""

import msgspec
import numpy as np
import pytest
from recorded_twins import Setup, edited, run

from simckpt import SetupError
from simckpt.compare.comparison import Options, compare
from simckpt.compare.tolerance import Limits, Override, Tolerance
from simckpt.model.series import Sample

SMALL = Setup(name="small", n=16, steps=24, every=2, checkpoint_every=8)
RTOL = Options(tolerance=Tolerance(default=Limits(rtol=1e-6)))


def with_value(setup: Setup, column: int, change, since: int = 0, faults: int = 0):
    """The run with one column of its samples rewritten from step `since` on."""

    def edit(record):
        if not isinstance(record, Sample) or record.step < since:
            return record
        values = np.frombuffer(record.values, "<f8").copy()
        values[column] = change(values[column])
        return msgspec.structs.replace(record, values=values.tobytes(), faults=faults)

    return edited(setup, edit)


def test_a_run_and_its_repetition_are_the_same():
    found = compare(run(SMALL), run(SMALL, host="n9"))
    assert found.verdict == "same"
    assert found.exit_status == 0
    assert found.headline == "Bit-for-bit the same at 13 samples"
    assert found.classification.kind == "identical"
    assert found.differences == ()


def test_equal_states_on_other_rank_counts_are_the_same_bit_for_bit_and_it_says_so():
    found = compare(run(SMALL, ranks=4), run(SMALL, ranks=2))
    assert found.verdict == "same"
    assert found.headline == "Bit-for-bit the same at 13 samples (4 ranks against 2)"
    assert [d.path for d in found.differences] == ["layout"]


def test_a_faithful_restart_is_the_same():
    assert compare(run(SMALL), run(SMALL, restart=12)).verdict == "same"


@pytest.mark.parametrize("killed", [False, True])
def test_a_short_record_does_not_pass_for_the_same(killed):
    for a, b in ((SMALL, SMALL.but(steps=16, killed=killed)),):
        found = compare(run(a), run(b))
        assert found.verdict == "different"
        assert "B ends at step 16 and A goes on to step 24" in found.headline
        assert "same at 9 samples" in found.headline
        assert found.classification.kind == "length"
        turned = compare(run(b), run(a))
        assert "A ends at step 16 and B goes on to step 24" in turned.headline


def test_another_cadence_is_the_same_where_both_have_samples():
    found = compare(run(SMALL, every=2), run(SMALL, every=6))
    assert found.verdict == "same"
    assert found.coverage.only_a.samples == 8


def test_records_that_both_go_on_after_the_last_common_sample_are_not_the_same():
    late = run(SMALL)
    series = late.series()
    series.step = np.where(series.step > 12, series.step + 1, series.step)
    late.series = lambda: series
    found = compare(run(SMALL), late)
    assert found.verdict == "could-not-compare"
    assert "no matching sample after step 12" in found.headline
    assert found.exit_status == 2


def test_runs_without_a_common_sample_could_not_be_compared():
    late = run(SMALL)
    series = late.series()
    series.step = series.step + 1
    late.series = lambda: series
    found = compare(run(SMALL), late)
    assert found.verdict == "could-not-compare"
    assert "same step" in found.headline


def test_a_field_in_one_run_only_keeps_the_runs_from_being_the_same():
    found = compare(run(SMALL, fields=("x", "y")), run(SMALL))
    assert found.verdict == "could-not-compare"
    assert [(u.name, u.code) for u in found.uncompared] == [("y", "one-sided")]


def test_a_field_under_another_name_is_compared_when_mapped():
    b = run(SMALL, fields=("density",))
    assert compare(run(SMALL), b).verdict == "could-not-compare"
    found = compare(run(SMALL), b, Options(renames={"x": "density", "x.min": "x.min"}))
    assert found.coverage.fields == 1
    assert not [u for u in found.uncompared if u.what == "field"]


def test_one_flipped_bit_is_found_at_its_step_and_tile():
    found = compare(run(SMALL), run(SMALL, bit=(11, 0)))
    assert found.verdict == "different"
    assert found.first is not None
    assert (found.first.after, found.first.step) == (10, 12)
    field = found.fields[0]
    assert field.field == "x"
    assert ((5, 7)[0] // 2, (5, 7)[1] // 2) == divmod(field.tile, 8) or field.tiles > 1
    assert field.ranks_a == field.ranks_b == (0,)


def test_the_headline_names_the_interval_and_the_first_step_when_they_are_next():
    found = compare(run(SMALL, every=1), run(SMALL, every=1, rate=0.6))
    assert found.headline.startswith("The runs diverge at step 1 (x)")


def test_nan_in_both_runs_is_no_equality_unless_asked():
    poisoned = SMALL.but(poison=5)
    found = compare(run(poisoned), run(poisoned))
    assert found.verdict == "different"
    assert "NaN equals nothing" in found.headline
    assert found.classification.kind == "non-finite"
    equal_nan = Options(tolerance=Tolerance(default=Limits(equal_nan=True)))
    assert compare(run(poisoned), run(poisoned), equal_nan).verdict == "same"


def test_nan_against_a_number_is_different_even_with_a_tolerance():
    for options in (Options(), RTOL):
        found = compare(run(SMALL), run(SMALL, poison=5), options)
        assert found.verdict == "different"


def test_a_failed_diagnostic_is_not_compared_and_is_no_difference():
    faulty = with_value(SMALL, 0, lambda _: float("nan"), since=12, faults=1)
    found = compare(run(SMALL), faulty)
    assert found.verdict == "same"
    assert [(u.name, u.code) for u in found.uncompared] == [("mass", "not-measured")]


def test_without_fields_a_column_of_one_run_alone_is_essential():
    bare = SMALL.but(fields=())
    assert compare(run(bare), run(bare)).verdict == "same"
    faulty = with_value(bare, 0, lambda _: float("nan"), since=12, faults=1)
    assert compare(run(bare), faulty).verdict == "could-not-compare"


def test_with_a_tolerance_roundoff_is_the_same_and_the_bits_are_still_told():
    found = compare(run(SMALL), run(SMALL, reordered=True), RTOL)
    assert found.verdict == "same"
    assert found.classification.kind == "within tolerance"
    assert found.fields
    assert "within the tolerance" in found.headline


def test_beyond_the_tolerance_is_different_at_the_step_where_it_is():
    tight = Options(tolerance=Tolerance(default=Limits(rtol=1e-5)))
    found = compare(run(SMALL), run(SMALL, rate=0.501), tight)
    assert found.verdict == "different"
    assert "Beyond the tolerance from step" in found.headline


def test_a_local_change_that_integrals_hide_shows_in_the_tiles():
    loose_sum = Tolerance(
        default=Limits(rtol=1e-9),
        overrides=(
            Override(pattern="mass", rtol=1.0),
            Override(pattern="x.m[ai][xn]", rtol=1.0),
        ),
    )
    found = compare(run(SMALL), run(SMALL, bit=(11, 51)), Options(tolerance=loose_sum))
    assert found.verdict == "different"
    assert [(t.field, t.statistic) for t in found.tiles] == [("x", "mean")]


def test_a_field_that_no_tolerance_is_meant_for_is_judged_by_its_bits():
    only_mass = Options(tolerance=Tolerance(overrides=(Override(pattern="mass", rtol=1e-6),)))
    found = compare(run(SMALL), run(SMALL, bit=(23, 0)), only_mass)
    assert found.verdict == "different"
    also_x = Tolerance(
        overrides=(Override(pattern="mass", rtol=1e-6), Override(pattern="x", rtol=1e-6))
    )
    assert compare(run(SMALL), run(SMALL, bit=(23, 0)), Options(tolerance=also_x)).verdict == "same"


def test_a_tolerance_for_an_unknown_quantity_is_refused_with_the_choices():
    wrong = Options(tolerance=Tolerance(overrides=(Override(pattern="mas", rtol=1e-3),)))
    with pytest.raises(SetupError, match="mass"):
        compare(run(SMALL), run(SMALL), wrong)
    with pytest.raises(SetupError, match="no field or quantity"):
        compare(run(SMALL), run(SMALL), Options(renames={"rho": "x"}))


def test_interpolated_runs_agree_within_the_error_of_interpolation_and_it_is_said():
    a, b = run(SMALL, every=1), run(SMALL, every=1)
    series = b.series()
    series.t = series.t + 0.31 * SMALL.dt
    b.series = lambda: series
    by_time = Options(by="time", tolerance=Tolerance(default=Limits(rtol=0.01)))
    found = compare(a, b, by_time)
    assert found.coverage.interpolated > 0
    assert not found.bitwise
    assert any("interpolated" in reason for reason in found.reasons)


def test_other_resolution_is_said_and_integrals_are_still_compared():
    found = compare(run(SMALL, n=16), run(SMALL, n=32))
    assert found.verdict == "different"
    assert found.classification.kind == "resolution"
    assert {u.code for u in found.uncompared} == {"shape"}
    assert found.coverage.quantities > 0
    assert found.explanation.causes[0].difference.path == "n"


def test_a_comparison_has_no_truth_value():
    found = compare(run(SMALL), run(SMALL))
    with pytest.raises(TypeError, match="verdict"):
        bool(found)


def test_a_comparison_survives_its_json():
    found = compare(run(SMALL), run(SMALL, rate=0.6, poison=9))
    text = msgspec.json.encode(found)
    back = msgspec.json.decode(text)
    assert back["verdict"] == "different"
    assert back["explanation"]["causes"][0]["difference"]["part"] == "numerics"


def test_the_order_of_the_runs_does_not_change_verdict_kind_or_cause():
    for change in ({}, {"rate": 0.6}, {"seed": 3}, {"poison": 9}, {"reordered": True}):
        one = compare(run(SMALL), run(SMALL, **change))
        two = compare(run(SMALL, **change), run(SMALL))
        assert one.verdict == two.verdict
        assert one.classification.kind == two.classification.kind
        assert [c.difference.path for c in one.explanation.causes] == [
            c.difference.path for c in two.explanation.causes
        ]


def test_a_sum_near_zero_that_no_relative_tolerance_can_judge_gets_a_hint():
    a = with_value(SMALL, 0, lambda _: 1.5e-19)
    b = with_value(SMALL, 0, lambda _: 1.6e-19)
    found = compare(a, b, Options(tolerance=Tolerance(default=Limits(rtol=1e-9))))
    assert found.verdict == "different"
    assert found.hints == ()  # the integral of a field that keeps one sign is no small rest
    wide, close = run(SMALL), run(SMALL)
    for twin, end in ((wide, 1.5e-19), (close, 1.6e-19)):
        series = twin.series()
        series._values[-1, 0] = end
        twin.series = lambda series=series: series
    found = compare(wide, close, Options(tolerance=Tolerance(default=Limits(rtol=1e-9))))
    assert found.verdict == "different"
    assert "--atol mass=" in found.hints[0]
    wanted = Tolerance(default=Limits(rtol=1e-9), overrides=(Override(pattern="mass", atol=1e-10),))
    assert compare(wide, close, Options(tolerance=wanted)).verdict == "same"


def test_where_no_field_was_recorded_no_reason_says_that_the_state_is_the_same():
    courant = 6
    blind = SMALL.but(fields=())
    other = with_value(blind.but(parameters={"gamma": 1.5}), courant, lambda v: 1.1 * v)
    found = compare(run(blind, parameters={"gamma": 1.4}), other)
    (cause,) = [c for c in found.explanation.causes if c.difference.name == "gamma"]
    assert cause.reason.endswith(", and no recorded number of the state differs.")


def test_nan_in_both_runs_gets_a_hint():
    poisoned = SMALL.but(poison=5)
    assert "--equal-nan" in compare(run(poisoned), run(poisoned)).hints[0]


def test_equal_digests_at_one_moment_do_not_speak_for_interpolated_ones():
    a = run(SMALL, every=1)
    found = compare(
        a,
        run(SMALL, every=1, dt=0.05000001, rate=0.6),
        Options(by="time", tolerance=Tolerance(default=Limits(rtol=1e-7))),
    )
    assert found.coverage.interpolated > 0
    assert found.classification.kind != "diagnostic"
