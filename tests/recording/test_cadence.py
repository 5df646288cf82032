from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import MaxOverhead, SetupError
from simckpt.parallel.comm import SerialComm, Vote
from simckpt.recording.cadence import (
    MEASURED_STEPS,
    OverheadSchedule,
    Schedule,
    cadence,
    cadence_text,
)


class FakeMeter:
    """A run whose clock stands still but for what the test spends."""

    def __init__(self, others: float = 0.0) -> None:
        self.now = 0.0
        self.samples = 0.0
        self.interval = 0
        self.others = others
        self.votes = self
        self.told: list[str] = []

    def spent(self) -> float:
        return self.samples

    def vote(self, value: float) -> Vote:
        return SerialComm().vote(max(value, self.others))

    def record_interval(self, interval: int, facts: dict[str, float]) -> None:
        self.interval = interval

    def warn(self, name: str, text: str) -> None:
        self.told.append(f"{name}: {text}")


def started(every: object) -> Schedule:
    return cadence(every).start(FakeMeter())  # type: ignore[arg-type]


def test_an_int_counts_steps() -> None:
    rule = started(10)
    assert [s for s in range(31) if rule.due(s, 0.0)] == [0, 10, 20, 30]


def test_a_list_names_steps() -> None:
    rule = started([3, 1, 4])
    assert [s for s in range(6) if rule.due(s, 0.0)] == [1, 3, 4]


def test_a_float_is_an_interval_of_time_that_roundoff_does_not_miss() -> None:
    rule = started(0.5)
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
    rule = started(interval)
    t, crossed = 0.0, [rule.due(0, 0.0)]
    before = 0
    for step, dt in enumerate(dts, start=1):
        t += dt
        now = int((t / interval + 1e-9) // 1)
        assert rule.due(step, t) == (now > before)
        before = max(now, before)
    assert crossed == [True]


def settle(share: float, sample: float, step: float, others: float = 0.0) -> tuple[int, list[int]]:
    """The interval that a run settles on whose samples and steps take so long."""
    meter = FakeMeter(others)
    beat = OverheadSchedule(share, meter, clock=lambda: meter.now)
    due = []
    for number in range(200):
        if beat.due(number, 0.0):
            due.append(number)
            # The first sample compiles, and must not count.
            cost = sample if number else 100 * sample
            meter.now += cost
            meter.samples += cost
        meter.now += step
    return meter.interval, due


@pytest.mark.parametrize(
    ("share", "sample", "step", "interval"),
    [(0.01, 1.0, 10.0, 16), (0.01, 0.01, 10.0, 1), (0.25, 1.0, 1.0, 4), (0.01, 1.0, 1.0, 128)],
)
def test_an_overhead_settles_on_the_next_power_of_two(
    share: float, sample: float, step: float, interval: int
) -> None:
    found, due = settle(share, sample, step)
    assert found == interval
    assert due[:MEASURED_STEPS] == list(range(MEASURED_STEPS))
    assert due[MEASURED_STEPS:] == [n for n in range(8, 200) if n % interval == 0]


def test_the_slowest_rank_decides_the_interval_of_all() -> None:
    assert settle(0.01, 1.0, 100.0)[0] == 1
    assert settle(0.01, 1.0, 100.0, others=0.05)[0] == 8


@pytest.mark.parametrize("share", [0, 1, -0.1, 2.0, float("nan"), "1 %"])
def test_a_share_that_is_none_is_refused(share: object) -> None:
    with pytest.raises(SetupError, match=r"MaxOverhead = .*between 0 and 1"):
        MaxOverhead(share)  # type: ignore[arg-type]


@pytest.mark.parametrize("nonsense", [0, -1, 0.0, float("nan"), "10", True, [], [1.5], None])
def test_nonsense_is_refused_with_the_choices(nonsense: object) -> None:
    with pytest.raises(SetupError, match=r"every = .*Choices: a positive int"):
        cadence(nonsense)  # type: ignore[arg-type]


def test_numbers_of_numpy_count_like_pythons() -> None:
    assert cadence(np.int64(4)) == cadence(4)
    assert cadence(np.float32(0.5)) == cadence(0.5)
    assert cadence(np.arange(3)) == cadence([0, 1, 2])
    for wrong in (np.bool_(True), np.int64(0), np.float64("nan"), [np.float64(1.0)]):
        with pytest.raises(SetupError, match="every"):
            cadence(wrong)


def test_the_text_of_a_cadence_is_the_same_in_every_process() -> None:
    rules = [4, 0.5, [30, 1, 7], MaxOverhead(0.01)]
    assert [cadence_text(cadence(rule)) for rule in rules] == [
        "4 steps",
        "a simulated time of 0.5",
        "the steps 1, 7, 30",
        "MaxOverhead(share=0.01)",
    ]


def test_a_time_that_is_missing_is_said_once_with_the_mend() -> None:
    meter = FakeMeter()
    rule = cadence(0.5).start(meter)
    assert rule.due(0, 0.0)
    assert [rule.due(step, math.nan) for step in (1, 2)] == [False, False]
    assert rule.due(3, 0.6)
    (text,) = meter.told
    assert text.startswith("time_missing: every=0.5 is simulated time, and at step 1 there is none")
    assert "time=lambda sim: sim.t" in text


def test_a_time_that_goes_back_is_counted_anew_from_there() -> None:
    meter = FakeMeter()
    rule = cadence(0.5).start(meter)
    times = [0.0, 0.25, 0.5, 0.75, 1.0, 0.0, 0.25, 0.5, 0.75, 0.2, 0.4, 0.6]
    assert [t for step, t in enumerate(times) if rule.due(step, t)] == [
        *(0.0, 0.5, 1.0),
        *(0.0, 0.5),
        *(0.2, 0.6),
    ]
    (text,) = meter.told
    assert text.startswith("time_went_back: at step 5 the simulated time went back to 0.0, from")


def test_a_time_that_runs_backwards_is_sampled_at_its_multiples() -> None:
    rule = started(0.5)
    times = [-0.25 * step for step in range(9)]
    assert [step for step, t in enumerate(times) if rule.due(step, t)] == [0, 1, 3, 5, 7]


def test_an_interval_far_below_the_time_is_no_overflow() -> None:
    assert started(1e-300).due(1, 1e10)


@pytest.mark.parametrize("every", [np.array(5), np.int64(5), np.array([[5]])[0, 0]])
def test_a_whole_number_of_numpys_counts_steps(every: object) -> None:
    assert cadence_text(cadence(every)) == "5 steps"  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [np.float32(0.25), np.array(0.25), Fraction(1, 4)])
def test_a_share_may_be_any_number(share: Any) -> None:
    assert repr(MaxOverhead(share)) == "MaxOverhead(share=0.25)"


@pytest.mark.parametrize("share", [True, "0.1", None, math.nan, 1, np.array([0.1]), 0.1j])
def test_what_is_no_share_is_refused(share: Any) -> None:
    with pytest.raises(SetupError, match=r"simckpt.MaxOverhead\(0.01\) for one per cent"):
        MaxOverhead(share)


@pytest.mark.parametrize(
    "every", [MaxOverhead, None, 2j, np.array("a"), object(), [[1]], 0, math.inf]
)
def test_what_is_no_cadence_is_refused_with_the_choices_and_the_mend(every: Any) -> None:
    with pytest.raises(SetupError, match=r"every = .*a positive int.*simckpt.MaxOverhead\(0.01\)"):
        cadence(every)
