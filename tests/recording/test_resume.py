"""A restarted job: the checkpoint it goes on from, whether it repeats what was recorded before,
and what changed in its specification, and why.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simckpt
from simckpt.compare.restart_check import Restart, restarts
from simckpt.model.changes import ABSENT, Specification, diff
from simckpt.model.record import canonical_json
from simckpt.recording.resume import ResumePoints, SpecDiffs


def drive_counter(path: Path, stop: int, *, dies: bool, resume: int = 0, **settings) -> None:
    with simckpt.run(path, checkpoint_every=5, triggers=False, **settings) as run:
        if resume:
            run.resume(resume)

        @simckpt.step(grid=simckpt.Grid((8,)), fields=lambda u: {"u": u})
        def step(u: np.ndarray) -> None:
            u += 1

        u = np.zeros(8)
        for _ in range(resume or settings.get("start_step", 0), stop):
            step(u)
        if dies:
            raise RuntimeError("negative density")


@pytest.fixture
def died_at_12(tmp_path: Path) -> Path:
    """A run with checkpoints at 0, 5, 10 and, where it died, 12."""
    path = tmp_path / "x.simckpt.h5"
    with pytest.raises(RuntimeError):
        drive_counter(path, 12, dies=True)
    return path


def origin(path: Path, segment: int = -1) -> tuple[int, str]:
    """Step and reason of the checkpoint that a segment goes on from."""
    with simckpt.open(path) as bundle:
        id_ = bundle.segments[segment].resumed_from
        (checkpoint,) = (c for c in bundle.checkpoints if c.id == id_)
        return checkpoint.step, checkpoint.reason


def test_a_restart_before_the_end_goes_on_from_the_checkpoint_before_its_step(died_at_12) -> None:
    drive_counter(died_at_12, 15, dies=False, start_step=7)
    assert origin(died_at_12) == (5, "schedule")


@pytest.mark.parametrize("way", ["resume", "step"])
def test_a_restart_that_says_its_step_later_has_it_in_every_place(died_at_12, way: str) -> None:
    if way == "resume":
        drive_counter(died_at_12, 15, dies=False, resume=8)
    else:
        with simckpt.run(died_at_12, triggers=False) as run:
            run.sample(grid=simckpt.Grid((8,)), fields={"u": np.zeros(8)}, step=8)
    assert origin(died_at_12) == (5, "schedule")
    with simckpt.open(died_at_12) as bundle:
        assert bundle.segments[1].start_step == 8
        first = next(c for c in bundle.checkpoints if c.segment == 1)
        assert (first.step, first.reason) == (8, "start")


def test_a_restart_goes_on_from_no_checkpoint_that_one_before_it_undid(died_at_12) -> None:
    with pytest.raises(RuntimeError):
        drive_counter(died_at_12, 9, dies=True, start_step=7)
    drive_counter(died_at_12, 15, dies=False, start_step=11)
    # Those at 10 and 12 are of the history that the second job attempt replaced.
    assert origin(died_at_12) == (9, "exception")


def test_a_job_that_ends_before_its_first_step_has_its_first_checkpoint(died_at_12) -> None:
    with pytest.raises(RuntimeError), simckpt.run(died_at_12, triggers=False):
        raise RuntimeError("no restart file")
    with simckpt.open(died_at_12) as bundle:
        assert [c.reason for c in bundle.checkpoints if c.segment == 1] == ["start", "exception"]
    assert origin(died_at_12) == (12, "exception")


@pytest.mark.parametrize("argument", ["start_step", "resume"])
def test_a_restart_of_a_restart_goes_on_from_the_attempt_before_it(
    died_at_12, argument: str
) -> None:
    # No checkpoint of the second attempt but its first is before the step of the third.
    with pytest.raises(RuntimeError):
        drive_counter(died_at_12, 14, dies=True, **{argument: 12})
    drive_counter(died_at_12, 16, dies=False, start_step=13)
    assert origin(died_at_12, segment=1) == (12, "exception")
    assert origin(died_at_12, segment=2) == (12, "start")
    with simckpt.open(died_at_12) as bundle:
        id_ = bundle.segments[2].resumed_from
        assert [c.segment for c in bundle.checkpoints if c.id == id_] == [1]


def test_a_run_made_again_from_its_beginning_goes_on_from_there(died_at_12) -> None:
    drive_counter(died_at_12, 15, dies=False)
    assert origin(died_at_12) == (0, "start")


def test_the_latest_of_several_checkpoints_at_one_step_is_meant() -> None:
    points = ResumePoints(((0, "a"), (5, "b"), (5, "c"), (9, "d")))
    assert [points.before(step) for step in (4, 5, 8, 9)] == ["a", "c", "c", "d"]
    assert ResumePoints().before(3) is None


class Wave:
    """A nonlinear map of a line of cells, with a variable beside it."""

    def __init__(self, u: np.ndarray | None = None, memory: float = 0.0) -> None:
        self.u = np.sin(np.arange(40.0)) if u is None else u.astype(float)
        self.memory = memory

    def advance(self) -> None:
        self.memory = 0.5 * self.memory + 0.1
        self.u = 3.7 * self.u * (1 - self.u) * 0.25 + 0.1 * np.roll(self.u, 1) + self.memory


def drive(path: Path, wave: Wave, start: int, stop: int) -> None:
    if_exists = "continue" if start else "rename"
    with simckpt.run(path, if_exists=if_exists, start_step=start):
        step = simckpt.step(
            grid=simckpt.Grid((40,)), fields=lambda w: {"u": w.u}, conserved={"sum": "u"}
        )(Wave.advance)
        for _ in range(start, stop):
            step(wave)


def restart(path: Path, *, dtype: str = "f8", memory: bool = True) -> Restart:
    """A run of 8 steps that goes on from a restart file of step 5."""
    wave = Wave()
    for _ in range(5):
        wave.advance()
    drive(path, Wave(), 0, 8)
    drive(path, Wave(wave.u.astype(dtype), wave.memory if memory else 0.0), 5, 10)
    with simckpt.open(path) as bundle:
        assert list(bundle.series().step) == list(range(11))
        (result,) = restarts(bundle)
    return result


def restart_events(path: Path) -> list[tuple[str, int, str]]:
    with simckpt.open(path) as bundle:
        return [(e.name, e.step, e.text) for e in bundle.events if e.name.startswith("restart_")]


def test_an_exact_restart_repeats_every_bit_and_the_run_says_so(tmp_path: Path) -> None:
    result = restart(tmp_path / "exact")
    assert (result.verdict, result.first_step, result.last_step) == ("bit-for-bit", 5, 8)
    text = "the restart repeats 4 samples of the earlier attempt bit for bit, from step 5 to 8"
    assert restart_events(tmp_path / "exact") == [("restart_repeats", 8, text)]


def test_a_restart_file_in_single_precision_is_found_at_its_own_step(tmp_path: Path) -> None:
    result = restart(tmp_path / "single", dtype="f4")
    assert (result.diverges_at, result.in_state, result.fields) == (5, True, ("u",))


def test_a_forgotten_variable_is_found_at_the_next_step_and_the_run_says_so(
    tmp_path: Path,
) -> None:
    result = restart(tmp_path / "forgot", memory=False)
    assert (result.diverges_at, result.in_state) == (6, False)
    assert "sum" in result.quantities
    ((name, step, text),) = restart_events(tmp_path / "forgot")
    assert (name, step) == ("restart_differs", 6)
    assert "u is different at step 6; 1 before repeats it" in text


def test_a_restart_without_overlap_says_nothing(tmp_path: Path) -> None:
    drive(tmp_path / "x", Wave(), 0, 4)
    drive(tmp_path / "x", Wave(), 5, 8)
    assert restart_events(tmp_path / "x") == []


def specified(role: str = "simulation", code: str = "kh", **parameters: float) -> Specification:
    return Specification(
        facts={"stage": {"role": role}, "driver": "main", "code": {code: "1"},
               "parameters": parameters}
    )  # fmt: skip


def paths(changes) -> list[str]:
    return [change.path for change in changes]


@pytest.fixture
def job_reason(monkeypatch: pytest.MonkeyPatch) -> str:
    """The reason that the environment of the whole job gives."""
    monkeypatch.setenv("SIMCKPT_WHY", "ramp")
    return "ramp"


def test_the_reason_of_a_whole_job_is_that_of_its_first_checkpoint(job_reason: str) -> None:
    diffs = SpecDiffs(None, (("up", specified(dt=0.01)),))
    now = specified(dt=0.005)
    first, why = diffs.next(now, "")
    assert paths(first.since_upstream) == ["parameters.dt"]
    assert (first.why, why) == (job_reason, job_reason)
    for _ in range(3):
        again, why = diffs.next(now, "")
        assert why == ""
        assert canonical_json(again) == canonical_json(first)


def test_the_reason_of_a_job_is_given_wherever_something_changes(job_reason: str) -> None:
    diffs = SpecDiffs(None, ())
    assert [diffs.next(specified(dt=1.0), "")[1] for _ in range(2)] == [job_reason, ""]
    changed, why = diffs.next(specified(dt=2.0), "")
    assert paths(changed.changes) == ["parameters.dt"]
    assert (changed.why, why) == (job_reason, job_reason)
    assert diffs.next(specified(dt=2.0), "")[0].changes == ()


@pytest.mark.usefixtures("job_reason")
def test_what_the_driver_says_is_kept_at_its_checkpoint_and_goes_before_the_jobs() -> None:
    diffs = SpecDiffs(specified(dt=1.0), ())
    changed, why = diffs.next(specified(dt=2.0), "it blew up")
    assert (changed.why, why) == ("it blew up", "it blew up")
    same, why = diffs.next(specified(dt=2.0), "spun up")
    assert (same.changes, same.why, why) == ((), "", "spun up")


def test_each_upstream_of_the_same_program_has_a_diff_of_its_own() -> None:
    upstream = (
        ("gone", None),
        ("plot", specified(role="analysis", code="plot")),
        ("one", specified(dt=0.01)),
        ("two", specified(dt=0.005)),
        ("three", specified(dt=0.005, n=3)),
    )
    result, _ = SpecDiffs(None, upstream).next(specified(dt=0.005), "")
    assert (result.upstream, paths(result.since_upstream)) == ("one", ["parameters.dt"])
    further = [(u.upstream, paths(u.changes)) for u in result.further]
    assert further == [("two", []), ("three", ["parameters.n"])]
    assert result.unlike == ("plot",)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"opts": {}}, {"opts": {"a": 1}}, [("opts.a", ABSENT, 1)]),
        ({"opts": {"a": 1}}, {"opts": {}}, [("opts.a", 1, ABSENT)]),
        ({"opts": []}, {"opts": [1, {}]}, [("opts[0]", ABSENT, 1), ("opts[1]", ABSENT, {})]),
        ({"opts": {}}, {"opts": []}, [("opts", {}, [])]),
        ({"opts": {}}, {}, [("opts", {}, ABSENT)]),
        ({}, {"optics": {}}, [("optics", ABSENT, {})]),
        ({"opt": {}}, {"opt": {}, "opts": 1}, [("opts", ABSENT, 1)]),
    ],
)
def test_what_was_put_into_something_empty_is_the_change(old, new, expected) -> None:
    assert [(c.path, c.old, c.new) for c in diff(old, new)] == expected


def test_configuration_is_not_compared_with_a_record_that_does_not_have_it() -> None:
    before = specified(dt=1.0)

    def configured(**files) -> Specification:
        return Specification(facts={**before.facts, "configuration": files})

    diffs = SpecDiffs(before, ())
    changes = [
        paths(diffs.next(now, "")[0].changes)
        for now in (configured(run={"nu": 1.0}), configured(run={"nu": 2.0}), configured())
    ]
    assert changes == [[], ["configuration.run.nu"], ["configuration.run.nu"]]
