from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt.errors import SetupError
from simckpt.recording.cadence import cadence


def test_an_int_counts_steps() -> None:
    rule = cadence(10)
    assert [s for s in range(31) if rule.due(s, 0.0)] == [0, 10, 20, 30]


def test_a_list_names_steps() -> None:
    rule = cadence([3, 1, 4])
    assert [s for s in range(6) if rule.due(s, 0.0)] == [1, 3, 4]


def test_a_float_is_an_interval_of_time_that_roundoff_does_not_miss() -> None:
    rule = cadence(0.5)
    t, due = 0.0, []
    for step in range(21):
        if rule.due(step, t):
            due.append(step)
        t += 0.1
    assert due == [0, 5, 10, 15, 20]


@given(st.floats(0.01, 10.0), st.lists(st.floats(1e-3, 5.0), min_size=1, max_size=60))
def test_no_interval_of_time_is_sampled_twice_or_left_out(
    interval: float, dts: list[float]
) -> None:
    rule = cadence(interval)
    t, crossed = 0.0, [rule.due(0, 0.0)]
    before = 0
    for step, dt in enumerate(dts, start=1):
        t += dt
        now = int((t / interval + 1e-9) // 1)
        assert rule.due(step, t) == (now > before)
        before = max(now, before)
    assert crossed == [True]


@pytest.mark.parametrize("nonsense", [0, -1, 0.0, float("nan"), "10", True, [], [1.5], None])
def test_nonsense_is_refused_with_the_choices(nonsense: object) -> None:
    with pytest.raises(SetupError, match=r"every = .*Choices: a positive int"):
        cadence(nonsense)  # type: ignore[arg-type]
