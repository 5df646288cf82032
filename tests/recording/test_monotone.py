"""Integrals that may change in one direction alone are watched in the run and judged after it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simckpt
from simckpt.compare.health import ALLOWED, health, reversals
from simckpt.diagnostics.reduced_sample import ReducedSample
from simckpt.model.series import Column, FieldTiles, SeriesSchema
from simckpt.recording.anomaly import Anomaly, AnomalyRule, Monotone
from simckpt.report.two_runs import health_rows

EPS = 2.0**-52
COLUMNS = (
    Column(name="down", kind="conserved", of="q*q", monotone="decreasing"),
    Column(name="up", kind="conserved", of="-q*q", monotone="increasing"),
)
TILES = FieldTiles(field="q", dtype="float64", global_shape=(4,), edges=((0, 4),))
SCHEMA = SeriesSchema(columns=COLUMNS, tiles=(TILES,))


def reading(step: int, down: float, up: float = 0.0) -> ReducedSample:
    return ReducedSample(
        step=step, last_step=step, t=float(step), dt=1.0, ranks=1, values=np.array([down, up]),
        digests=np.zeros(1, np.uint64), tiles={}, faults=0, failed={}, origins={}, problems=(),
        schema=SCHEMA,
    )  # fmt: skip


class Rows(dict):
    @property
    def step(self) -> np.ndarray:
        return np.arange(len(self["down"]))


def judged(down: list[float], up: list[float] | None = None):
    rows = Rows(down=np.array(down), up=np.array(up or [0.0] * len(down)))
    return reversals(rows, {c.name: c for c in COLUMNS}, EPS)


def test_rounding_is_no_reversal_and_more_than_that_is_one() -> None:
    for excess, found in ((0.5, False), (2.0, True)):
        rise = 1.0 + excess * ALLOWED * EPS
        assert bool(judged([1.0, rise])) is found
        watch = Monotone(SCHEMA)
        assert not watch.look(reading(0, 1.0))
        assert bool(watch.look(reading(1, rise))) is found


def test_a_slow_rise_is_measured_from_the_lowest_value_and_not_from_the_last_one() -> None:
    slow = [1.0 + 0.1 * ALLOWED * EPS * i for i in range(40)]
    (found,) = judged(slow)
    assert (found.from_step, found.step, found.first_step) == (0, 39, 11)
    assert found.relative == pytest.approx(3.9 * ALLOWED * EPS, rel=0.01)


def test_the_largest_reversal_is_told_with_what_had_been_reached() -> None:
    (one, other) = judged([4.0, 2.0, 3.0, 1.0, 1.5], [-4.0, -2.0, -2.5, np.nan, -1.0])
    assert (one.name, one.reached, one.value, one.step) == ("down", 2.0, 3.0, 2)
    assert one.relative == 0.25
    assert one.samples == 2
    assert (other.name, other.step, other.samples) == ("up", 2, 1)


def test_an_entropy_near_zero_has_the_scale_of_what_it_sums() -> None:
    columns = (
        Column(name="s", kind="conserved", of="rho*log(p/rho**1.4)", monotone="increasing"),
        Column(name="mass", kind="conserved", of="rho"),
        *(Column(name=f"rho.{end}", kind=f"{end}imum", of="rho") for end in ("min", "max")),
    )
    rows = {
        "s": np.array([1e-17, 0.0, 50 * EPS, -50 * EPS]),
        "mass": np.full(4, 2.0),
        "rho.min": np.full(4, 0.5),
        "rho.max": np.full(4, 1.5),
    }

    class Series(dict):
        step = np.arange(4)

    assert not reversals(Series(rows), {c.name: c for c in columns}, EPS)
    rows["s"][3] = -1e-9
    assert len(reversals(Series(rows), {c.name: c for c in columns}, EPS)) == 1


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_the_run_and_its_record_agree_on_the_first_violation(values: list[float]) -> None:
    watch = Monotone(SCHEMA)
    live = [r for i, v in enumerate(values) for r in watch.look(reading(i, v, v))]
    after = judged(values, values)
    assert {(r.name, r.step) for r in live} == {(r.name, r.first_step) for r in after}


def test_it_is_an_anomaly_from_the_second_sample_on() -> None:
    rule = AnomalyRule(Anomaly(), SCHEMA)
    assert rule.look(reading(0, 1.0)) is None
    found = rule.look(reading(1, 1.5))
    assert found is not None
    assert "down, declared as decreasing, rose from 1 at step 0 to 1.5 at step 1" in found.reason
    assert rule.look(reading(2, 1.6)) is None


def conduct(path: Path, dtype: str, source: int) -> None:
    """Heat conduction far past its steady state; at step `source` heat goes up the gradient."""
    heat = np.random.default_rng(3).random(32).astype(dtype)
    with simckpt.run(path, triggers=False) as run:
        for step in range(1500):
            flux = -np.diff(heat, prepend=heat[:1], append=heat[-1:])
            heat = heat - heat.dtype.type(-0.4 if step == source else 0.4) * np.diff(flux)
            if step % 4 == 0 or step == source:
                run.sample(
                    grid=simckpt.Grid(32),
                    fields={"T": heat},
                    conserved={"entropy": simckpt.Conserved("T*T", monotone="decreasing")},
                    step=step,
                )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_healthy_run_past_its_steady_state_has_no_violation(tmp_path, dtype: str) -> None:
    conduct(tmp_path / "x", dtype, -1)
    with simckpt.open(tmp_path / "x") as bundle:
        assert not [e for e in bundle.events if e.name == "monotone_violated"]
        assert not health(bundle).reversals


def test_a_violation_is_an_event_and_stands_in_the_health_of_the_run(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conduct(tmp_path / "x", "float64", 21)
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = (e for e in bundle.events if e.name == "monotone_violated")
        assert (event.step, event.severity, event.facts["quantity"]) == (21, "warning", "entropy")
        judged = health(bundle)
        (found,) = judged.reversals
        assert (found.step, found.from_step) == (21, 20)
        assert found.value - found.reached == event.facts["value"] - event.facts["reached"] > 0
        assert not judged.sound
        assert "declared as decreasing" in health_rows(judged)["entropy, wrong way"]
