"""A restarted job names the checkpoint that its state came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simckpt
from simckpt.recording.resume_points import NO_WAYPOINTS, Waypoints


def advance(u: np.ndarray) -> None:
    u += 1


def drive(path: Path, stop: int, *, dies: bool, resume: int = 0, **asked) -> None:
    with simckpt.run(path, checkpoint_every=5, triggers=False, **asked) as run:
        if resume:
            run.resume(resume)
        step = simckpt.step(grid=simckpt.Grid((8,)), fields=lambda u: {"u": u})(advance)
        u = np.zeros(8)
        for _ in range(resume or asked.get("start_step", 0), stop):
            step(u)
        if dies:
            raise RuntimeError("negative density")


def died_at_12(path: Path) -> None:
    with pytest.raises(RuntimeError):
        drive(path, 12, dies=True)


def origin(path: Path, segment: int = -1) -> tuple[int, str]:
    """Step and reason of the checkpoint that a segment goes on from."""
    with simckpt.open(path) as bundle:
        (found,) = (c for c in bundle.checkpoints if c.id == bundle.segments[segment].resumed_from)
        return found.step, found.reason


def test_a_restart_before_the_end_goes_on_from_the_checkpoint_before_its_step(tmp_path) -> None:
    path = tmp_path / "x.simckpt.h5"
    died_at_12(path)
    drive(path, 15, dies=False, start_step=7)
    assert origin(path) == (5, "schedule")


@pytest.mark.parametrize("told", ["resume", "step"])
def test_a_restart_that_tells_its_step_later_has_it_in_every_place(tmp_path, told: str) -> None:
    path = tmp_path / "x.simckpt.h5"
    died_at_12(path)
    if told == "resume":
        drive(path, 15, dies=False, resume=8)
    else:
        with simckpt.run(path, triggers=False) as run:
            run.sample(grid=simckpt.Grid((8,)), fields={"u": np.zeros(8)}, step=8)
    assert origin(path) == (5, "schedule")
    with simckpt.open(path) as bundle:
        assert bundle.segments[1].start_step == 8
        first = next(c for c in bundle.checkpoints if c.segment == 1)
        assert (first.step, first.reason) == (8, "start")


def test_a_restart_goes_on_from_no_checkpoint_that_one_before_it_undid(tmp_path) -> None:
    path = tmp_path / "x.simckpt.h5"
    died_at_12(path)
    with pytest.raises(RuntimeError):
        drive(path, 9, dies=True, start_step=7)
    drive(path, 15, dies=False, start_step=11)
    # Those at 10 and 12 are of the history that the second job attempt replaced.
    assert origin(path) == (9, "exception")


def test_a_job_that_ends_before_its_first_step_has_its_first_checkpoint(tmp_path) -> None:
    path = tmp_path / "x.simckpt.h5"
    died_at_12(path)
    with pytest.raises(RuntimeError), simckpt.run(path, triggers=False):
        raise RuntimeError("no restart file")
    with simckpt.open(path) as bundle:
        assert [c.reason for c in bundle.checkpoints if c.segment == 1] == ["start", "exception"]
    assert origin(path) == (12, "exception")


@pytest.mark.parametrize("told", ["start_step", "resume"])
def test_a_restart_of_a_restart_goes_on_from_the_attempt_before_it(tmp_path, told: str) -> None:
    path = tmp_path / "x.simckpt.h5"
    died_at_12(path)
    # No checkpoint of the second attempt but its first lies before the step of the third.
    with pytest.raises(RuntimeError):
        drive(path, 14, dies=True, **{told: 12})
    drive(path, 16, dies=False, start_step=13)
    assert origin(path, segment=1) == (12, "exception")
    assert origin(path, segment=2) == (12, "start")
    with simckpt.open(path) as bundle:
        (found,) = (c for c in bundle.checkpoints if c.id == bundle.segments[2].resumed_from)
        assert found.segment == 1


def test_a_run_made_again_from_its_beginning_goes_on_from_there(tmp_path) -> None:
    path = tmp_path / "x.simckpt.h5"
    died_at_12(path)
    drive(path, 15, dies=False)
    assert origin(path) == (0, "start")


def test_the_latest_of_several_checkpoints_at_one_step_is_meant() -> None:
    found = Waypoints(((0, "a"), (5, "b"), (5, "c"), (9, "d")))
    assert [found.before(step) for step in (4, 5, 8, 9)] == ["a", "c", "c", "d"]
    assert NO_WAYPOINTS.before(3) is None
