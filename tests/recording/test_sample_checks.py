"""Checks of each sample: values that are not finite, and integrals that go the wrong way."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simckpt
from simckpt import Anomaly
from simckpt.compare.health import ALLOWED, health, reversals
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.reduced_sample import ReducedSample
from simckpt.diagnostics.state import State
from simckpt.model.series import Column, FieldTiles, SeriesSchema
from simckpt.recording.anomaly import AnomalyRule
from simckpt.recording.sample_checks import MonotoneCheck, NonFiniteCheck
from simckpt.report.two_runs import health_rows

EPS = 2.0**-52
COLUMNS = (
    Column(name="down", kind="conserved", of="q*q", monotone="decreasing"),
    Column(name="up", kind="conserved", of="-q*q", monotone="increasing"),
)
TILES = FieldTiles(field="q", dtype="float64", global_shape=(4,), edges=((0, 4),))
SCHEMA = SeriesSchema(columns=COLUMNS, tiles=(TILES,))


def sampler_of(state: State) -> RankSampler:
    sampler = RankSampler(Declarations())
    sampler.agree([sampler.local_spec(state)])
    return sampler


def first_events(state: State) -> list:
    sampler = sampler_of(state)
    return list(NonFiniteCheck().events(sampler.finish(*sampler.measure(state)), 0.0))


def test_the_event_names_cell_tile_and_the_last_finite_extrema() -> None:
    field = np.linspace(1.0, 2.0, 16 * 512).reshape(16, 512)
    state = State(simckpt.Grid((16, 512)), {"rho": field}, step=6)
    sampler, check = sampler_of(state), NonFiniteCheck()

    def events(step: int) -> list:
        sample = sampler.finish(*sampler.measure(replace(state, step=step)))
        return list(check.events(sample, 0.0))

    assert events(6) == []
    field[9, 300] = np.nan
    field[11, 2] = np.inf
    (event,) = events(7)
    assert (event.step, event.severity) == (7, "error")
    assert event.facts["index"] == [9, 300]
    assert event.facts["last_finite"] == {"step": 6, "min": 1.0, "max": 2.0}
    assert (event.facts["nan"], event.facts["posinf"], event.facts["neginf"]) == (1, 1, 0)
    (tiles,) = sampler.schema.tiles
    number = int(np.ravel_multi_index(event.facts["tile"], tiles.shape))
    inside = [
        low <= i < high for (low, high), i in zip(tiles.bounds(number), (9, 300), strict=True)
    ]
    assert inside == [True, True]
    assert "1 NaN, 1 +Inf; the first cell is (9, 300), in tile (" in event.text
    assert "1 ... 2 at step 6" in event.text
    assert events(8) == [], "recorded once"


def test_a_first_sample_that_is_not_finite_has_no_extrema_before() -> None:
    (event,) = first_events(State(simckpt.Grid(3), {"rho": np.array([1.0, np.nan, 2.0])}))
    assert event.facts["index"] == [1]
    assert "last_finite" not in event.facts


def test_a_sample_that_failed_on_a_rank_still_says_where() -> None:
    states = [State(simckpt.Grid(4, start=s), {"rho": np.array([1.0, np.nan])}) for s in (0, 2)]
    samplers = [RankSampler(Declarations(), rank) for rank in range(2)]
    specs = [p.local_spec(s) for p, s in zip(samplers, states, strict=True)]
    for sampler in samplers:
        sampler.agree(specs)
    sample = samplers[0].finish(*samplers[0].measure(states[0]))
    assert sample.faults
    (event,) = NonFiniteCheck().events(sample, 0.0)
    assert event.facts["index"] == [1]
    assert "nan" not in event.facts


def test_a_particle_is_named_by_its_id() -> None:
    velocity = np.full((5, 1), 1.0)
    velocity[1] = np.nan
    (event,) = first_events(
        State(particles=simckpt.Particles(np.array([4, 2, 0, 1, 3]), velocity=velocity))
    )
    assert event.text.endswith("1 NaN; the first is the particle with the id 2")


def sample(step: int, down: float, up: float = 0.0) -> ReducedSample:
    return ReducedSample(
        step=step, last_step=step, t=float(step), dt=1.0, ranks=1, values=np.array([down, up]),
        digests=np.zeros(1, np.uint64), tiles={}, faults=0, failed={}, origins={}, problems=(),
        schema=SCHEMA,
    )  # fmt: skip


class Rows(dict):
    @property
    def step(self) -> np.ndarray:
        return np.arange(len(next(iter(self.values()))))


def recorded_reversals(down: list[float], up: list[float] | None = None):
    rows = Rows(down=np.array(down), up=np.array(up or [0.0] * len(down)))
    return reversals(rows, {c.name: c for c in COLUMNS}, EPS)


@pytest.mark.parametrize(("excess", "reversed_"), [(0.5, False), (2.0, True)])
def test_rounding_is_no_reversal_and_more_than_that_is_one(excess: float, reversed_: bool) -> None:
    rise = 1.0 + excess * ALLOWED * EPS
    assert bool(recorded_reversals([1.0, rise])) is reversed_
    check = MonotoneCheck(SCHEMA)
    assert not check.check(sample(0, 1.0))
    assert bool(check.check(sample(1, rise))) is reversed_


def test_a_slow_rise_is_measured_from_the_lowest_value_and_not_from_the_last_one() -> None:
    (slow,) = recorded_reversals([1.0 + 0.1 * ALLOWED * EPS * i for i in range(40)])
    assert (slow.from_step, slow.step, slow.first_step) == (0, 39, 11)
    assert slow.relative == pytest.approx(3.9 * ALLOWED * EPS, rel=0.01)


def test_the_largest_reversal_is_recorded_with_what_had_been_reached() -> None:
    one, other = recorded_reversals([4.0, 2.0, 3.0, 1.0, 1.5], [-4.0, -2.0, -2.5, np.nan, -1.0])
    assert (one.name, one.reached, one.value, one.step) == ("down", 2.0, 3.0, 2)
    assert (one.relative, one.samples) == (0.25, 2)
    assert (other.name, other.step, other.samples) == ("up", 2, 1)


def test_an_entropy_near_zero_has_the_scale_of_what_it_sums() -> None:
    columns = (
        Column(name="s", kind="conserved", of="rho*log(p/rho**1.4)", monotone="increasing"),
        Column(name="mass", kind="conserved", of="rho"),
        *(Column(name=f"rho.{end}", kind=f"{end}imum", of="rho") for end in ("min", "max")),
    )
    rows = Rows({
        "s": np.array([1e-17, 0.0, 50 * EPS, -50 * EPS]),
        "mass": np.full(4, 2.0),
        "rho.min": np.full(4, 0.5),
        "rho.max": np.full(4, 1.5),
    })  # fmt: skip
    assert not reversals(rows, {c.name: c for c in columns}, EPS)
    rows["s"][3] = -1e-9
    assert len(reversals(rows, {c.name: c for c in columns}, EPS)) == 1


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_the_run_and_its_record_agree_on_the_first_violation(values: list[float]) -> None:
    check = MonotoneCheck(SCHEMA)
    live = [r for i, v in enumerate(values) for r in check.check(sample(i, v, v))]
    after = recorded_reversals(values, values)
    assert {(r.name, r.step) for r in live} == {(r.name, r.first_step) for r in after}


def test_a_reversal_is_an_anomaly_from_the_second_sample_on() -> None:
    rule = AnomalyRule(Anomaly(), SCHEMA)
    assert rule.check(sample(0, 1.0)) is None
    outcome = rule.check(sample(1, 1.5))
    assert outcome is not None
    assert "down, declared as decreasing, rose from 1 at step 0 to 1.5 at step 1" in outcome[0]
    assert rule.check(sample(2, 1.6)) is None


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


def test_a_violation_is_an_event_and_in_the_health_of_the_run(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conduct(tmp_path / "x", "float64", 21)
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = (e for e in bundle.events if e.name == "monotone_violated")
        assert (event.step, event.severity, event.facts["quantity"]) == (21, "warning", "entropy")
        result = health(bundle)
        (reversal,) = result.reversals
        assert (reversal.step, reversal.from_step) == (21, 20)
        assert reversal.value - reversal.reached == event.facts["value"] - event.facts["reached"]
        assert event.facts["value"] > event.facts["reached"]
        assert not result.sound
        assert "declared as decreasing" in health_rows(result)["entropy, wrong way"]
