"""A run in several segments has the samples of an unbroken one, wherever it was stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import simckpt

STEPS = 40


class Walk:
    def __init__(self, step: int = 0) -> None:
        self.step = step
        self.t = step / 10
        self.x = np.arange(16.0) + step


def advance(walk: Walk, dt: float) -> None:
    walk.x += 1
    walk.step += 1
    walk.t = walk.step / 10


def attempt(
    bundle: Path, every: object, start: int, *, until: int = STEPS, signalled: bool = True
) -> None:
    """Run from `start`, and end at `until`: told to, or by an exception after which it restarts."""
    walk = Walk(start)
    step = simckpt.step(
        grid=simckpt.Grid((16,)), fields={"x": walk.x}, every=every, conserved={"sum": "x"}
    )(advance)
    with simckpt.run(bundle, start_step=start):
        while walk.step < STEPS and not simckpt.should_stop():
            if walk.step == until - 2:
                if not signalled:
                    raise RuntimeError("in the middle")
                os.kill(os.getpid(), signal.SIGUSR1)  # the ranks agree on it a step later
            step(walk, 1 / (2 + walk.step % 2))  # no two steps in a row are of one length


@pytest.mark.parametrize("every", [10, [3, 12, 20], 0.7], ids=str)
@pytest.mark.parametrize("stops", [(20,), (17, 19)], ids=str)
def test_the_effective_series_is_that_of_an_unbroken_run(
    tmp_path: Path, every: object, stops: tuple[int, ...]
) -> None:
    attempt(tmp_path / "whole", every, 0, until=-1)
    for start, stop in zip((0, *stops), (*stops, -1), strict=True):
        attempt(tmp_path / "parts", every, start, until=stop)
    with simckpt.open(tmp_path / "whole") as whole, simckpt.open(tmp_path / "parts") as parts:
        assert len(parts.segments) == len(stops) + 1
        one, other = whole.series(), parts.series()
        assert one.step.tolist() == other.step.tolist()
        assert set(one) == set(other) >= {"sum", "x.max", "dt"}
        for name in one:
            assert one[name].tobytes() == other[name].tobytes(), name
        assert np.array_equal(whole.digests("x").values, parts.digests("x").values)
        # Nothing is thrown away: what the restart is judged by is there.
        assert set(stops) <= set(parts.series(effective=False).step.tolist())


def test_a_restart_from_an_older_state_has_the_steps_of_an_unbroken_run(tmp_path: Path) -> None:
    attempt(tmp_path / "whole", 10, 0, until=-1)
    with pytest.raises(RuntimeError, match="in the middle"):
        attempt(tmp_path / "parts", 10, 0, until=28, signalled=False)
    attempt(tmp_path / "parts", 10, 15, until=-1)
    with simckpt.open(tmp_path / "whole") as whole, simckpt.open(tmp_path / "parts") as parts:
        assert whole.series().step.tolist() == parts.series().step.tolist()
        assert 15 in parts.series(effective=False).step


def test_a_run_that_nobody_continued_keeps_its_last_state(tmp_path: Path) -> None:
    attempt(tmp_path / "parts", 10, 0, until=17)
    with simckpt.open(tmp_path / "parts") as parts:
        assert parts.series().step.tolist() == [0, 10, 17]


def test_a_run_that_begins_again_at_its_beginning_keeps_its_initial_state(tmp_path: Path) -> None:
    attempt(tmp_path / "parts", [20], 0, until=17)
    attempt(tmp_path / "parts", [20], 0, until=-1)
    with simckpt.open(tmp_path / "parts") as parts:
        assert parts.series().step.tolist() == [0, 20, STEPS]
