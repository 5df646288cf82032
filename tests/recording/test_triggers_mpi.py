"""A trigger on many ranks: rank 0 captures, and all ranks stop at one step."""

from __future__ import annotations

from pathlib import Path

import pytest

import simckpt

pytestmark = pytest.mark.mpi

LEAKS = """
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
u = np.arange(4.0) + 1
calls = []

def seen(sample):
    calls.append(sample.step)

ACTIONS = ["recent_samples", "checkpoint", "stop"]
TRIGGERS = [simckpt.Trigger("drift(mass) > 1e-6", actions=ACTIONS), seen]
with simckpt.run(bundle="x", triggers=TRIGGERS) as run:
    step = 0
    while step < 5000 and not simckpt.should_stop():
        run.sample(step=step, fields={"u": u}, conserved={"mass": "u"},
                   grid=simckpt.Grid((4 * comm.size,), start=4 * comm.rank))
        step += 1
        if step >= 20 and comm.rank == 2:
            u *= 0.999
tell(comm.rank, step=step, calls=len(calls))
"""


def test_a_stop_trigger_stops_all_ranks_at_one_step(mpiexec, tmp_path: Path) -> None:
    done = mpiexec(LEAKS, ranks=3, timeout=60).check()
    steps = {v["step"] for v in done.verdicts.values()}
    assert len(steps) == 1
    assert 20 <= steps.pop() < 5000
    calls = [v["calls"] for _, v in sorted(done.verdicts.items())]
    assert calls[0] > 20
    assert calls[1:] == [0, 0], "predicates are asked on rank 0"
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.segments[-1].ending == "aborted"
        assert bundle.checkpoints[-1].label == "stopped by a trigger"
        (event,) = [e for e in bundle.events if e.facts.get("rule") == "bound"]
        flight = bundle.document(event.facts["documents"]["recent_samples"])
        assert flight.samples[-1].step >= event.step == 20


UNKNOWN = """
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
try:
    with simckpt.run(bundle="x", triggers=["drift(mas) > 1"]) as run:
        run.sample(step=0, fields={"u": np.ones(4)}, conserved={"mass": "u"},
                   grid=simckpt.Grid((4 * comm.size,), start=4 * comm.rank))
except simckpt.SetupError as error:
    tell(comm.rank, error=str(error))
"""


def test_a_bound_on_an_unknown_quantity_is_the_same_error_on_every_rank(mpiexec) -> None:
    done = mpiexec(UNKNOWN, ranks=3, timeout=60).check()
    errors = {v["error"] for v in done.verdicts.values()}
    assert len(done.verdicts) == 3
    assert len(errors) == 1
    assert "Choices: mass" in errors.pop()
