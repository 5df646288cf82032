from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from simckpt import SetupError
from simckpt.recording.step import Accessor, StepCall


def call(args: tuple, kwargs: dict | None = None, positions: dict | None = None) -> StepCall:
    return StepCall(None, args, args, kwargs or {}, positions or {})  # type: ignore[arg-type]


def test_an_accessor_gets_as_many_arguments_as_it_accepts() -> None:
    assert Accessor("grid", lambda sim: sim)(("sim", 0.1)) == "sim"
    assert Accessor("grid", lambda sim, dt: dt)(("sim", 0.1)) == 0.1
    assert Accessor("grid", lambda *all_: all_)(("sim", 0.1)) == ("sim", 0.1)
    assert Accessor("grid", lambda: "state")(("sim", 0.1)) == "state"
    assert Accessor("grid", lambda sim, scale=2: scale)(("sim",)) == 2


def test_a_plain_value_is_itself() -> None:
    assert Accessor("fields", {"u": 1})(("sim",)) == {"u": 1}


def test_an_accessor_that_needs_more_than_there_is_says_so() -> None:
    with pytest.raises(SetupError, match=r"fields = .*takes 2 arguments.*called with 1"):
        Accessor("fields", lambda sim, dt: None)(("sim",))


def test_a_required_keyword_is_refused_when_declared() -> None:
    with pytest.raises(SetupError, match="keyword-only"):
        Accessor("fields", lambda *, sim: sim)


def test_dt_is_found_among_the_arguments_before_the_state() -> None:
    sim = SimpleNamespace(dt=0.5, t=3)
    assert call((sim, 0.25), positions={"dt": 1}).find(("dt",)) == 0.25
    assert call((sim,), {"dt": 0.25}, {"dt": 1}).find(("dt",)) == 0.25
    assert call((sim,), positions={"dt": 1}).find(("dt",)) == 0.5
    assert call((sim,)).find(("t", "time")) == 3.0


@pytest.mark.parametrize("value", [math.nan, "0.1", None, True])
def test_what_is_not_a_number_is_no_time(value: object) -> None:
    assert math.isnan(call((), {"dt": value}).find(("dt",)))
