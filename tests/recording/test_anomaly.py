"""The anomaly score: silent on healthy histories, and not on faults that are put in."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import simckpt
from simckpt import SetupError
from simckpt.model.series import Column, FieldTiles, SeriesSchema
from simckpt.recording.anomaly import AnomalyRule

ROOT = Path(simckpt.__file__).parent.parent
COLUMNS = {
    "mass": "conserved", "courant": "stability", "u.min": "minimum", "u.max": "maximum",
}  # fmt: skip


def schema(dtype: str = "<f8") -> SeriesSchema:
    return SeriesSchema(
        columns=tuple(
            Column(name=name, kind=kind, of="u" if kind == "conserved" else "")
            for name, kind in COLUMNS.items()
        ),
        tiles=(FieldTiles(field="u", dtype=dtype, global_shape=(8,), edges=((0, 8),)),),
    )


def healthy(n: int, seed: int = 1) -> np.ndarray:
    """Mass to roundoff, a Courant number near 0.4, and a field that grows slowly."""
    rng = np.random.default_rng(seed)
    mass = 1.0 + np.cumsum(rng.integers(-2, 3, n)) * 2.0**-52
    courant = 0.4 * (1 + 0.01 * rng.standard_normal(n))
    size = np.exp(0.01 * np.arange(n) + 0.02 * rng.standard_normal(n))
    return np.column_stack([mass, courant, -size, size])


def alarms(rows: np.ndarray, dtype: str = "<f8", every: int = 1, **settings: Any) -> list[int]:
    rule = AnomalyRule(simckpt.Anomaly(**settings), schema(dtype))
    found = []
    for i, values in enumerate(rows):
        reading = SimpleNamespace(step=i * every, values=values, faults=0, origins={})
        if rule.check(reading) is not None:  # type: ignore[arg-type]
            found.append(i)
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 50])
def test_a_healthy_history_raises_no_alarm(seed: int, every: int) -> None:
    assert alarms(healthy(3000, seed), every=every) == []


def test_a_leak_far_above_roundoff_is_an_alarm_at_its_sample() -> None:
    rows = healthy(200)
    rows[120:, 0] -= 1e-9
    assert alarms(rows) == [120]
    assert alarms(rows, dtype="<f4") == [], "it is below the rounding errors of single precision"


def test_a_conserved_quantity_that_is_suddenly_zero_is_an_alarm() -> None:
    rows = np.ones((60, 4))
    rows[50:, 0] = rows[50:, 2:] = 0.0
    assert alarms(rows) == [50]


def test_a_courant_number_that_jumps_is_an_alarm_and_one_that_falls_is_none() -> None:
    rows = healthy(200)
    rows[150, 1] = 0.9
    rows[170, 1] = 0.001
    assert alarms(rows) == [150]


def test_a_field_that_blows_up_is_an_alarm() -> None:
    rows = healthy(200)
    rows[140:, 2:] *= 50
    assert alarms(rows) == [140]


def test_a_steady_exponential_growth_is_no_anomaly() -> None:
    rows = healthy(300)
    rows[:, 3] = np.exp(1.2 * np.arange(300))
    assert alarms(rows) == []


def test_there_is_no_score_before_there_is_a_history() -> None:
    rows = healthy(60)
    rows[10:, 0] -= 1e-6
    assert alarms(rows) == []
    rows = healthy(60)
    rows[20:, 0] -= 1e-6
    assert alarms(rows, least=30) == []
    assert alarms(rows) == [20]


def test_a_history_is_forgotten_after_so_many_samples() -> None:
    rows = healthy(400)
    rows[100:, 0] -= 1e-6
    rows[300:, 0] -= 1e-6
    assert alarms(rows) == [100, 300]
    assert alarms(rows, history=250) == [100], "the first is still in the history"


def test_samples_that_failed_on_a_rank_are_left_out() -> None:
    rule = AnomalyRule(simckpt.Anomaly(), schema())
    rows = healthy(80)
    for i, values in enumerate(rows):
        failed = i == 50
        seen = values * np.nan if failed else values
        reading = SimpleNamespace(step=i, values=seen, faults=int(failed), origins={})
        assert rule.check(reading) is None  # type: ignore[arg-type]


def test_each_field_is_told_once_when_it_is_not_finite() -> None:
    rule = AnomalyRule(simckpt.Anomaly(), schema())
    values = np.array([np.nan, np.inf, 1.0, 1.0])
    reading = SimpleNamespace(step=1, values=values, faults=0, origins={"u": (3,)})
    found = rule.check(reading)  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == "u, courant are not finite"
    assert found[1]["first_cell"] == {"u": [3]}
    assert rule.check(reading) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"least": 4}, {"least": 70}])
def test_nonsense_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"^Anomaly\."):
        simckpt.Anomaly(**settings)


def test_healthy_runs_of_the_examples_raise_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    false_alarms = importlib.import_module("benchmarks.false_alarms")
    runs = (*false_alarms.heat_runs(tmp_path, 200), *false_alarms.star_runs(tmp_path, 200))
    samples, found = false_alarms.count(iter(runs))
    assert found == []
    assert samples == 6 * 201
