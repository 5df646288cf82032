"""Exact sums against `fractions.Fraction`, for any finite float64 values."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simckpt.diagnostics.exact import exact_value, integer, rounded, total, words_of
from simckpt.diagnostics.kernels.sums import LIMBS, deposit, normalise, sum_into

finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)


def kernel_sum(values):
    limbs = np.zeros(LIMBS, np.int64)
    counts = sum_into(limbs, np.asarray(values, np.float64))
    normalise(limbs)
    return exact_value(words_of(limbs, LIMBS)), counts


def reference(values):
    return sum((Fraction(v) for v in np.asarray(values, np.float64).tolist()), Fraction(0))


@settings(deadline=None, max_examples=300)
@given(st.lists(finite, max_size=60))
def test_the_sum_is_the_exact_sum_and_is_rounded_once(values):
    value, _ = kernel_sum(values)
    assert value == reference(values)
    with contextlib.suppress(OverflowError):  # fsum gives up on sums that overflow on the way
        assert rounded(value) == math.fsum(values)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5000),
    st.integers(-1074, 1000),
    st.integers(0, 600),
)
def test_long_arrays_of_any_spread_are_summed_exactly(seed, size, exponent, spread):
    rng = np.random.default_rng(seed)
    exponents = np.clip(exponent + rng.integers(0, spread + 1, size), -1074, 1023)
    values = np.ldexp(rng.uniform(-1, 1, size), exponents)
    value, _ = kernel_sum(values)
    assert value == reference(values)


@settings(deadline=None, max_examples=50)
@given(st.lists(finite, min_size=1, max_size=50), st.randoms(use_true_random=False))
def test_any_order_and_split_gives_the_same_integer(values, random):
    whole, _ = kernel_sum(values)
    shuffled = list(values)
    random.shuffle(shuffled)
    cut = random.randrange(len(values) + 1)
    limbs = []
    for part in (shuffled[:cut], shuffled[cut:]):
        accumulator = np.zeros(LIMBS, np.int64)
        sum_into(accumulator, np.array(part))
        normalise(accumulator)
        limbs.append(words_of(accumulator, LIMBS))
    assert exact_value(limbs[0] + limbs[1]) == whole


@pytest.mark.parametrize(
    "values",
    [
        [1e16, 1.0, -1e16],
        [2.0**1023, 2.0**1023, -(2.0**1023)],
        [5e-324] * 3000,
        [-0.0, -0.0],
        [1.7976931348623157e308] * 2000,
        [2.0**1023, 5e-324, -(2.0**1023)],
        list(np.ldexp(1.0, np.arange(-1074, 1024))),
    ],
    ids=["cancels", "overflows on the way", "subnormals", "zeros", "overflows", "widest", "all"],
)
def test_hard_sums_are_exact(values):
    value, counts = kernel_sum(values)
    assert value == reference(values)
    assert counts.tolist() == [0, 0, 0]


def test_what_is_not_finite_is_counted_and_left_out():
    values = np.arange(5000.0)
    values[[3, 4000]] = np.nan
    values[7] = np.inf
    values[[8, 9, 4999]] = -np.inf
    value, counts = kernel_sum(values)
    assert counts.tolist() == [2, 1, 3]
    assert value == reference(values[np.isfinite(values)])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((0, 0, 0), 1.5), ((0, 2, 0), math.inf), ((0, 0, 1), -math.inf)],
)
def test_infinities_win_over_finite_sums(counts, expected):
    assert total(Fraction(3, 2), *counts) == expected


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 1, 1), (3, 1, 0)])
def test_nan_comes_of_nan_and_of_opposite_infinities(counts):
    assert math.isnan(total(Fraction(1), *counts))


def test_a_sum_of_zeros_is_plus_zero():
    assert math.copysign(1, total(kernel_sum([-0.0, -0.0])[0], 0, 0, 0)) == 1


@given(st.integers(-(2**2000), 2**2000), st.integers(-1100, 20))
def test_rounding_is_to_nearest_with_ties_to_even(numerator, exponent):
    value = Fraction(numerator) * Fraction(2) ** exponent
    number = rounded(value)
    if math.isinf(number):
        assert abs(value) >= 2**1024 - 2**970
        return
    error = abs(Fraction(number) - value)
    for neighbour in (math.nextafter(number, math.inf), math.nextafter(number, -math.inf)):
        if math.isfinite(neighbour):
            other = abs(Fraction(neighbour) - value)
            assert error < other or (error == other and _even(number))


def _even(number):
    return int(np.float64(number).view(np.uint64)) % 2 == 0


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 2097)), min_size=1, max_size=30)
)
def test_deposits_add_up_at_any_offset(deposits):
    limbs = np.zeros(LIMBS, np.int64)
    expected = 0
    for value, offset in deposits:
        deposit(limbs, np.int64(value), np.int64(offset))
        expected += value << offset
    normalise(limbs)
    assert integer(words_of(limbs, LIMBS)) == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_a_million_ranks_of_2_to_40_cells_of_the_largest_float_do_not_overflow(sign):
    # 2**20 ranks whose words are all alike: the word-wise sum is the word times 2**20.
    each = sign * int(Fraction(1.7976931348623157e308) * 2**1074) * 2**20
    limbs = np.zeros(LIMBS, np.int64)
    for i in range(LIMBS - 1):
        limbs[i] = (each >> (32 * i)) & 0xFFFFFFFF
    limbs[-1] = each >> (32 * (LIMBS - 1))
    words = words_of(limbs, LIMBS)
    assert int(words.max()) * 2**20 < 2**64
    assert integer(words * np.uint64(2**20)) == each * 2**20


def test_a_limb_has_room_for_the_deposits_between_two_carries():
    # Each deposit adds less than 2**33 to a limb; 2**16 chunks of 2048 values come between.
    assert 2**33 * (2**16 * 2048) < 2**63


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(finite, st.integers(1, 2**40), st.integers(1, 2**20)), min_size=1, max_size=8
    )
)
def test_any_cells_of_up_to_2_to_40_a_rank_on_up_to_2_to_20_ranks_add_up_exactly(groups):
    # Cells of one value are one integer, and ranks that hold the same are one word times as many.
    words = np.zeros(LIMBS, np.uint64)
    expected, ranks = Fraction(0), 0
    for value, cells, alike in groups:
        alike = min(alike, 2**20 - ranks)
        ranks += alike
        each = int(Fraction(value) * 2**1074) * cells
        limbs = np.array([(each >> (32 * i)) & 0xFFFFFFFF for i in range(LIMBS)], np.int64)
        share = words_of(limbs, LIMBS)
        assert int(share.max(initial=0)) * 2**20 < 2**64
        words += share * np.uint64(alike)
        expected += Fraction(value) * cells * alike
    assert exact_value(words) == expected
    assert rounded(exact_value(words)) == rounded(expected)


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from([5e-324, 2.0**-1022, 1.0, 2.0**1023, 1.7976931348623157e308]),
    st.integers(1, 2**40),
    st.integers(1, 2**40),
)
def test_what_overflows_on_the_way_and_cancels_leaves_nothing_behind(value, cells, others):
    limbs = np.zeros(LIMBS, np.int64)
    for sign, count in ((1, cells), (-1, cells), (1, others), (-1, others - 1)):
        units = sign * int(Fraction(value) * 2**1074) * count
        # Deposits of at most 62 bits, as the kernels make them.
        size, place = abs(units), 0
        while size >> place:
            piece = (size >> place) & (2**60 - 1)
            deposit(limbs, np.int64(sign * piece), np.int64(place))
            place += 60
    normalise(limbs)
    assert exact_value(words_of(limbs, LIMBS)) == Fraction(value)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5000), st.sampled_from([-1, 1]))
def test_values_just_past_what_two_folds_hold_are_not_taken_for_what_they_hold(seed, size, sign):
    # A sum of the first fold that has changed its sign or its exponent shows a value too large.
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, 2048 + size)
    values[rng.integers(2048, values.size)] = sign * np.ldexp(
        rng.uniform(0.5, 4), rng.integers(-2, 60)
    )
    value, _ = kernel_sum(values)
    assert value == reference(values)
