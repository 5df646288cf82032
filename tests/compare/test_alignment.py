import numpy as np
import pytest
from recorded_twins import Setup, Twin, run

from simckpt import SetupError
from simckpt.compare.alignment import align

SMALL = Setup(n=8, steps=20, every=2, checkpoint_every=10)


def at_times(twin: Twin, t: list[float], values: list[float]) -> Twin:
    """The twin with other samples: only times and one column matter here."""

    class Series:
        schema = twin.schema
        step = np.arange(len(t), dtype=np.int64)
        segment = np.zeros(len(t), dtype=np.int64)
        faults = np.zeros(len(t), dtype=np.int64)

    series = Series()
    series.t = np.array(t)
    series.values = np.array(values)
    twin.series = lambda: series
    return twin


def test_samples_belong_together_by_step_whatever_the_cadence():
    a, b = run(SMALL, every=2), run(SMALL, every=3)
    found = align(a, b)
    assert found.steps_a.tolist() == [0, 6, 12, 18, 20]
    assert found.steps_b.tolist() == found.steps_a.tolist()
    assert (found.only_a.samples, found.only_a.first, found.only_a.last) == (6, 2, 16)
    assert (found.only_b.samples, found.only_b.tail) == (3, 0)


def test_the_samples_past_the_end_of_the_shorter_run_are_counted():
    found = align(run(SMALL), run(SMALL, steps=12))
    assert len(found) == 7
    assert found.only_a.tail == 4
    assert found.only_b.samples == 0


def test_runs_without_a_common_step_have_no_moment_and_say_why():
    a = run(SMALL)
    b = run(SMALL)
    shifted = b.series()
    shifted.step = shifted.step + 1
    b.series = lambda: shifted
    found = align(a, b)
    assert len(found) == 0
    assert "same step" in found.problem


def test_equal_times_are_paired_without_interpolation():
    a, b = run(SMALL, dt=0.05), run(SMALL, dt=0.1)
    found = align(a, b, "time")
    assert found.interpolated == 0
    assert found.steps_a.tolist() == [0, 4, 8, 12, 16, 20]
    assert found.steps_b.tolist() == [0, 2, 4, 6, 8, 10]


def test_times_that_differ_by_the_rounding_of_their_sum_are_the_same_moment():
    a = at_times(run(SMALL), [0.0, 0.1 + 0.2, 0.6], [0.0, 1.0, 2.0])
    b = at_times(run(SMALL), [0.0, 0.3, 0.6], [0.0, 1.0, 2.0])
    found = align(a, b, "time")
    assert found.interpolated == 0
    assert len(found) == 3


def test_interpolation_error_stays_below_the_uncertainty_it_states():
    t_b = np.linspace(0.0, 2.0, 41)
    t_a = t_b[:-1] + 0.4 * 0.05
    a = at_times(run(SMALL), t_a.tolist(), np.sin(3 * t_a).tolist())
    b = at_times(run(SMALL), t_b.tolist(), np.sin(3 * t_b).tolist())
    found = align(a, b, "time")
    va, vb, slack = found.pair(np.sin(3 * t_a), np.sin(3 * t_b))
    assert found.interpolated == len(found) == 40
    assert np.all(np.abs(va - vb) <= slack)
    assert np.max(slack) < 0.01


def test_a_run_without_times_cannot_be_aligned_by_time():
    a = at_times(run(SMALL), [np.nan, np.nan], [0.0, 1.0])
    found = align(a, run(SMALL), "time")
    assert len(found) == 0
    assert "no times" in found.problem


def test_labels_pair_states_of_other_steps_and_list_what_is_missing():
    a, b = run(SMALL, steps=20), run(SMALL, steps=10)
    found = align(a, b, "label")
    assert dict(zip(found.labels, zip(found.steps_a, found.steps_b, strict=True), strict=True)) == {
        "start": (0, 0),
        "step 10": (10, 10),
        "end": (20, 10),
    }
    assert found.labels_a == ("step 20",)
    assert found.labels_b == ()


def test_an_unknown_way_to_align_names_the_choices():
    with pytest.raises(SetupError, match="step, time, label"):
        align(run(SMALL), run(SMALL), "date")
