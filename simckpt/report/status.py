"""A run that is going on, in a few lines: how far it is, and whether it is well."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final, Protocol

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.health import Health, health
from ..compare.quantities import columns
from ..compare.run_view import Floats, SeriesView
from ..model.documents import Manifest
from ..model.record import Record
from ..model.series import Ending
from .overview import RecordedRun, latest_document
from .text import clean, duration, facts, plural, section, small, styled, table
from .two_runs import health_rows

RECENT = 60
"""Samples over which the pace is taken and small curves are drawn."""
MOST_QUANTITIES = 8
MOST_EVENTS = 6
QUIET = 10.0
"""Times the usual interval between samples after which a run is called quiet."""

STEP_GOALS: Final = ("steps", "n_steps", "nsteps", "max_steps", "nsteps_max")
TIME_GOALS: Final = ("t_end", "tend", "t_max", "tmax", "t_final", "end_time", "max_time")
"""Parameters by which drivers commonly say how far they go."""

ALARMING: Final = ("first non-finite value", "samples with faults")
"""Rows of a run's health that a person who watches it must not miss."""

_BARS = "▁▂▃▄▅▆▇█"


class TimedSeries(SeriesView, Protocol):
    @property
    def wall(self) -> Floats: ...


class RunStatus(Record, frozen=True, kw_only=True):
    """What is told of a run at one moment.

    Parameters
    ----------
    ending : str or None
        How the last job attempt ended; None if it goes on, or was killed.
    pace : float or None
        Steps a second over the last samples.
    interval : float or None
        Seconds between samples, in the middle.
    goal : str
        The parameter that says how far the run goes, and `done` the part of the way, 0 to 1.
    recent : dict
        The last values of quantities that a person watches.
    happened : int
        Events in all, of which `events` are the last.
    killed : bool
        It has not ended, and the process that wrote it is gone.
    """

    path: str
    ending: Ending | None
    why: str
    ranks: int
    segments: int
    samples: int
    step: int | None
    t: float | None
    wall: float | None
    pace: float | None
    interval: float | None
    goal: str
    done: float | None
    seconds_left: float | None
    recent: dict[str, tuple[float, ...]]
    health: Health
    checkpoints: int
    checkpoint: str
    events: tuple[str, ...]
    killed: bool = False
    happened: int = 0


def run_status(run: RecordedRun, lives: bool | None = None) -> RunStatus:
    """Look at a run; the bundle may be that of a live one.

    `lives` says whether the process that writes it is there, if that is known.
    """
    series: TimedSeries = run.series()  # type: ignore[assignment]
    step, wall = series.step, series.wall
    segments = list(run.segments)
    last = segments[-1] if segments else None
    checkpoints = list(run.checkpoints)
    available = columns(run)
    names = [n for n, c in available.items() if c.kind in ("conserved", "stability", "residual")]
    names += [n for n in ("dt",) if n in available]
    span = slice(-RECENT, None)
    seconds = float(wall[span][-1] - wall[span][0]) if len(wall) else 0.0
    pace = float(step[span][-1] - step[span][0]) / seconds if seconds > 0 else None
    t = float(series.t[-1]) if len(step) and isfinite(series.t[-1]) else None
    goal, done, seconds_left = _goal(run, int(step[-1]) if len(step) else 0, t, series, seconds)
    if not len(step):
        names = []
    ending = last.end.ending if last is not None and last.end is not None else None
    return RunStatus(
        path=str(run.path),
        ending=ending,
        killed=ending is None and lives is False,
        why=last.end.why if last is not None and last.end is not None else "",
        ranks=last.segment.ranks if last is not None else 0,
        segments=len(segments),
        samples=len(step),
        step=int(step[-1]) if len(step) else None,
        t=t,
        wall=float(wall[-1]) if len(wall) else None,
        pace=pace,
        interval=float(np.sort(np.diff(wall[span]))[len(wall[span]) // 2 - 1])
        if len(wall) > 1
        else None,
        goal=goal,
        done=done,
        seconds_left=seconds_left,
        recent={n: tuple(series[n][span].tolist()) for n in names[:MOST_QUANTITIES]},
        health=health(run),
        checkpoints=len(checkpoints),
        checkpoint=f"{checkpoints[-1].label} at step {checkpoints[-1].step}" if checkpoints else "",
        events=tuple(f"step {e.step}: {e.text}" for e in run.events[-MOST_EVENTS:]),
        happened=len(run.events),
    )


def watch_report(w: RunStatus, now: float) -> Group:
    """The page that `simckpt watch` keeps up to date; `now` is in seconds since the epoch."""
    state, style = _state(w, now)
    head = Text.assemble(styled(w.path, "bold"), "  ", (state, style))
    rows: list[tuple[str, str | Text]] = [("progress", _progress(w))]
    if w.pace:
        rows.append(("pace", f"{w.pace:.3g} steps a second, {_age(w, now)}"))
    who = plural(w.ranks, "rank") + (f", job attempt {w.segments}" if w.segments > 1 else "")
    rows.append(("on", who))
    if w.checkpoints:
        rows.append(("checkpoints", styled(f"{w.checkpoints}, the last: {w.checkpoint}")))
    parts: list[RenderableType] = [head, facts(rows)]
    if w.recent:
        out = table("quantity", "now>", "drift>", "lately")
        drifts = {d.name: d.final for d in w.health.drifts}
        drifts |= dict.fromkeys(w.health.constant, 0.0)
        for name, values in w.recent.items():
            drift = small(drifts[name]) if name in drifts else ""
            out.add_row(styled(name, longest=24), f"{values[-1]:.8g}", drift, spark(values))
        parts.append(section("Quantities", out))
    alarms = [styled(f"{name}: {text}", "red") for name, text in _alarms(w).items()]
    if alarms or w.events:
        lines = [*alarms, *(styled(text, longest=96) for text in w.events)]
        parts.append(section("Events", *lines))
    return Group(*parts)


def watch_line(w: RunStatus, now: float) -> str:
    """The same on one line, for a log."""
    state, _ = _state(w, now)
    drifts = [f"{d.name} drift {small(d.final)}" for d in w.health.drifts[:3]]
    peaks = [f"{p.name} {w.recent[p.name][-1]:.4g}" for p in w.health.peaks if p.name in w.recent]
    return clean("; ".join([state, _progress(w), *drifts, *peaks[:2]]))


def watch_news(w: RunStatus, before: RunStatus | None, now: float) -> list[str]:
    """What there is to say in a log since the look `before`: the state, alarms and events."""
    lines = []
    if before is None or _position(w) != _position(before):
        lines.append(watch_line(w, now))
    earlier = _alarms(before) if before is not None else {}
    lines += [clean(f"{name}: {text}") for name, text in _alarms(w).items() if name not in earlier]
    fresh = max(w.happened - (before.happened if before is not None else 0), 0)
    if fresh > len(w.events):
        lines.append(f"{plural(fresh - len(w.events), 'earlier event')} not shown")
    lines += [clean(f"event at {text}") for text in w.events[max(len(w.events) - fresh, 0) :]]
    return lines


def _position(w: RunStatus) -> tuple[int | None, str | None, bool]:
    return w.step, w.ending, w.killed


def _alarms(w: RunStatus) -> dict[str, str]:
    rows = health_rows(w.health)
    return {name: rows[name] for name in ALARMING if name in rows}


def spark(values: Sequence[float], width: int = 30) -> Text:
    """A curve in one line of text: each sign stands for the last value of its stretch."""
    picked = [values[round(i)] for i in np.linspace(0, len(values) - 1, min(width, len(values)))]
    finite = [v for v in picked if isfinite(v)]
    if not finite:
        return Text("not finite", style="red")
    low, high = min(finite), max(finite)
    # Halved, because the range of large numbers of opposite sign overflows.
    span = high * 0.5 - low * 0.5

    def sign(v: float) -> str:
        if not isfinite(v):
            return "x"
        part = (v * 0.5 - low * 0.5) / span if span else 0.0
        return _BARS[round((len(_BARS) - 1) * part)]

    signs = [sign(v) for v in picked]
    return Text("".join(signs))


def _state(w: RunStatus, now: float) -> tuple[str, str]:
    if w.ending is not None:
        why = f": {clean(w.why, 60)}" if w.why else ""
        return w.ending + why, "green" if w.ending == "finished" else "yellow"
    if w.killed:
        return "killed: the process that wrote it is gone", "red"
    if w.wall is None:
        return "no sample yet", ""
    if w.interval is not None and now - w.wall > max(QUIET * w.interval, QUIET):
        return f"quiet for {duration(now - w.wall)}: stuck, or killed", "yellow"
    return "going on", "green"


def _progress(w: RunStatus) -> str:
    if w.step is None:
        return "no sample yet"
    text = f"step {w.step:,}" + (f", t = {w.t:.6g}" if w.t is not None else "")
    if w.done is not None:
        text += f", {100 * w.done:.0f} % of {clean(w.goal, 30)}"
    if w.seconds_left is not None and w.ending is None and not w.killed:
        text += f", about {duration(w.seconds_left)} to go"
    return text


def _age(w: RunStatus, now: float) -> str:
    age = now - w.wall if w.wall is not None else 0.0
    return f"last sample {duration(max(age, 0.0))} ago"


def _goal(
    run: RecordedRun, step: int, t: float | None, series: SeriesView, seconds: float
) -> tuple[str, float | None, float | None]:
    """The parameter that says how far, the part that is done, and the seconds left."""
    manifest = latest_document(run, "manifest", Manifest)
    parameters = manifest.parameters if manifest is not None else {}
    ways = [(name, float(step), series.step.astype(np.float64)) for name in STEP_GOALS]
    ways += [(name, t if t is not None else 0.0, series.t) for name in TIME_GOALS]
    for name, at, axis in ways:
        goal = parameters.get(name)
        if isinstance(goal, bool) or not isinstance(goal, int | float) or not goal > 0:
            continue
        if at > goal * 1.001:
            # It goes further, so the parameter means something else.
            continue
        moved = float(axis[-RECENT:][-1] - axis[-RECENT:][0]) if len(axis) else 0.0
        seconds_left = (goal - at) / moved * seconds if moved > 0 and seconds > 0 else None
        return f"{name} = {goal:g}", min(at / goal, 1.0), seconds_left
    return "", None, None
