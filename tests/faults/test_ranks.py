"""Four ranks of which one raises, dies or computes nonsense: a marked record, and nobody hangs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import simckpt
from simckpt.bundle import BundleWriter, verify

pytestmark = pytest.mark.mpi

LIMIT = 60.0
"""Seconds until a program counts as hung."""

PROGRAM = """
import os, signal, time
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
rank = comm.rank
class Sim:
    u = np.arange(4.0) + rank
    t = 0.0
sim = Sim()
grid = simckpt.Grid((4 * comm.size,), start=4 * rank)
step = 0

def fields():
    return {"u": sim.u}

with simckpt.run(bundle="x", OPTIONS) as run:
    for step in range(8):
        CHANGE
        run_step()
        comm.Barrier()
        if step % 3 == 0:
            run.checkpoint(f"at {step}")
tell(rank, done=True)
"""

SAMPLE = """
measure = simckpt.step(
    grid=lambda: grid, fields=lambda: fields(), conserved={"total": "u"},
    time=lambda: clock(), step=lambda: number(), source="arguments",
)
def clock():
    return sim.t
def number():
    return step
def run_step():
    sim.t = step / 8
    measure.done()
"""


def program(change: str, options: str = "") -> str:
    head, loop = PROGRAM.split("with simckpt.run", 1)
    body = head + SAMPLE + "\nwith simckpt.run" + loop
    return body.replace("OPTIONS", options).replace("CHANGE", change)


def found(folder: Path) -> simckpt.bundle.Bundle:
    assert [f for f in verify(folder / "x") if f.severity == "damage"] == []
    return simckpt.open(folder / "x")


def names(bundle: simckpt.bundle.Bundle) -> set[str]:
    return {event.name for event in bundle.events}


@pytest.mark.parametrize("who", [0, 2])
def test_a_rank_that_raises_alone_ends_the_job_and_is_recorded(
    mpiexec, tmp_path: Path, who: int
) -> None:
    change = f"if step == 5 and rank == {who}: raise ValueError('token=hunter2 no convergence')"
    done = mpiexec(program(change), ranks=4, timeout=LIMIT, runner=())
    assert done.status != 0
    assert "no convergence" in done.stderr
    with found(tmp_path) as bundle:
        (event,) = [e for e in bundle.events if e.name == "rank_raised"]
        assert (event.rank, event.step, event.facts["exception"]) == (who, 4, "ValueError")
        assert "program.py" in event.facts["traceback"]
        assert "hunter2" not in str(event)
        assert bundle.segments[-1].ending == "exception"
        assert f"rank {who}: ValueError" in bundle.segments[-1].end.why
        assert list(bundle.series().step)[:4] == [0, 1, 2, 3]
    BundleWriter.resume(tmp_path / "x").close()
    with found(tmp_path) as bundle:
        assert [e.rank for e in bundle.events if e.name == "rank_raised"] == [who]
    assert not list(tmp_path.glob("x.simckpt.rank*"))


def test_without_abort_the_others_do_not_wait_long_for_a_rank_that_raised(
    mpiexec, tmp_path: Path
) -> None:
    change = """
        if step == 5 and rank == 2: raise ValueError('no convergence')
        if step == 5: break
        """
    begun = time.monotonic()
    done = mpiexec(program(change, "abort_on_error=False"), ranks=4, timeout=LIMIT, runner=())
    assert time.monotonic() - begun < LIMIT
    assert done.status != 0
    assert sorted(done.verdicts) == [0, 1, 3]
    with found(tmp_path) as bundle:
        assert bundle.segments[-1].ending == "exception"
        assert bundle.segments[-1].end.why == "rank 2: ValueError: no convergence"
        assert bundle.checkpoints[-1].reason == "exception"
        assert "rank_raised" in names(bundle)


def test_ranks_that_raise_together_are_all_heard(mpiexec, tmp_path: Path) -> None:
    change = "if step == 5: raise ValueError(f'rank {rank} gives up')"
    assert mpiexec(program(change), ranks=4, timeout=LIMIT, runner=()).status != 0
    with found(tmp_path) as bundle:
        told = {(e.rank, e.text) for e in bundle.events if e.name == "rank_raised"}
        assert told == {(r, f"ValueError: rank {r} gives up") for r in range(4)}


@pytest.mark.parametrize("who", [0, 3])
def test_kill_9_of_one_rank_leaves_a_readable_bundle(mpiexec, tmp_path: Path, who: int) -> None:
    change = f"if step == 5 and rank == {who}: os.kill(os.getpid(), signal.SIGKILL)"
    assert mpiexec(program(change), ranks=4, timeout=LIMIT).status != 0
    with found(tmp_path) as bundle:
        assert [c.label for c in bundle.checkpoints] == ["start", "at 0", "at 3"]
        assert list(bundle.series().step)[:4] == [0, 1, 2, 3]
        assert bundle.segments[-1].ending is None


TROUBLES = {
    "a callable raises": (
        "fields = lambda: {'u': sim.u} if step != 4 or rank != 1 else 1 / 0",
        {"state_unreadable", "sample_incomplete"},
    ),
    "a field disappears": (
        "fields = lambda: {'u': sim.u} if step != 4 or rank != 1 else {}",
        {"sample_incomplete"},
    ),
    "another shape": (
        "sim.u = np.arange(9.0) if step == 4 and rank == 2 else np.arange(4.0)",
        {"sample_incomplete"},
    ),
    "another dtype": (
        "sim.u = np.arange(4.0).astype('f4' if step == 4 and rank == 2 else 'f8')",
        {"sample_incomplete"},
    ),
    "a clock raises": (
        "clock = (lambda: 1 / 0) if step == 4 and rank == 2 else (lambda: sim.t)",
        {"time_unreadable", "sample_incomplete"},
    ),
    "no array": (
        "sim.u = 'nonsense' if step == 4 and rank == 2 else np.arange(4.0)",
        {"sample_incomplete"},
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_bad_state_on_one_rank_marks_its_sample_and_the_job_goes_on(
    mpiexec, tmp_path: Path, trouble: str
) -> None:
    change, expected = TROUBLES[trouble]
    done = mpiexec(program(change), ranks=4, timeout=LIMIT).check()
    assert len(done.verdicts) == 4
    with found(tmp_path) as bundle:
        series = bundle.series()
        assert list(series.step) == list(range(8))
        assert [bool(f) for f in series.faults] == [s == 4 for s in range(8)]
        assert expected & names(bundle), names(bundle)
        assert bundle.segments[-1].ending == "finished"


def test_nan_everywhere_and_denormals_are_values_like_others(mpiexec, tmp_path: Path) -> None:
    change = "sim.u = np.full(4, {4: np.nan, 5: 5e-324, 6: -np.inf}.get(step, 1.0))"
    mpiexec(program(change), ranks=4, timeout=LIMIT).check()
    with found(tmp_path) as bundle:
        series = bundle.series()
        assert list(series.step) == list(range(8))
        assert list(series["u.nan"]) == [16.0 if s == 4 else 0.0 for s in range(8)]
        assert series["u.min"][5] == 5e-324
        assert series["total"][5] == 16 * 5e-324
        assert series["u.neginf"][6] == 16
        assert "non_finite" in names(bundle)


def test_steps_and_clocks_that_jump_are_recorded_as_they_were(mpiexec, tmp_path: Path) -> None:
    change = (
        "number = lambda: {4: 1}.get(step, step)\n"
        "        if step == 3: time.time = lambda: 0.0\n"
        "        if step == 5: time.time = lambda: 4e9"
    )
    mpiexec(program(change), ranks=4, timeout=LIMIT).check()
    with found(tmp_path) as bundle:
        series = bundle.series(effective=False)
        assert list(series.step) == [0, 1, 2, 3, 1, 5, 6, 7]
        assert not series.faults.any()
        assert series.wall[3] == 0.0
        assert list(bundle.series().step) == [0, 2, 3, 1, 5, 6, 7]
        (marked,) = (e for e in bundle.events if e.name == "step_out_of_order")
        assert marked.step == 1
        assert bundle.segments[-1].ending == "finished"


SIGNALLED = """
import os, signal, sys, time
import numpy as np, simckpt
from mpi4py import MPI
comm = MPI.COMM_WORLD
u = np.arange(4.0)
grid = simckpt.Grid((4 * comm.size,), start=4 * comm.rank)
heard = []
signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
with simckpt.run(bundle="x") as run:
    for step in range(400):
        if simckpt.should_stop():
            break
        run.sample(grid=grid, fields={"u": u}, conserved={"total": "u"}, step=step)
        comm.Barrier()
        if step == 5 and comm.rank == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.002)
sys.exit(17)
"""


@pytest.mark.parametrize("who", [0, 3])
def test_a_signal_to_one_rank_ends_all_in_order_with_the_drivers_own_status(
    mpiexec, tmp_path: Path, who: int
) -> None:
    done = mpiexec(SIGNALLED, str(who), ranks=4, timeout=LIMIT)
    assert done.status == 17
    with found(tmp_path) as bundle:
        assert bundle.segments[-1].ending == "signal"
        assert bundle.segments[-1].end.why == f"rank {who} received SIGUSR1"
        assert bundle.checkpoints[-1].reason == "signal"
        assert bundle.checkpoints[-1].step < 399
    assert not (tmp_path / "x.simckpt.journal").exists()


SECOND = """
import sys, simckpt
from mpi4py import MPI
from verdict import tell
try:
    with simckpt.run(bundle=sys.argv[1]):
        tell(MPI.COMM_WORLD.rank, error="")
except simckpt.errors.BundleBusyError as error:
    tell(MPI.COMM_WORLD.rank, error=str(error))
"""


def test_a_second_run_on_a_bundle_is_told_on_every_rank_who_holds_it(
    mpiexec, tmp_path: Path
) -> None:
    with simckpt.run(bundle=tmp_path / "x"):
        done = mpiexec(SECOND, str(tmp_path / "x"), ranks=4, timeout=LIMIT).check()
        errors = {v["error"] for v in done.verdicts.values()}
        assert len(done.verdicts) == 4
        (error,) = errors
        assert f"process {os.getpid()}" in error
    with found(tmp_path) as bundle:
        assert len(bundle.segments) == 1
        assert bundle.segments[-1].ending == "finished"
