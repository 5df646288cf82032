"""Budgets close to the last bit: the reference twin is plain Python with fractions."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simckpt import Budget, Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.exact import ExactSum, exact_term
from simckpt.diagnostics.state import Reported, State

DECLARATIONS = Declarations(budget={"mass": "rho"})
COLUMNS = ("mass", "mass.input", "mass.residual", "mass.imbalance")

finite = st.floats(allow_nan=False, allow_infinity=False, width=64).filter(lambda x: abs(x) < 1e300)


def accounted(states, amounts):
    """The states, with what each rank has accounted."""
    return [
        replace(state, reported=Reported(amounts={"mass": _total(given)} if given else {}))
        for state, given in zip(states, amounts, strict=True)
    ]


def _total(given):
    whole = ExactSum(Fraction(0))
    for amount in given:
        whole = whole + exact_term(amount)
    return whole


def books(ranks, fields, amounts, parts):
    """The budget's columns, sample after sample."""
    agreed = None
    rows = []
    for field, told in zip(fields, amounts, strict=True):
        states = accounted(ranks.decomposed({"rho": field}, parts, spacing=0.5), told)
        agreed = agreed or ranks.agree(DECLARATIONS, states)
        reading = agreed.sample(states)
        assert not reading.problems
        rows.append([reading[name] for name in COLUMNS])
    return rows


@settings(deadline=None, max_examples=20)
@given(
    fields=st.lists(st.lists(finite, min_size=6, max_size=6), min_size=2, max_size=4),
    data=st.data(),
)
def test_residual_and_imbalance_are_those_of_exact_arithmetic(ranks, fields, data):
    fields = [np.array(f) for f in fields]
    given = [data.draw(st.lists(finite, max_size=4)) for _ in fields]
    first = last = None
    whole = Fraction(0)
    expected = []
    for field, amounts in zip(fields, given, strict=True):
        now = ranks.exact_sum(field) / 2
        new = sum(map(Fraction, amounts), Fraction(0))
        if first is None:
            first, row = now, [0.0, 0.0]
        else:
            whole += new
            row = [float(now - last - new), float(now - first - whole)]
        last = now
        expected.append([float(now), float(new), *row])
    for parts in ((1,), (2,), (3,)):
        # However the amounts are shared out among the ranks.
        shared = [[amounts[r :: parts[0]] for r in range(parts[0])] for amounts in given]
        assert books(ranks, fields, shared, parts) == expected


def test_a_budget_closes_to_the_last_bit_where_every_amount_is_reported(ranks):
    rng = np.random.default_rng(2)
    field = rng.normal(size=40)
    fields, amounts = [field.copy()], [[[], []]]
    for _ in range(5):
        before = field.copy()
        field = field + rng.normal(size=40) * 1e-3
        # The cells' own exact changes, as a scheme would report them without rounding.
        new = [
            [t for c in half for t in (0.5 * field[c], -0.5 * before[c])]
            for half in np.split(np.arange(40), 2)
        ]
        fields.append(field.copy())
        amounts.append(new)
    rows = books(ranks, fields, amounts, (2,))
    assert [row[2:] for row in rows] == [[0.0, 0.0]] * 6
    assert rows[1][1] != 0.0


def test_input_that_comes_with_an_unsound_sample_is_not_lost(ranks):
    field = np.ones(8)
    states = ranks.decomposed({"rho": field}, (2,))
    agreed = ranks.agree(DECLARATIONS, states)
    agreed.sample(states)
    broken = [states[0], replace(states[1], fields={})]
    reading = agreed.sample(accounted(broken, [[3.0], [4.0]]))
    assert reading.failed
    assert math.isnan(reading["mass"])
    field += 1.0
    states = ranks.decomposed({"rho": field}, (2,))
    reading = agreed.sample(accounted(states, [[], [1.0]]))
    assert [reading[name] for name in COLUMNS] == [16.0, 8.0, 0.0, 0.0]


def test_infinite_input_makes_the_residual_nan_and_no_more(ranks):
    states = ranks.decomposed({"rho": np.ones(4)}, (1,))
    agreed = ranks.agree(DECLARATIONS, states)
    agreed.sample(states)
    reading = agreed.sample(accounted(states, [[math.inf]]))
    assert reading["mass"] == 4.0
    assert reading["mass.input"] == math.inf
    assert math.isnan(reading["mass.residual"])
    reading = agreed.sample(accounted(states, [[0.0]]))
    assert reading["mass.residual"] == 0.0
    assert math.isnan(reading["mass.imbalance"])


def test_a_wrong_budget_is_refused_when_it_is_declared():
    with pytest.raises(SetupError, match=r"budget\['mass'\]"):
        Declarations(budget={"mass": "rho +"})
    with pytest.raises(SetupError, match="declared twice"):
        Declarations(conserved={"mass": "rho"}, budget={"mass": "rho"})
    with pytest.raises(SetupError, match="not a mapping"):
        Declarations(budget=["mass"])
    assert Declarations(budget={"m": Budget("rho")}) == Declarations(budget={"m": "rho"})


def test_an_unknown_field_is_refused_at_the_first_sample(ranks):
    with pytest.raises(SetupError, match=r"budget\['mass'\]"):
        ranks.agree(DECLARATIONS, [State(Grid(4), {"u": np.ones(4)})])


def test_an_integral_that_is_not_finite_for_a_while_leaves_the_budget_whole(ranks):
    rho = np.ones(4)
    state = State(Grid(4), {"rho": rho})
    group = ranks.agree(Declarations(budget={"mass": "rho"}), [state])
    amount = replace(state, reported=Reported(amounts={"mass": exact_term(0.5)}))
    rho[1] = np.nan
    assert math.isnan(group.sample([state])["mass"])
    rho[1] = 1.0
    group.sample([state])
    rho[1] = np.inf
    assert math.isnan(group.sample([amount])["mass.residual"])
    rho[1] = 2.0
    reading = group.sample([amount])
    assert (reading["mass.input"], reading["mass.residual"], reading["mass.imbalance"]) == (1, 0, 0)
