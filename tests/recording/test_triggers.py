"""Rules and actions as a user writes them, and what a run then captures."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simckpt
from simckpt import SetupError, SimckptWarning
from simckpt.errors import InstrumentError
from simckpt.model.changes import Specification
from simckpt.model.documents import Environment
from simckpt.model.series import Event
from simckpt.recording.resume import PreviousRun
from simckpt.recording.trigger_engine import TriggerEngine
from simckpt.recording.triggers import checked_rate, checked_triggers

ROOT = Path(simckpt.__file__).parent.parent


class Tank:
    """A periodic line of cells; `leak` is the part of the content that each step loses."""

    def __init__(self) -> None:
        self.u = 1.0 + np.arange(64.0) / 64
        self.t = 0.0
        self.step = 0


@simckpt.step(
    grid=lambda tank: simckpt.Grid(tank.u.shape, spacing=0.5),
    fields=lambda tank: {"u": tank.u},
    conserved={"mass": "u"},
    stability={"courant": simckpt.CFL("abs(u)")},
)
def advance(tank: Tank, dt: float = 0.1, leak: float = 0.0) -> None:
    tank.u = np.roll(tank.u, 1) * (1 - leak)
    tank.t += dt
    tank.step += 1


def drive(steps: int = 30, leak_from: int = 20, leak: float = 1e-3) -> Tank:
    tank = Tank()
    while tank.step < steps and not simckpt.should_stop():
        advance(tank, 0.1, leak if tank.step >= leak_from else 0.0)
    return tank


def captures(path: Path) -> list[Any]:
    with simckpt.open(path) as bundle:
        return [e for e in bundle.events if e.name == "capture"]


def captured(path: Path, rule: str) -> Any:
    (event,) = [e for e in captures(path) if e.facts["rule"] == rule]
    return event


def document(path: Path, event: Any, name: str) -> Any:
    with simckpt.open(path) as bundle:
        return bundle.document(event.facts["documents"][name])


def test_a_rule_is_a_name_a_bound_or_a_callable() -> None:
    assert simckpt.Trigger("anomaly").kind == "anomaly"
    assert simckpt.Trigger("drift(mass) > 1e-12").kind == "bound"
    assert simckpt.Trigger(lambda sample: True).name == "predicate"
    assert simckpt.Trigger(drive).name == "drive"
    assert simckpt.Trigger("signal", actions="logs").actions == ("logs",)


@pytest.mark.parametrize(
    ("when", "actions", "words"),
    [
        ("sometimes", None, "no rule"),
        (3, None, "no rule"),
        ("leak(mass) > 1", None, "calls 'leak', which is no function"),
        ("mass drift > 1", None, r"Write drift\(mass\) > 1"),
        ("mass > much", None, "not a bound"),
        ("anomaly", "email", "no action"),
        ("exception", "stop", "which ends the run"),
    ],
)
def test_nonsense_in_a_trigger_is_refused(when: Any, actions: Any, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        simckpt.Trigger(when, actions)


def test_the_named_rules_are_always_there_and_give_way_to_the_users_own() -> None:
    kinds = [t.kind for t in checked_triggers(["drift(mass) > 1e-12"])]
    assert kinds == ["environment", "anomaly", "exception", "signal", "bound"]
    own = checked_triggers([simckpt.Trigger("anomaly", actions=["stop"])])
    assert [t.actions for t in own if t.kind == "anomaly"] == [("stop",)]
    assert checked_triggers(False) == ()
    with pytest.raises(SetupError, match=r"triggers\[1\].*there twice"):
        checked_triggers(["u.max > 1", "u.max > 1"])
    with pytest.raises(SetupError, match=r"triggers\[0\] = 'never'"):
        checked_triggers(["never"])


def test_the_cap_is_read_as_it_is_said() -> None:
    assert checked_rate("1 in 25") == checked_rate(25) == 25
    for nonsense in ("2 in 5", "1 in 0", 0, True, 2.5, "often"):
        with pytest.raises(SetupError, match=r"^captures = "):
            checked_rate(nonsense)


def test_a_broken_bound_captures_the_flight_recorder_and_commits_a_checkpoint(
    tmp_path: Path,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simckpt.run(bundle=tmp_path / "x", triggers=["drift(mass) > 1e-6"])(drive)()
    event = captured(tmp_path / "x", "bound")
    assert event.step == 21
    assert event.text.startswith("drift(mass) > 1e-06: drift(mass) is 0.001, past the bound")
    # Relative to the integral of a field of one sign, as `simckpt show` has it.
    assert event.facts["values"]["drift(mass)"] == pytest.approx(1e-3, rel=0.01)
    flight = document(tmp_path / "x", event, "recent_samples")
    assert [s.step for s in flight.samples] == list(range(22))
    with simckpt.open(tmp_path / "x") as bundle:
        (made,) = [c for c in bundle.checkpoints if c.reason == "trigger"]
        assert made.step == 21
        assert "past the bound" in made.why
        series = bundle.series()
        last = flight.samples[-1]
        assert np.frombuffer(last.values)[0] == series["mass"][21]
        rows = last.tiles["u"]
        assert np.frombuffer(rows.maximum).max() == series["u.max"][21]
        assert np.frombuffer(last.digests, np.uint64).sum() == bundle.digests("u").whole[21]
        assert bundle.document(flight.schema) == bundle.segments[0].schema


def test_a_trigger_that_stops_ends_the_loop_of_a_driver_that_asks(tmp_path: Path) -> None:
    trigger = simckpt.Trigger("drift(mass) > 1e-6", actions=["stop"])
    tank = simckpt.run(bundle=tmp_path / "x", triggers=[trigger])(drive)(steps=500)
    assert 21 <= tank.step <= 23
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.segments[-1].ending == "aborted"
        last = bundle.checkpoints[-1]
        assert (last.label, last.reason) == ("stopped by a trigger", "trigger")
        assert "drift(mass)" in last.why


def test_a_stop_that_the_driver_never_asks_about_is_told(tmp_path: Path) -> None:
    def deaf() -> None:
        tank = Tank()
        for _ in range(5):
            advance(tank, 0.1, 0.1)

    trigger = simckpt.Trigger("drift(mass) > 1e-6", actions=["stop"])
    with pytest.warns(SimckptWarning, match=r"never calls simckpt\.should_stop"):
        simckpt.run(bundle=tmp_path / "x", triggers=[trigger])(deaf)()


def test_a_bound_on_an_unknown_quantity_is_refused_at_the_first_sample(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"'mas' is not a quantity.*Choices: mass, courant"):
        simckpt.run(bundle=tmp_path / "x", triggers=["drift(mas) > 1e-6"])(drive)()


def test_a_predicate_fires_when_it_begins_to_hold_and_says_why(tmp_path: Path) -> None:
    def late(sample: Any) -> str:
        return f"u.max is {sample['u.max']}" if sample.step in (5, 6, 9) else ""

    run = simckpt.run(bundle=tmp_path / "x", triggers=[late], captures="1 in 1")
    run(drive)(steps=12)
    events = [e for e in captures(tmp_path / "x") if e.facts["rule"] == "predicate"]
    assert [e.step for e in events] == [5, 9]
    assert events[0].text == "late: u.max is 1.984375"


def test_a_predicate_that_raises_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    def bad(sample: Any) -> bool:
        return sample["nothing"] > 1

    with pytest.warns(SimckptWarning, match="'bad' is off from step 0 on: KeyError"):
        tank = simckpt.run(bundle=tmp_path / "x", triggers=[bad])(drive)(steps=8, leak=0)
    assert tank.step == 8
    with simckpt.open(tmp_path / "x") as bundle:
        assert [e.name for e in bundle.events if e.severity != "note"] == ["trigger_failed"]
        assert bundle.segments[-1].ending == "finished"
    with pytest.raises(InstrumentError, match="KeyError"):
        simckpt.run(bundle=tmp_path / "strict", triggers=[bad], strict=True)(drive)()


def test_captures_are_capped_and_the_first_of_each_trigger_is_made(tmp_path: Path) -> None:
    odd = simckpt.Trigger(lambda s: s.step % 2 == 1, actions=["recent_samples"], name="odd")
    rare = simckpt.Trigger(lambda s: s.step == 21, actions=["recent_samples"], name="rare")
    run = simckpt.run(
        bundle=tmp_path / "x", triggers=[odd, rare], captures="1 in 4", checkpoint_every=3
    )
    run(drive)(steps=30, leak=0)
    made = [e for e in captures(tmp_path / "x") if e.facts["rule"] == "predicate"]
    assert [(e.facts["trigger"], e.step) for e in made if e.facts["trigger"] == "rare"] == [
        ("rare", 21)
    ]
    numbers = [e.facts["checkpoint"] for e in made if e.facts["trigger"] == "odd"]
    assert len(numbers) >= 2
    assert all(b - a >= 4 for a, b in itertools.pairwise(numbers))
    with simckpt.open(tmp_path / "x") as bundle:
        capped = [e for e in bundle.events if e.name == "trigger"]
        assert len(capped) + len(made) == 16
        assert all("documents" not in e.facts for e in capped)


def test_the_first_non_finite_value_is_an_anomaly(tmp_path: Path) -> None:
    def blow_up() -> None:
        tank = Tank()
        for _ in range(6):
            advance(tank)
            if tank.step == 4:
                tank.u[3] = np.inf

    simckpt.run(bundle=tmp_path / "x")(blow_up)()
    event = captured(tmp_path / "x", "anomaly")
    assert event.step == 5
    assert event.facts["values"]["not_finite"][0] == "u"
    assert event.facts["values"]["first_cell"]["u"] == [4]


def test_a_sudden_leak_is_an_anomaly_without_any_bound(tmp_path: Path) -> None:
    simckpt.run(bundle=tmp_path / "x")(drive)(steps=40, leak_from=30, leak=1e-7)
    event = captured(tmp_path / "x", "anomaly")
    assert event.step == 31
    assert event.facts["values"]["quantity"] == "mass"


def test_an_exception_leaves_its_traceback_and_the_tails_of_the_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.log").write_text("step 1\npassword=hunter2\nstep 2\n")

    def fail() -> None:
        drive(3)
        token = "ghp_" + "a" * 36
        raise ValueError(f"bad state, {token}")

    with pytest.raises(ValueError, match="bad state"):
        simckpt.run(bundle="x", logs=["*.log"])(fail)()
    event = captured(tmp_path / "x", "exception")
    trace = document(tmp_path / "x", event, "traceback").text
    assert "in fail" in trace
    assert "ghp_a" not in trace
    assert "ghp_a" not in event.text
    with simckpt.open("x") as bundle:
        (log,) = (bundle.document(h) for h in event.facts["documents"]["logs"])
        assert log.text == "step 1\npassword=***\nstep 2\n"
        assert bundle.document(event.facts["documents"]["recent_samples"]).samples[-1].step == 3


def test_the_first_checkpoint_of_a_campaign_has_the_whole_environment(tmp_path: Path) -> None:
    simckpt.run(bundle=tmp_path / "a", stage="spin-up")(drive)(3)
    simckpt.run(bundle=tmp_path / "b", upstream=tmp_path / "a")(drive)(3)
    simckpt.run(bundle=tmp_path / "c", upstream=tmp_path / "a", numerics={"rtol": 1e-4})(drive)(3)
    event = captured(tmp_path / "a", "environment")
    assert "first checkpoint of a campaign" in event.text
    assert document(tmp_path / "a", event, "packages").versions["numpy"] == np.__version__
    assert document(tmp_path / "a", event, "environment").sections["cpu"]
    assert document(tmp_path / "a", event, "circumstances").sections["process"]
    assert captures(tmp_path / "b") == [], "nothing changed"
    event = captured(tmp_path / "c", "environment")
    assert "tolerances changed: numerics.rtol" in event.text


def test_a_drift_is_measured_from_the_runs_first_sample_over_all_job_attempts(
    tmp_path: Path,
) -> None:
    tank = Tank()

    def part(leak: float, fail: bool) -> None:
        for _ in range(3):
            advance(tank, 0.1, leak)
        if fail:
            raise RuntimeError

    run = simckpt.run(bundle=tmp_path / "x", triggers=["drift(mass) > 2e-3"])
    with pytest.raises(RuntimeError):
        run(part)(leak=6e-4, fail=True)
    simckpt.run(bundle=tmp_path / "x", triggers=["drift(mass) > 2e-3"], start_step=3)(part)(
        leak=6e-4, fail=False
    )
    event = captured(tmp_path / "x", "bound")
    assert event.step == 4
    assert event.facts["values"]["drift(mass)"] == pytest.approx(4 * 6e-4, rel=0.01)


def test_without_triggers_nothing_is_captured(tmp_path: Path) -> None:
    def fail() -> None:
        drive()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        simckpt.run(bundle=tmp_path / "x", triggers=False)(fail)()
    assert captures(tmp_path / "x") == []


def test_a_signal_captures_before_its_checkpoint(tmp_path: Path) -> None:
    program = """
import os, signal, simckpt
with simckpt.run(bundle="x", logs=["x.log"]):
    open("x.log", "w").write("last words\\n")
    os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, timeout=60, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == -15, done.stderr
    event = captured(tmp_path / "x", "signal")
    assert "SIGTERM" in event.text
    with simckpt.open(tmp_path / "x") as bundle:
        (log,) = (bundle.document(h) for h in event.facts["documents"]["logs"])
        assert log.text == "last words\n"
        assert [c.reason for c in bundle.checkpoints][:2] == ["start", "signal"]


def environment_hits(previous: PreviousRun, *checkpoint: Any) -> list[str]:
    """The events of the environment's trigger at the first checkpoint of a job attempt."""
    events: list[Event] = []

    class Writer:
        def capture(self, hit: Any, *_more: Any) -> tuple[Event, tuple[str, ...]]:
            event = Event(name="x", severity="note", step=0, wall=0.0, text=hit.reason)
            return event, ()

    triggers = (simckpt.Trigger("environment"),)
    engine = TriggerEngine(triggers, 10, previous, Writer(), events.append, 3)  # type: ignore[arg-type]
    engine.checkpoint(*checkpoint)
    assert engine.actions().problems == ()
    return [event.text for event in events]


def test_another_kind_of_node_fires_wherever_it_is() -> None:
    rank0 = Environment(sections={"cpu": {"model": "Xeon"}})
    other = Environment(sections={"cpu": {"model": "EPYC"}})
    empty = Specification(facts={})
    before = PreviousRun(exists=True, environment=rank0, specification=empty, nodes=(rank0,))
    hits = environment_hits(before, rank0, empty, 0, {"n1": rank0, "n2": other})
    assert hits == ["machine of n2 changed: cpu.model"]
    assert environment_hits(before, rank0, empty, 0, {"n1": rank0}) == []


def test_another_program_upstream_is_no_other_version_of_this_one() -> None:
    machine = Environment(sections={"cpu": {"model": "Xeon"}})

    def specified(role: str, **code: str) -> Specification:
        return Specification(facts={"stage": {"role": role}, "driver": "main", "code": code})

    before = specified("simulation", solver="a", drive="b")
    for now, continued, fires in (
        (specified("analysis", solver="c", plot="d"), False, False),
        (specified("simulation", plot="d"), False, False),
        (specified("simulation", solver="c", produce="d"), False, True),
        (specified("simulation", produce="d"), True, True),
    ):
        previous = PreviousRun(
            exists=True, continued=continued, environment=machine, specification=before
        )
        hits = environment_hits(previous, machine, now, 0)
        assert bool(hits) is fires
        assert all("simulator version changed" in reason for reason in hits)


def test_triggers_are_part_of_the_specification(tmp_path: Path) -> None:
    for name, limit in (("a", 1e-9), ("b", 1e-6)):
        rule = simckpt.Trigger(f"drift(m) > {limit}", actions="stop", name="leak")
        with simckpt.run(tmp_path / name, triggers=[rule], upstream=[*tmp_path.glob("a.*.h5")]):
            pass
    with simckpt.open(tmp_path / "b") as bundle:
        parts = bundle.checkpoints[-1].parts
        rules = bundle.document(parts.specification).facts["captures"]
        (change,) = bundle.document(parts.spec_diff).since_upstream
    assert rules["one_in"] == 10
    assert rules["triggers"]["leak"] == {"rule": "drift(m) > 1e-06", "actions": ["stop"]}
    assert rules["triggers"]["signal"]["rule"] == "signal"
    assert change.path == "captures.triggers.leak.rule"
    assert (change.old, change.new) == ("drift(m) > 1e-09", "drift(m) > 1e-06")
