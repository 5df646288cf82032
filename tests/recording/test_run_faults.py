"""What a serial driver gets where it, its user, or the instrument is at fault."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from heat import MEASURED, Heat, drive

import simckpt
from simckpt import BundleError, SetupError, SimckptWarning
from simckpt.errors import InstrumentError


def test_a_run_that_raises_is_recorded_and_raises(tmp_path: Path) -> None:
    @simckpt.run(bundle=tmp_path / "bad")
    def fails() -> None:
        drive(3)
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        fails()
    with simckpt.open(tmp_path / "bad") as bundle:
        assert bundle.segments[-1].ending == "exception"
        last = bundle.checkpoints[-1]
        assert last.reason == "exception"
        assert "on purpose" in last.why
        assert list(bundle.series().step) == [0, 2]


def test_an_exit_with_status_zero_is_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), simckpt.run(bundle=tmp_path / "e"):
        sys.exit(0)
    with simckpt.open(tmp_path / "e") as bundle:
        assert bundle.segments[-1].ending == "finished"


def test_outside_of_a_run_a_step_works_and_says_once_that_nothing_is_recorded() -> None:
    @simckpt.step(**MEASURED)
    def step(sim: Heat) -> str:
        return "moved"

    with pytest.warns(SimckptWarning, match="no simckpt.run is active"):
        assert step(Heat()) == "moved"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert step(Heat()) == "moved"
    with pytest.raises(SetupError, match="outside of a run"):
        simckpt.checkpoint("no run")
    assert simckpt.should_stop() is False


def test_an_unknown_field_is_named_with_the_choices_before_the_first_step(tmp_path: Path) -> None:
    moved = []

    @simckpt.step(**(MEASURED | {"conserved": {"heat": "temperature"}}))
    def step(sim: Heat) -> None:
        moved.append(1)

    with (
        pytest.raises(SetupError, match=r"conserved\['heat'\].*temperature.*Choices:.*u"),
        simckpt.run(bundle=tmp_path / "x"),
    ):
        step(Heat())
    assert moved == []


def test_a_grid_that_does_not_fit_its_array_is_named(tmp_path: Path) -> None:
    @simckpt.step(**(MEASURED | {"grid": lambda sim: simckpt.Grid((30,))}))
    def step(sim: Heat) -> None: ...

    with pytest.raises(SetupError, match=r"u.*\(32,\)"), simckpt.run(bundle=tmp_path / "x"):
        step(Heat())


def test_a_fault_in_an_accessor_marks_the_sample_and_the_run_goes_on(tmp_path: Path) -> None:
    calls = []

    def fields(sim: Heat) -> dict[str, np.ndarray]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("gone")
        return {"u": sim.u}

    @simckpt.step(**(MEASURED | {"fields": fields}))
    def step(sim: Heat) -> None:
        sim.advance(0.2)

    def driver() -> None:
        sim = Heat()
        for _ in range(5):
            step(sim)

    with pytest.warns(SimckptWarning, match="gone"):
        simckpt.run(bundle=tmp_path / "x")(driver)()
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        assert list(series.step) == [0, 1, 2, 3, 4, 5]
        assert [bool(f) for f in series.faults] == [False, False, True, False, False, False]
        assert np.isnan(series["heat"][2])
        assert np.isfinite(series["heat"][3])
        assert any("gone" in e.text for e in bundle.events)
    calls.clear()
    with pytest.raises(InstrumentError, match="gone"):
        simckpt.run(bundle=tmp_path / "strict", strict=True)(driver)()


def test_the_first_non_finite_value_is_an_event(tmp_path: Path) -> None:
    @simckpt.step(**MEASURED)
    def step(sim: Heat) -> None:
        sim.advance(0.2)
        if sim.t > 0.5:
            sim.u[3] = np.nan

    def driver() -> None:
        sim = Heat()
        for _ in range(4):
            step(sim)

    simckpt.run(bundle=tmp_path / "x")(driver)()
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = [e for e in bundle.events if e.name == "non_finite"]
        assert event.step == 3
        assert event.facts["field"] == "u"


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BundleError, match=r"file.*cannot be written"),
        simckpt.run(bundle=tmp_path / "file" / "x.simckpt.h5"),
    ):
        pass
    (tmp_path / "other.simckpt.h5").write_text("not a bundle")
    with (
        pytest.raises(BundleError, match=r"other\.simckpt\.h5"),
        simckpt.run(bundle=tmp_path / "other.simckpt.h5"),
    ):
        pass


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", -15), ("SIGINT", 1), ("SIGUSR1", 0)])
def test_a_signal_commits_a_checkpoint_and_then_does_what_it_would_have_done(
    tmp_path: Path, name: str, status: int
) -> None:
    program = f"""
import os, signal, simckpt
with simckpt.run(bundle="x"):
    os.kill(os.getpid(), signal.{name})
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, timeout=60, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(Path(simckpt.__file__).parent.parent)}, check=False,
    )  # fmt: skip
    assert done.returncode in (
        status,
        130 if name == "SIGINT" else status,
        -2 if name == "SIGINT" else status,
    ), done.stderr
    with simckpt.open(tmp_path / "x") as bundle:
        reasons = [c.reason for c in bundle.checkpoints]
        assert reasons[:2] == ["start", "signal"]
        expected = {"SIGTERM": "signal", "SIGINT": "exception", "SIGUSR1": "finished"}
        assert bundle.segments[-1].ending == expected[name]


def test_a_driver_that_asks_leaves_its_loop_after_a_signal(tmp_path: Path) -> None:
    program = """
import os, signal, simckpt
with simckpt.run(bundle="x"):
    for step in range(1000):
        if simckpt.should_stop():
            break
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
print(step)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, timeout=60, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(simckpt.__file__).parent.parent)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 10
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.segments[-1].ending == "signal"
