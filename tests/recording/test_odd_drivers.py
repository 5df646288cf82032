"""Exceptions that cannot say what they are, clocks that raise, drivers that return at once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from heat import Heat

import simckpt
from simckpt import SetupError, SimckptWarning
from simckpt.recording.end import exception_event


class Mute(Exception):
    """As a slip in a user's own class makes it."""

    def __str__(self) -> str:
        return "diverged at {:d}".format(*self.args)


class Hostile(Mute):
    def __str__(self) -> str:
        raise SystemExit(7)


@pytest.mark.parametrize("kind", [Mute, Hostile])
def test_an_exception_without_a_text_is_recorded_and_is_the_one_that_is_exception_event(
    tmp_path: Path, kind: type[Exception]
) -> None:
    def fails() -> None:
        raise kind("x")

    came = None
    try:
        with simckpt.run(bundle=tmp_path / "x"):
            fails()
    except BaseException as error:
        came = type(error)
    assert came is kind
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = [e for e in bundle.events if e.name == "rank_raised"]
        assert bundle.segments[-1].ending == "exception"
    assert event.facts["exception"] == kind.__name__
    assert "test_odd_drivers.py" in event.facts["traceback"]


def test_a_cause_that_is_no_exception_does_not_matter() -> None:
    error = ValueError("no")
    error.__dict__["__notes__"] = [object(), 5]
    assert exception_event(error, 0, 3).text == "ValueError: no"


def test_a_fault_while_a_run_ends_does_not_hide_the_drivers_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simckpt.recording.recorder import Recorder

    def fails(self: Recorder, *_: object) -> None:
        self._stop.close()
        raise RuntimeError("of the instrument")

    monkeypatch.setattr(Recorder, "end", fails)
    with (
        pytest.warns(SimckptWarning, match="of the instrument"),
        pytest.raises(ZeroDivisionError),
        simckpt.run(bundle=tmp_path / "x"),
    ):
        raise ZeroDivisionError


@pytest.mark.parametrize("name", ["time", "dt", "step"])
def test_a_number_that_cannot_be_read_marks_its_sample_and_is_an_event(
    tmp_path: Path, name: str
) -> None:
    calls = []

    def reads(sim: Heat) -> float:
        calls.append(1)
        if sim.t > 0.5:
            raise ZeroDivisionError("no clock")
        return len(calls) - 1

    @simckpt.step(
        grid=lambda sim: simckpt.Grid(sim.u.shape),
        fields=lambda sim: {"u": sim.u},
        **{name: reads},
    )
    def advance(sim: Heat) -> None:
        sim.advance(0.4 if sim.t < 0.5 else -0.4)

    def driver() -> None:
        sim = Heat()
        for _ in range(3):
            advance(sim)

    with pytest.warns(SimckptWarning, match=f"{name}= raised ZeroDivisionError: no clock"):
        simckpt.run(bundle=tmp_path / "x")(driver)()
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series(effective=False)
        assert [bool(n) for n in series.faults] == [False, False, True, False]
        assert math.isfinite(series["u.max"][2])
        told = [e for e in bundle.events if e.name == f"{name}_unreadable"]
        assert [e.step for e in told] == [series.step[2]]


def test_a_time_that_is_no_number_marks_the_sample(tmp_path: Path) -> None:
    def driver() -> None:
        for t in (0.0, "late"):
            simckpt.active_run().sample(grid=simckpt.Grid(4), fields={"u": Heat(4).u}, t=t)

    with pytest.warns(SimckptWarning, match="t at step 1: TypeError: is no number"):
        simckpt.run(bundle=tmp_path / "x")(driver)()
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series(effective=False).faults) == [0, 1]


def test_a_driver_that_returns_before_its_work_is_refused() -> None:
    async def coroutine() -> None: ...

    def generator():  # type: ignore[no-untyped-def]
        yield 1

    class Called:
        async def __call__(self) -> None: ...

    for driver in (coroutine, generator, Called()):
        with pytest.raises(SetupError, match=r"driver = .*with simckpt\.run"):
            simckpt.run(bundle="never")(driver)
        with pytest.raises(SetupError, match="step = "):
            simckpt.step(fields=dict, grid=None)(driver)
    with pytest.raises(SetupError, match="generator"):
        simckpt.run(generator)


def test_a_label_that_is_no_text_is_named(tmp_path: Path) -> None:
    with simckpt.run(bundle=tmp_path / "x") as run, pytest.warns(SimckptWarning, match="label = 5"):
        assert run.checkpoint(5) is None  # type: ignore[arg-type]


def test_the_bundle_stays_where_it_was_when_the_driver_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with simckpt.run(bundle="x") as run:
        monkeypatch.chdir("elsewhere")
        kept = simckpt.checkpoint("from elsewhere")
        assert run.path == str(tmp_path / "x.simckpt.h5")
    assert not list((tmp_path / "elsewhere").iterdir())
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.checkpoints[1] == kept


@pytest.mark.parametrize(
    ("more", "name"),
    [({"conserved": {"m": "v"}}, "declarations_changed"), ({}, "second_step_object")],
)
def test_of_two_step_objects_one_counts_the_steps_and_the_mend_is_said(
    tmp_path: Path, more: dict[str, dict[str, str]], name: str
) -> None:
    sim = Heat(8)
    cells = simckpt.Grid(8)
    first = simckpt.step(grid=cells, fields=lambda s, dt: {"u": s.u}, every=2)(Heat.advance)
    other = simckpt.step(grid=cells, fields=lambda s, dt: {"v": s.u}, **more)(Heat.advance)

    @simckpt.run(tmp_path / "x", checkpoint_every=2, triggers=False)
    def drive() -> None:
        for _ in range(5):
            first(sim, 0.1)
            other(sim, 0.1)

    with pytest.warns(SimckptWarning, match="put all fields and diagnostics in it") as said:
        drive()
    assert len(said) == 1
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series().step) == [0, 2, 4, 5]
        assert bundle.fields == ("u",)
        assert [c.step for c in bundle.checkpoints if c.reason == "schedule"] == [2, 4]
        (event,) = [e for e in bundle.events if e.severity == "warning"]
        assert event.name == name
        assert "One run has one step object" in event.text


def test_a_step_object_made_anew_for_each_step_is_the_same_one(tmp_path: Path) -> None:
    sim = Heat(8)
    with simckpt.run(tmp_path / "x", triggers=False):
        for _ in range(3):
            with simckpt.step(grid=simckpt.Grid(8), fields={"u": sim.u}, every=2):
                sim.advance(0.1)
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series().step) == [0, 2, 3]


def test_a_run_without_the_time_that_its_cadence_needs_says_so(tmp_path: Path) -> None:
    advance = simckpt.step(grid=simckpt.Grid(4), fields={"a": np.ones(4)}, every=0.5)(len)

    @simckpt.run(tmp_path / "x", triggers=False)
    def drive() -> None:
        for _ in range(4):
            advance(())

    with pytest.warns(SimckptWarning, match="time=lambda sim: sim.t"):
        drive()
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = [e for e in bundle.events if e.name == "time_missing"]
        assert "every=0.5 is simulated time, and at step 0 there is none" in event.text
