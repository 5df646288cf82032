"""Quantities that look back: growth rates and the cumulative divergence."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import Divergence, Grid, Growth, Norm, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.quantities.stability import slope
from simckpt.diagnostics.state import State

DECLARATIONS = Declarations(
    stability={"rate": Growth("size", window=4)}, norms={"size": Norm("u", "Linf")}
)


def history(ranks, values, times, parts=(1,)):
    agreed = None
    rates = []
    for value, t in zip(values, times, strict=True):
        states = ranks.decomposed({"u": np.array([0.0, value])}, parts, t=t)
        agreed = agreed or ranks.agree(DECLARATIONS, states)
        rates.append(agreed.sample(states)["rate"])
    return rates


def test_the_rate_of_an_exponential_is_its_exponent_once_the_window_is_full(ranks):
    times = [0.0, 0.3, 0.5, 1.1, 1.2, 2.0]
    values = [-1e-9 * math.exp(2.5 * t) for t in times]
    for parts in ((1,), (2,)):
        rates = history(ranks, values, times, parts)
        assert all(map(math.isnan, rates[:3]))
        assert rates[3:] == pytest.approx([2.5] * 3, rel=1e-9)


def test_a_value_without_a_logarithm_is_nan_until_it_has_left_the_window(ranks):
    rates = history(ranks, [1.0, 0.0, 1.0, 1.0, 1.0, 2.0], [float(i) for i in range(6)])
    assert [math.isnan(rate) for rate in rates] == [True] * 5 + [False]
    rates = history(ranks, [1.0] * 4, [math.nan] * 4)
    assert math.isnan(rates[-1])


def test_a_sample_that_failed_is_not_in_the_window(ranks):
    states = [State(Grid(1), {"u": np.ones(1)}, t=0.0)]
    agreed = ranks.agree(DECLARATIONS, states)
    for t in range(5):
        state = replace(states[0], t=float(t), fields={} if t == 2 else {"u": np.full(1, 2.0**t)})
        reading = agreed.sample([state])
    assert reading["rate"] == pytest.approx(math.log(2.0))


@given(
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.lists(st.integers(-50, 50), min_size=2, max_size=9, unique=True),
)
def test_the_slope_of_a_line_is_its_slope(a, b, xs):
    assert slope(tuple((float(x), a * x + b) for x in xs)) == pytest.approx(a, abs=1e-9)


def test_a_column_that_is_not_there_is_refused_at_the_first_sample(ranks):
    states = ranks.decomposed({"u": np.ones(4)}, (2,))
    declarations = Declarations(stability={"rate": Growth("sise")})
    with pytest.raises(SetupError, match=r"stability\['rate'\].*sise.*u\.max"):
        ranks.agree(declarations, states)
    declarations = Declarations(stability={"a": Growth("b"), "b": Growth("u.max")})
    with pytest.raises(SetupError, match="is not a column"):
        ranks.agree(declarations, states)
    with pytest.raises(SetupError, match=r"Growth\.window"):
        Growth("u.max", window=1)


def test_the_columns_of_fields_can_be_watched(ranks):
    declarations = Declarations(stability={"rate": Growth("u.max", window=2)})
    agreed = None
    for t in (0.0, 2.0):
        states = ranks.decomposed({"u": np.full(4, math.exp(t))}, (2,), t=t)
        agreed = agreed or ranks.agree(declarations, states)
        reading = agreed.sample(states)
    assert reading["rate"] == pytest.approx(1.0)


def test_the_cumulative_divergence_is_the_exact_sum_of_dt_times_its_mean(ranks):
    declarations = Declarations(stability={"div": Divergence("u")})
    rng = np.random.default_rng(3)
    agreed, total = None, Fraction(0)
    for step in range(5):
        wide = rng.normal(size=14)
        dt = math.nan if step == 0 else 0.1 * step
        states = [
            State(Grid(12, 0.5, start, ghost=1), {"u": wide[start : start + 8]}, step=step, dt=dt)
            for start in (0, 6)
        ]
        agreed = agreed or ranks.agree(declarations, states)
        reading = agreed.sample(states)
        if step:
            total += Fraction(dt * reading["div.mean"])
        assert reading["div.cumulative"] == float(total)
