import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from recorded_twins import STARTED, Setup, run

from simckpt.model.series import Event
from simckpt.report.status import run_status, spark, watch_line, watch_news, watch_report
from simckpt.report.text import show

SMALL = Setup(name="small", n=8, steps=24, every=2, checkpoint_every=8)


class Walled:
    """A run whose samples were taken a second of wall time after each step."""

    def __init__(self, twin):
        self._twin = twin

    def __getattr__(self, name):
        return getattr(self._twin, name)

    def series(self):
        series = self._twin.series()
        series.wall = STARTED + series.step.astype(float)
        return series


def of(**changes):
    return run_status(Walled(run(SMALL, **changes)))


def page(w, now=STARTED + 25):
    out = io.StringIO()
    show(watch_report(w, now), out)
    return out.getvalue()


def test_a_live_run_shows_progress_pace_and_what_is_left():
    w = of(killed=True, parameters={"steps": 48})
    assert (w.step, w.ending, w.done) == (24, None, 0.5)
    assert w.pace == pytest.approx(1.0)
    assert w.seconds_left == pytest.approx(24.0)
    text = page(w)
    assert "going on" in text
    assert "50 % of steps = 48, about 24 s to go" in text
    assert "1 steps a second, last sample 1 s ago" in text


def test_a_goal_in_time_is_known_too_and_one_that_was_passed_is_none():
    w = of(killed=True, parameters={"steps": 3, "t_end": 2.4})
    assert w.goal == "t_end = 2.4"
    assert w.done == pytest.approx(0.5)
    assert of(parameters={"steps": 3}).done is None


def test_a_run_that_is_quiet_for_long_is_told_as_such():
    w = of(killed=True)
    assert "going on" in page(w, STARTED + 30)
    assert "quiet for" in page(w, STARTED + 3000)


def test_a_run_that_has_ended_says_how():
    assert "small.simckpt.h5  finished" in page(of())
    assert "to go" not in page(of(parameters={"steps": 48}))
    told = replace(of(), ending="signal", why="SIGTERM")
    assert "signal: SIGTERM" in page(told)


def test_drifts_peaks_and_events_are_shown():
    event = Event(name="odd", severity="warning", step=3, wall=1.7e9, text="\x1b[2Jlook")
    text = page(of(events=(event,)))
    assert "mass" in text
    assert "courant" in text
    assert "step 3: \\x1b[2Jlook" in text
    assert "first non-finite value: step 10" in page(of(poison=9))


def test_the_line_for_a_log_holds_the_same():
    line = watch_line(of(killed=True), STARTED + 25)
    assert line.startswith("going on; step 24, t = 1.2")
    assert "mass drift" in line
    assert "\n" not in line


def test_a_run_without_samples_is_told_as_such():
    class Empty(Walled):
        def series(self):
            series = super().series()
            for name in ("step", "t", "wall", "faults", "segment"):
                setattr(series, name, getattr(series, name)[:0])
            series._values = series._values[:0]
            return series

    w = run_status(Empty(run(SMALL, killed=True)))
    assert "no sample yet" in page(w)
    assert "no sample yet" in watch_line(w, STARTED)


@given(st.lists(st.floats(), max_size=200), st.integers(1, 40))
def test_a_curve_of_any_values_fits_its_width(values, width):
    assert len(spark(values, width).plain) <= max(width, len("not finite"))


def test_a_curve_rises_with_its_values():
    assert spark([0, 1, 2, 3, 4, 5, 6, 7]).plain == "▁▂▃▄▅▆▇█"
    assert spark([1.0, float("nan"), 1.0]).plain == "▁x▁"


def test_a_log_is_told_what_is_new_and_nothing_twice():
    names = [f"odd{i}" for i in range(9)]
    events = [Event(name=n, severity="warning", step=3, wall=1.7e9, text=n) for n in names]
    early = of(killed=True, events=(events[0],))
    blown = of(killed=True, poison=9, events=tuple(events[:3]))
    assert [line[:5] for line in watch_news(early, None, STARTED)] == ["going", "event"]
    assert watch_news(early, early, STARTED) == []
    news = watch_news(blown, early, STARTED)
    assert news[0].startswith("first non-finite value: step 10: ")
    assert news[1:] == ["event at step 3: odd1", "event at step 3: odd2"]
    assert watch_news(blown, blown, STARTED) == []
    many = watch_news(of(killed=True, poison=9, events=tuple(events)), early, STARTED)
    assert "2 earlier events not shown" in many
    assert len(many) == 1 + 1 + 6
