"""How bounds are written, and what each measure measures."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simckpt
from simckpt import SetupError
from simckpt.model.series import Column, SeriesSchema
from simckpt.recording.bounds import BoundRule

SCHEMA = SeriesSchema(
    columns=(
        Column(name="mass", kind="conserved", of="rho"),
        Column(name="momentum", kind="conserved", of="m"),
        Column(name="rho.min", kind="minimum"),
        Column(name="rho.max", kind="maximum"),
        Column(name="m.min", kind="minimum"),
        Column(name="m.max", kind="maximum"),
    )
)
NAMES = [column.name for column in SCHEMA.columns]


class Row(SimpleNamespace):
    def __getitem__(self, name: str) -> float:
        return float(self.values[NAMES.index(name)])


def row(t: float = 0.0, **named: float) -> Any:
    values = {"mass": 2.0, "momentum": 0.0, "rho.min": 1.0, "rho.max": 1.0, "m.min": -3, "m.max": 3}
    values |= {name.replace("_", "."): v for name, v in named.items()}
    return Row(t=t, values=np.array([values[n] for n in NAMES], float))


def broken(text: str, *rows: Any, first: dict[str, float] | None = None) -> list[bool]:
    rule = BoundRule(simckpt.Bound.parse(text), SCHEMA, first or {})
    return [rule.check(r) is not None for r in rows]


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("drift(mass) > 1e-12", simckpt.Bound("mass", ">", 1e-12, "drift")),
        ("courant>1", simckpt.Bound("courant", ">", 1.0)),
        (" rho.min <= -.5 ", simckpt.Bound("rho.min", "<=", -0.5)),
        ("growth(E) >= 2.", simckpt.Bound("E", ">=", 2.0, "growth")),
        ("change( p ) < +3E2", simckpt.Bound("p", "<", 300.0, "change")),
        ("drift('mass') > 1", simckpt.Bound("mass", ">", 1.0, "drift")),
    ],
)
def test_a_bound_is_read_as_it_is_written(text: str, bound: simckpt.Bound) -> None:
    assert simckpt.Bound.parse(text) == bound
    assert simckpt.Bound.parse(str(bound)) == bound


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a bound"),
        ("mass", "is not a bound"),
        ("mass >", "at its end"),
        ("> 1", "at character 1"),
        ("1 > mass", "'1' is not a name"),
        ("mass > nan", "is not a bound"),
        ("mass > 1e999", "too large"),
        ("mass == 1", "is not a bound"),
        ("mass > 1 or True", "is not a name"),
        ("mass > 1 or p > 1", "is not a bound"),
        ("0 < mass < 1", "mass < 1"),
        ("mass.drift() > 1", "is not a name"),
        ("__import__('os') > 1", "calls '__import__'"),
        ("leak(mass) > 1", "Choices: drift, change, growth"),
        ("drfit(mass) > 1", "Did you mean drift?"),
        ("drift(mass, p) > 1", "gives drift 2 arguments, not 1"),
        ("2*mass > 1", "'2*mass' is not a name"),
        ("a b c > 1", "at character 3, 'b c > 1'"),
    ],
)
def test_what_is_no_bound_is_refused_and_says_why(text: str, message: str) -> None:
    with pytest.raises(SetupError) as refused:
        simckpt.Bound.parse(text, "triggers[0]")
    assert message in str(refused.value)
    assert refused.value.argument == "triggers[0]"


@pytest.mark.parametrize("measure", ["drift", "change", "growth"])
def test_a_measure_after_the_quantity_is_refused_with_the_way_to_write_it(measure: str) -> None:
    with pytest.raises(SetupError, match=f"the measure '{measure}' after the quantity") as refused:
        simckpt.Bound.parse(f"rho.min {measure} > 1e-12")
    assert refused.value.mend == f"Write {measure}(rho.min) > 1e-12."


@given(st.text(max_size=40))
def test_any_text_is_a_bound_or_a_setup_error(text: str) -> None:
    try:
        bound = simckpt.Bound.parse(text)
    except SetupError:
        return
    assert math.isfinite(bound.limit)


@pytest.mark.parametrize(
    "arguments", [("mass", "==", 1.0), ("mass", ">", math.inf), ("mass", ">", True)]
)
def test_nonsense_is_refused_when_it_is_built(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(SetupError, match=r"^Bound\."):
        simckpt.Bound(*arguments)


def test_a_value_is_compared_as_it_is_and_nan_breaks_nothing() -> None:
    rows = [row(mass=x) for x in (1.0, 2.5, math.nan, math.inf)]
    assert broken("mass > 2", *rows) == [False, True, False, True]


def test_drift_is_relative_to_the_scale_and_change_is_not() -> None:
    rows = [row(mass=x) for x in (2.0, 2.01, 1.9)]
    assert broken("drift(mass) > 0.02", *rows) == [False, False, True]
    assert broken("change(mass) > 0.02", *rows) == [False, False, True]
    assert broken("change(mass) > 0.005", *rows) == [False, True, True]


def test_a_momentum_of_zero_drifts_relative_to_its_field() -> None:
    # Volume 2 (mass over density) times the largest momentum density, 3.
    rows = [row(momentum=0.0), row(momentum=6e-10)]
    assert broken("drift(momentum) > 0.9e-10", *rows) == [False, True]
    assert broken("drift(momentum) > 1.1e-10", *rows) == [False, False]


def test_the_runs_first_value_counts_and_not_that_of_the_job() -> None:
    assert broken("drift(mass) > 0.1", row(mass=2.4), first={"mass": 2.0}) == [True]
    assert broken("drift(mass) > 0.1", row(mass=2.4)) == [False]


def test_growth_is_the_rate_of_the_logarithm_and_needs_time() -> None:
    rows = [row(t=0.0, m_max=1.0), row(t=0.5, m_max=math.e), row(t=0.5, m_max=9.0)]
    assert broken("growth(m.max) > 1.99", *rows) == [False, True, False]
    assert broken("growth(m.max) > 2.01", *rows) == [False, False, False]


def test_a_bound_takes_any_number_and_any_spelling_of_a_name() -> None:
    assert simckpt.Bound("mass", ">", np.float32(0.5)) == simckpt.Bound("mass", ">", 0.5)
    micro, mu = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"
    assert simckpt.Bound(f"{micro}.max", ">", 1).quantity == f"{mu}.max"
    with pytest.raises(SetupError, match="not a finite number"):
        simckpt.Bound("mass", ">", 10**400)
