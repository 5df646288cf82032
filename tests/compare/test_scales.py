"""The scale of an integral is what the magnitudes of its contributions add up to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt.compare.scales import Summary, largest_size, measures, scales, unscaled
from simckpt.model.record import canonical_json
from simckpt.model.series import Column

WEIGHTS = (0.5, 2.0, 0.25, 1.25)
values = st.lists(st.floats(-1e6, 1e6), min_size=len(WEIGHTS), max_size=len(WEIGHTS))


def integral(name, of="a", **more):
    return Column(name=name, kind="conserved", of=of, **more)


def ends(field="a"):
    low, high = (f"{field}.{end}" for end in ("min", "max"))
    return (
        Column(name=low, kind="minimum", of=field),
        Column(name=high, kind="maximum", of=field),
    )


def run(columns, **rows):
    return {n: np.array(v) for n, v in rows.items()}, {c.name: c for c in columns}


def named(*parts):
    return dict(parts)


@given(values)
def test_no_field_with_these_extrema_and_this_integral_has_larger_contributions(field):
    total = np.dot(field, WEIGHTS)
    size = largest_size(total, np.min(field), np.max(field), sum(WEIGHTS))
    contributions = np.dot(np.abs(field), WEIGHTS)
    assert size >= contributions * (1 - 1e-9) - 1e-9 * max(map(abs, field))
    if min(field) >= 0 or max(field) <= 0:
        assert size == abs(total)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0.1, 0.9))
def test_a_field_of_two_values_reaches_that_bound(low, high, part):
    total = 4.0 * (part * high - (1 - part) * low)
    size = largest_size(total, np.float64(-low), np.float64(high), 4.0)
    assert size == pytest.approx(4.0 * (part * high + (1 - part) * low))


def test_extrema_whose_squares_overflow_have_a_finite_scale():
    size = largest_size(np.float64(0.0), np.float64(-1e200), np.float64(1e200), 2.0)
    assert size == pytest.approx(2e200)


@pytest.mark.parametrize("field", [[1.0] * 999 + [1e-9], [1e-3] * 999 + [1.0]])
def test_an_outlier_or_a_blob_is_no_part_of_the_scale(field):
    total = sum(field) / 1000
    series, columns = run(
        [integral("M", measure=1.0), *ends()],
        **named(("M", [total]), ("a.min", [min(field)]), ("a.max", [max(field)])),
    )
    assert scales(series, columns)["M"] == total


@pytest.mark.parametrize("told", [True, False])
def test_a_sum_of_plain_values_leaves_the_scale_of_integrals_as_it_is(told):
    volume, count = ({"measure": m} if told else {} for m in (1e-3, 1000.0))
    mass = integral("M", note="exact integral of a, correctly rounded", **volume)
    momentum = integral("P", "p", note="exact integral of p, correctly rounded", **volume)
    number = integral("n", note="exact sum of a, correctly rounded", **count)
    rows = named(
        ("M", [1e-3]), ("P", [1e-18]), ("n", [1000.0]),
        ("a.min", [1.0]), ("a.max", [1.0]), ("p.min", [-2.0]), ("p.max", [2.0]),
    )  # fmt: skip
    alone = scales(*run([mass, momentum, *ends(), *ends("p")], **rows))
    beside = scales(*run([mass, momentum, number, *ends(), *ends("p")], **rows))
    assert {name: beside[name] for name in alone} == alone
    assert alone["P"] == pytest.approx(2e-3)
    assert beside["n"] == 1000.0


def test_what_was_recorded_is_not_guessed_and_what_was_not_is_only_in_old_bundles():
    rows = named(("M", [6.0]), ("p", [3.0]), ("a.min", [1.0]), ("a.max", [2.0]))
    told = run([integral("M", measure=5.0), integral("p", "mass"), *ends()], **rows)
    assert measures(*told) == {"M": 5.0, "p": 0.0}
    old = run([integral("M"), integral("p", "mass"), *ends()], **rows)
    assert measures(*old) == {"M": 4.0, "p": 4.0}
    assert unscaled(*told) == {"p"}


def test_the_extrema_of_refined_levels_count_and_those_of_empty_ones_do_not():
    rows = named(
        ("M", [0.0, 0.0]), ("a.min", [1.0, 1.0]), ("a.max", [2.0, 2.0]),
        ("a@1.min", [-4.0, np.nan]), ("a@1.max", [4.0, np.nan]),
        ("a@2.min", [np.nan] * 2), ("a@2.max", [np.nan] * 2),
    )  # fmt: skip
    levels = (c for field in ("a", "a@1", "a@2") for c in ends(field))
    assert scales(*run([integral("M", measure=3.0), *levels], **rows))["M"] == pytest.approx(12.0)


def test_the_summary_of_a_column_knows_its_finite_extremes():
    found = Summary.of(np.array([np.nan, -3.0, np.inf, 2.0]))
    assert (found.largest, found.least, found.highest, found.finite) == (3.0, -3.0, 2.0, False)
    nothing = Summary.of(np.array([np.nan]))
    assert nothing.largest == 0.0
    assert np.isnan(nothing.least)
    assert np.isnan(nothing.highest)


def test_a_column_without_a_measure_is_written_as_it_always_was():
    assert b"measure" not in canonical_json(integral("M"))
    assert b'"measure":2.5' in canonical_json(integral("M", measure=2.5))
