"""Drifts, alarms and comparisons are relative to one scale, whatever else is declared."""

from __future__ import annotations

import numpy as np
import pytest

import simckpt
from simckpt.compare.comparison import Options, compare
from simckpt.compare.health import health
from simckpt.compare.tolerance import Limits, Tolerance

ONES = np.ones(1000)
OUTLIER = np.where(np.arange(1000) == 3, 1e-9, ONES)
BLOB = np.where(np.arange(1000) == 5, 1.0, 1e-3)
COUNT = {"n": simckpt.Conserved("a", weight="one")}


def record(path, factors, more, *, field=ONES, triggers=True):
    """Samples of a field that is multiplied by one factor after another."""
    declared = {"M": simckpt.Conserved("a", monotone="increasing"), **more}
    with simckpt.run(path, triggers=triggers) as run:
        for step, factor in enumerate(factors):
            run.sample(
                grid=simckpt.Grid(1000, 1e-6),
                fields={"a": field * factor},
                conserved=declared,
                step=step,
                t=float(step),
            )
    return simckpt.open(path)


@pytest.mark.parametrize("field", [ONES, OUTLIER, BLOB], ids=["even", "outlier", "blob"])
@pytest.mark.parametrize("more", [{}, COUNT], ids=["alone", "beside a sum"])
def test_a_drift_is_the_true_one_and_fires_its_trigger(tmp_path, field, more):
    with record(tmp_path / "x", (1.0, 0.9), more, field=field, triggers=["drift(M) > 0.05"]) as b:
        assert [e for e in b.events if "drift(M) is 0.1, past the bound" in e.text]
        drifts = {d.name: d.final for d in health(b).drifts}
        assert drifts["M"] == pytest.approx(0.1)


def test_a_sum_beside_it_silences_no_alarm(tmp_path):
    with record(tmp_path / "x", 1.0 - 1e-8 * np.arange(4), COUNT) as bundle:
        (event,) = (e for e in bundle.events if e.name == "monotone_violated")
        assert event.facts["relative"] == pytest.approx(1e-8)
        drifts = {d.name: d.final for d in health(bundle).drifts}
        assert drifts["M"] == pytest.approx(3e-8)


def test_an_error_of_five_percent_is_no_sum_near_zero(tmp_path):
    with (
        record(tmp_path / "x", (1.0, 1.0), COUNT) as a,
        record(tmp_path / "y", (1.0, 1.05), COUNT) as b,
    ):
        found = compare(a, b, Options(tolerance=Tolerance(default=Limits(rtol=1e-3))))
        assert found.verdict == "different"
        assert not found.hints
        sizes = {q.name: q.relative for q in found.quantities}
        assert sizes["M"] == pytest.approx(sizes["n"]) == pytest.approx(0.05 / 1.05)


def test_the_event_and_the_health_tell_one_violation_by_one_number(tmp_path):
    # The entropy is the small rest of two signs, and its field was larger before.
    rows = [[-8.0, 9.0], [-4.0, 4.5], [-1.0, 1.6], [-1.0, 1.1], [-1.0, 1.7]]
    with simckpt.run(tmp_path / "x") as run:
        for step, row in enumerate(rows):
            run.sample(
                grid=simckpt.Grid(2, 0.25),
                fields={"s": np.array(row)},
                conserved={"S": simckpt.Conserved("s", monotone="increasing")},
                step=step,
            )
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = (e for e in bundle.events if e.name == "monotone_violated")
        (found,) = health(bundle).reversals
        # The second sample is the first violation; at the fourth it is the largest.
        assert (event.step, found.first_step, found.step) == (1, 1, 3)
        assert event.facts["relative"] == pytest.approx(0.125 / 4.25)
        assert found.relative == pytest.approx(0.225 / 4.25)
