from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import SetupError
from simckpt.compare.tolerance import NOT_A_DISTANCE, Limits, Override, Tolerance, ulp_distance

NAN, INF = float("nan"), float("inf")
doubles = st.floats(allow_nan=False, allow_infinity=False)


def agree(limits: Limits, a: float, b: float) -> bool:
    return bool(limits.agree(np.array([a]), np.array([b]))[0])


@pytest.mark.parametrize("limits", [Limits(), Limits(rtol=1.0, atol=1e300, ulp=10, floor=1e300)])
@pytest.mark.parametrize("other", [NAN, 0.0, 1.0, INF])
def test_nan_equals_nothing_unless_asked(limits, other):
    assert not agree(limits, NAN, other)
    assert not agree(limits, other, NAN)


def test_equal_nan_makes_nan_equal_nan_and_nothing_else():
    assert agree(Limits(equal_nan=True), NAN, NAN)
    assert agree(Limits(rtol=1e-3, equal_nan=True), NAN, NAN)
    assert not agree(Limits(rtol=1e-3, equal_nan=True), NAN, 1.0)
    assert not agree(Limits(equal_nan=True), 1.0, NAN)


@pytest.mark.parametrize("limits", [Limits(), Limits(rtol=1e-3), Limits(ulp=4)])
def test_an_infinity_equals_itself_alone(limits):
    assert agree(limits, INF, INF)
    assert not agree(limits, INF, -INF)
    assert not agree(limits, INF, 1e308)


def test_zeros_of_both_signs_differ_in_bits_and_are_equal_in_value():
    assert not agree(Limits(), 0.0, -0.0)
    assert agree(Limits(ulp=1), 0.0, -0.0)
    assert agree(Limits(atol=1e-300), 0.0, -0.0)


def test_a_relative_tolerance_is_useless_near_zero_and_an_absolute_one_is_not():
    assert not agree(Limits(rtol=1e-6), 1e-17, -1e-17)
    assert agree(Limits(rtol=1e-6, atol=1e-15), 1e-17, -1e-17)
    assert agree(Limits(rtol=1e-6, floor=1e-15), 1e-17, -1e-17)


def test_numbers_near_the_end_of_the_range_do_not_overflow():
    assert not agree(Limits(rtol=0.5), 1.7e308, -1.7e308)
    assert agree(Limits(rtol=0.5), 1.7e308, 1.6e308)


@given(doubles, doubles, st.sampled_from([1e-12, 1e-3, 0.5]), st.sampled_from([0.0, 1e-9, 1.0]))
def test_the_tolerance_is_the_stated_formula(a, b, rtol, atol):
    allowed = max(Fraction(rtol) * max(abs(Fraction(a)), abs(Fraction(b))), Fraction(atol))
    apart = abs(Fraction(a) - Fraction(b))
    found = agree(Limits(rtol=rtol, atol=atol), a, b)
    # The formula itself is evaluated in float64: at its edge the last digit decides.
    if abs(apart - allowed) > Fraction(1, 10**12) * max(apart, allowed) + Fraction(5e-324):
        assert found == (apart <= allowed)


@given(doubles, doubles)
def test_agreement_does_not_depend_on_the_order_of_the_runs(a, b):
    for limits in (Limits(), Limits(rtol=1e-9), Limits(ulp=3), Limits(floor=1.0)):
        assert agree(limits, a, b) == agree(limits, b, a)


@given(st.floats(-1.7e308, 1.7e308))
def test_the_next_number_is_one_ulp_away(a):
    b = np.nextafter(a, INF)
    assert ulp_distance(np.array([a]), np.array([b]))[0] == 1
    assert agree(Limits(ulp=1), a, b)


def test_ulp_distance_spans_the_whole_line_without_wrapping():
    far = ulp_distance(np.array([-1.7e308]), np.array([1.7e308]))[0]
    assert far > 2**63
    assert ulp_distance(np.array([0.0]), np.array([-0.0]))[0] == 0
    assert ulp_distance(np.array([NAN]), np.array([1.0]))[0] == NOT_A_DISTANCE


def test_later_overrides_win_and_leave_other_limits_as_they_are():
    tolerance = Tolerance(
        default=Limits(rtol=1e-12, atol=1e-20),
        overrides=[Override(pattern="rho.*", rtol=1e-6), Override(pattern="rho.min", rtol=1e-3)],
    )
    assert tolerance.limits("mass").rtol == 1e-12
    assert tolerance.limits("rho.max").rtol == 1e-6
    assert tolerance.limits("rho.min") == Limits(rtol=1e-3, atol=1e-20)


def test_a_tolerance_for_one_quantity_leaves_the_others_bit_for_bit():
    tolerance = Tolerance(overrides=(Override(pattern="mass", rtol=1e-12),))
    assert not tolerance.bitwise
    assert tolerance.limits("energy").bitwise


def test_a_tolerance_for_a_field_holds_for_what_is_measured_of_it():
    tolerance = Tolerance(overrides=(Override(pattern="rho", rtol=1e-6),))
    assert tolerance.limits("rho.min").rtol == 1e-6
    assert tolerance.judges("rho")
    assert not tolerance.judges("mx")
    assert Tolerance(overrides=(Override(pattern="rho.*", rtol=1e-6),)).judges("rho")


def test_a_pattern_that_matches_nothing_is_named():
    tolerance = Tolerance(overrides=(Override(pattern="mas", rtol=1e-12),))
    assert tolerance.unused(["mass", "energy"]) == ("mas",)


@pytest.mark.parametrize("value", [-1e-3, NAN, INF, True])
def test_nonsense_is_refused_when_built(value):
    with pytest.raises(SetupError, match="rtol"):
        Limits(rtol=value)
    with pytest.raises(SetupError, match="mass"):
        Override(pattern="mass", rtol=value)
