"""Samples whose steps do not follow each other are told of, and none counts twice."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np

import simckpt
from simckpt.recording.sampling import StepOrder


def problems(*steps: int) -> list[str]:
    order = StepOrder()
    return [
        order.problem(SimpleNamespace(step=step, aligned=True, ranks=1))  # type: ignore[arg-type]
        for step in steps
    ]


def test_steps_that_rise_are_in_order_whatever_their_distance() -> None:
    assert not any(problems(3, 4, 10, 1000))


def test_each_way_of_being_out_of_order_is_told_once_where_it_happens() -> None:
    told = problems(-2, -1, 5, 5, 6, 2, 3, 7)
    assert [i for i, text in enumerate(told) if text] == [0, 3, 5]
    assert "negative number, -2" in told[0]
    assert "step 5 was sampled again" in told[3]
    assert "from 6 to 2" in told[5]


def test_ranks_at_different_steps_say_nothing_of_the_order() -> None:
    order = StepOrder()
    for step, aligned in ((5, True), (4, False), (6, True)):
        reading = SimpleNamespace(step=step, aligned=aligned, ranks=2)
        assert not order.problem(reading)  # type: ignore[arg-type]


def test_of_samples_at_one_step_the_last_counts_and_all_are_kept(tmp_path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with simckpt.run(tmp_path / "x", triggers=False) as run:
            for value, step in enumerate([0, 1, 2, 2, 1, 3]):
                u = np.full(4, float(value))
                grid = simckpt.Grid((4,))
                run.sample(grid=grid, fields={"u": u}, conserved={"sum": "u"}, step=step)
    assert len(said) == 1
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        assert list(series.step) == [0, 2, 1, 3]
        assert list(series["sum"]) == [0.0, 12.0, 16.0, 20.0]
        assert list(bundle.digests("u").step) == [0, 2, 1, 3]
        assert list(bundle.series(effective=False).step) == [0, 1, 2, 2, 1, 3]
        found = [e for e in bundle.events if e.name == "step_out_of_order"]
        assert [(e.step, e.severity) for e in found] == [(2, "warning"), (1, "warning")]
