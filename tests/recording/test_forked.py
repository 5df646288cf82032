"""A process that the driver forks has a copy of the run, and must leave the run alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from heat import Heat, advance

import simckpt
from simckpt import SimckptWarning
from simckpt.bundle import verify
from simckpt.recording import active


def in_child(act: Callable[[], None]) -> int:
    """The status of a forked child that ends as a driver's would."""
    child = os.fork()
    if not child:
        status = 99
        try:
            act()
            status = 0
        except SystemExit as left:
            status = int(left.code or 0)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_what_a_child_records_is_not_recorded_and_it_is_told_so(tmp_path: Path) -> None:
    sim = Heat()

    def acts() -> None:
        advance(sim, 0.2)
        assert simckpt.checkpoint("of the child") is None
        run.event("of_the_child")
        run.resume(4)
        run.report_settings(dt=0.1)
        assert not simckpt.should_stop()

    def child() -> None:
        with pytest.warns(SimckptWarning, match="forked") as said:
            acts()
        assert len(said) == 1

    with simckpt.run(bundle=tmp_path / "x") as run:
        advance(sim, 0.2)
        assert in_child(child) == 0
        assert not active.is_forked()
        for _ in range(5):
            advance(sim, 0.2)
        kept = simckpt.checkpoint("of the parent")
    assert verify(tmp_path / "x") == ()
    with simckpt.open(tmp_path / "x") as bundle:
        assert [c.label for c in bundle.checkpoints] == ["start", "of the parent", "final"]
        assert bundle.checkpoints[1] == kept
        assert list(bundle.series().step) == [0, 2, 4, 6]
        assert "of_the_child" not in {e.name for e in bundle.events}


def test_a_child_that_leaves_the_run_does_not_close_it(tmp_path: Path) -> None:
    def child() -> None:
        with run:
            sys.exit(3)

    with simckpt.run(bundle=tmp_path / "x") as run:
        assert in_child(child) == 3
        assert simckpt.checkpoint("after") is not None
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.segments[-1].ending == "finished"


def test_a_child_has_the_drivers_own_signal_handlers(tmp_path: Path) -> None:
    def child() -> None:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)

    with simckpt.run(bundle=tmp_path / "x"):
        simckpt.should_stop()
        assert in_child(child) == -signal.SIGTERM


def test_a_run_of_the_childs_own_is_recorded(tmp_path: Path) -> None:
    def child() -> None:
        assert active.is_forked()
        with simckpt.run(bundle=tmp_path / "y"):
            assert simckpt.checkpoint("own") is not None

    with simckpt.run(bundle=tmp_path / "x"):
        assert in_child(child) == 0
    assert verify(tmp_path / "y") == ()
