"""Integers past 2**53 are added up exactly, though a float64 does not hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simckpt import Conserved, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.exact import half_words
from simckpt.diagnostics.state import State

COUNT = Declarations(conserved={"count": Conserved("n", weight="one"), "total": "n"})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40),
    st.sampled_from(["<i8", ">i8"]),
)
def test_signed_sums_are_rounded_once(ranks, values, kind):
    array = np.array(values, np.int64).astype(kind)
    reading = ranks.sample(COUNT, [State(Grid(len(values), spacing=0.25), {"n": array})])
    assert reading["count"] == float(sum(values))
    assert reading["total"] == float(sum(values)) / 4


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40), st.sampled_from(["<u8", ">u8"])
)
def test_unsigned_sums_are_rounded_once(ranks, values, kind):
    array = np.array(values, np.uint64).astype(kind)
    reading = ranks.sample(COUNT, [State(Grid(len(values)), {"n": array})])
    assert reading["count"] == float(sum(values))


def test_widths_that_differ_multiply_each_half_exactly(ranks):
    n = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 50)
    widths = np.linspace(0.1, 1, 50)
    reading = ranks.sample(COUNT, [State(Grid(50, [widths]), {"n": n})])
    exact = sum(
        int(a) * ranks.exact_sum([w]) for a, w in zip(n.tolist(), widths.tolist(), strict=True)
    )
    assert reading["total"] == float(exact)


def test_a_difference_of_one_in_a_large_sum_is_seen(ranks):
    n = np.array([2**62, -(2**62), 2**53, 1, -(2**53)])
    assert ranks.sample(COUNT, [State(Grid(5), {"n": n})])["count"] == 1.0


@pytest.mark.parametrize("parts", [(1, 1), (3, 2), (5, 4)])
def test_any_decomposition_gives_the_same_bits(ranks, parts):
    n = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, (20, 33))
    reading = ranks.sample(COUNT, ranks.decomposed({"n": n}, parts, ghost=1))
    assert reading["count"] == float(sum(n.ravel().tolist()))


def test_the_halves_are_views_of_any_layout():
    n = np.arange(-6, 6, dtype=">i8").reshape(3, 4)[:, ::2]
    high, low = half_words(n, "high"), half_words(n, "low")
    assert np.shares_memory(high, n)
    assert (high.astype(object) * 2**32 + low == n).all()
