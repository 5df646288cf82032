from types import SimpleNamespace

import numpy as np
import pytest
from msgspec import structs
from recorded_twins import Setup, run

from simckpt.compare.health import health, unexplained
from simckpt.compare.quantities import columns
from simckpt.compare.scales import scales
from simckpt.model.series import Column, Event
from simckpt.report.two_runs import health_rows

SMALL = Setup(n=16, steps=24, every=2, checkpoint_every=8)


class Columns(dict):
    """Columns alone, as a series has them."""


def test_the_drift_of_an_integral_is_relative_to_its_scale():
    twin = run(SMALL)
    found = health(twin)
    mass = twin.series()["mass"]
    (drift,) = found.drifts
    assert drift.name == "mass"
    assert drift.first == mass[0]
    assert drift.last == mass[-1]
    assert drift.final == pytest.approx(abs(mass[-1] - mass[0]) / 0.6, rel=0.2)


def test_each_drift_is_also_that_since_the_checkpoint_before():
    twin = run(SMALL)
    series, size = twin.series(), scales(twin.series(), columns(twin))["mass"]
    (drift,) = health(twin).drifts
    # A checkpoint at the last sample's own step is not before it.
    steps = [c.step for c in twin.checkpoints if c.step < series.step[-1]]
    at = {int(step): value for step, value in zip(series.step, series["mass"], strict=True)}
    assert drift.checkpoint_step == max(steps) == 16
    assert drift.since_checkpoint == abs(at[24] - at[16]) / size > 0
    assert drift.largest_since_checkpoint == max(
        abs(at[step] - at[max(c for c in steps if c < step)]) / size
        for step in at
        if step > min(steps)
    )


def test_a_checkpoint_that_a_restart_went_back_behind_is_none_of_the_runs():
    twin = run(SMALL)
    segment = structs.replace(twin.segments[0].segment, index=1, start_step=12)
    again = SimpleNamespace(segment=segment, schema=None, decomposition=None, end=None,
                            start_step=12, resumed_from=None)  # fmt: skip
    twin.segments = (*twin.segments, again)
    (drift,) = health(twin).drifts
    assert drift.checkpoint_step == 8


def test_without_a_checkpoint_there_is_no_drift_since_one():
    twin = run(SMALL)
    twin.checkpoints = ()
    (drift,) = health(twin).drifts
    assert drift.final is not None
    assert drift.since_checkpoint is drift.largest_since_checkpoint is None


def test_an_integral_that_keeps_every_bit_is_called_constant():
    twin = run(SMALL)
    series = twin.series()
    series._values[:, 0] = 0.25
    twin.series = lambda: series
    assert health(twin).constant == ("mass",)


def test_the_first_non_finite_value_is_named_with_its_step():
    found = health(run(SMALL, poison=9))
    assert found.non_finite_step == 10
    assert "x" in found.non_finite
    assert not found.sound


def test_a_sound_run_is_sound():
    found = health(run(SMALL))
    assert found.sound
    assert found.non_finite_step is None
    assert found.peaks[0].name == "courant"


def test_a_failed_diagnostic_is_a_fault_and_no_non_finite_state():
    twin = run(SMALL)
    series = twin.series()
    series._values[5, 0] = np.nan
    series.faults[5] = 1
    twin.series = lambda: series
    found = health(twin)
    assert found.faults == 1
    assert found.non_finite_step is None


def test_events_are_counted_by_severity():
    event = Event(name="slow", severity="warning", step=4, wall=1.7e9, text="slow")
    found = health(run(SMALL, events=(event,)))
    assert (found.warnings, found.errors) == (1, 0)


def test_a_momentum_near_zero_has_the_scale_of_its_field_not_its_own():
    known = {
        c.name: c
        for c in (
            Column(name="mass", kind="conserved", of="rho"),
            Column(name="momentum", kind="conserved", of="mx"),
            Column(name="rho.min", kind="minimum", of="rho"),
            Column(name="rho.max", kind="maximum", of="rho"),
            Column(name="mx.min", kind="minimum", of="mx"),
            Column(name="mx.max", kind="maximum", of="mx"),
        )
    }
    series = Columns(
        {
            "mass": np.array([6.0, 6.0]),
            "momentum": np.array([1e-16, -3e-16]),
            "rho.min": np.array([1.0, 1.0]),
            "rho.max": np.array([2.0, 2.0]),
            "mx.min": np.array([-0.5, -0.5]),
            "mx.max": np.array([0.5, 0.5]),
        }
    )
    found = scales(series, known)
    # Volume 6 / 1.5 = 4, times the largest |mx|.
    assert found["momentum"] == pytest.approx(2.0)
    assert found["mass"] == 6.0  # Of one sign: its contributions add up to itself.


def test_columns_of_all_segments_are_known():
    assert list(columns(run(SMALL, restart=8)))[:2] == ["mass", "x.min"]


def test_a_time_step_that_is_not_known_yet_is_no_blow_up():
    twin = run(SMALL)
    series = twin.series()
    series._values[0, 6:8] = np.nan
    twin.series = lambda: series
    assert health(twin).non_finite_step is None
    series._values[3, 6] = np.inf
    assert health(twin).non_finite == ("courant",)


def test_what_a_budget_leaves_unexplained_and_anomalies_are_told():
    columns = {
        "mass": Column(name="mass", kind="budget", of="rho"),
        "mass.residual": Column(name="mass.residual", kind="residual", of="mass"),
        "solver": Column(name="solver", kind="residual", of="pressure"),
    }

    class Samples(dict):
        step = np.array([0, 5, 10])

    values = Samples(
        {
            "mass": np.array([2.0, 2.0, 2.5]),
            "mass.residual": np.array([np.nan, -0.25, 0.125]),
            "solver": np.array([1.0, 1.0, 1.0]),
        }
    )
    (found,) = unexplained(values, columns, {"mass": 2.5})
    assert (found.name, found.value, found.relative, found.step) == ("mass.residual", 0.25, 0.1, 5)
    event = Event(
        name="anomaly", severity="warning", step=7, wall=1.0, text="odd", facts={"rule": "anomaly"}
    )
    told = health(run(Setup(name="odd", n=8, steps=10, events=(event,))))
    assert (told.anomalies, told.anomaly_step) == (1, 7)
    assert health_rows(told)["anomalies"] == "1, the first at step 7"
