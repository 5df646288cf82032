"""One stray sample of one rank costs a few samples, and not all that come after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simckpt

STRAY = """
import time
import numpy as np, simckpt
from mpi4py import MPI
comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
u = np.zeros(4)
with simckpt.run(bundle="x") as run:
    for step in range(40):
        u[:] = step
        times = {times}
        for _ in range(times):
            run.sample(step=step, t=float(step), fields={{"u": u}}, conserved={{"total": "u"}},
                       grid=simckpt.Grid((4 * size,), start=4 * rank))
        comm.Barrier()
        time.sleep(0.002)
"""


@pytest.mark.mpi
@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("times", [0, 3])
def test_ranks_that_were_apart_sample_together_again(
    mpiexec, tmp_path: Path, who: int, times: int
) -> None:
    odd = f"{times} if rank == {who} and step == 3 else 1"
    mpiexec(STRAY.format(times=odd), ranks=3, timeout=90).check()
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        total, step = series["total"], series.step
        sound = np.isfinite(total)
        assert np.array_equal(total[sound], 12.0 * step[sound])
        assert sound[:3].all()
        # Some are lost until the ranks have heard of it; the last ones are not.
        assert sound[-20:].all()
        assert step[-1] == 39
        realigned = [e for e in bundle.events if e.name == "samples_realigned"]
        assert {e.rank for e in realigned} == ({1, 2} if who == 0 else {1})


@pytest.mark.mpi
def test_a_rank_that_counts_its_steps_otherwise_for_once_is_not_realigned(
    mpiexec, tmp_path: Path
) -> None:
    program = STRAY.format(times="1").replace(
        "step=step,", "step=step + (rank == 1 and step == 9),"
    )
    mpiexec(program, ranks=2, timeout=90).check()
    with simckpt.open(tmp_path / "x") as bundle:
        sound = np.isfinite(bundle.series()["total"])
        # The next one is that rank's second of step 10.
        assert np.flatnonzero(~sound).tolist() == [9, 10]
        assert not any(e.name == "samples_realigned" for e in bundle.events)


TWICE = """
import time
import numpy as np, simckpt
from mpi4py import MPI
comm = MPI.COMM_WORLD
u = np.zeros(2)
with simckpt.run(bundle="x") as run:
    for k in range(60):
        # A predictor and a corrector of each step; one of them is left out on one rank.
        u[:] = k
        if comm.rank != {who} or k != 12:
            run.sample(step=k // 2, t=float(k // 2), fields={{"u": u}}, conserved={{"total": "u"}},
                       grid=simckpt.Grid((2 * comm.size,), start=2 * comm.rank))
        comm.Barrier()
        time.sleep(0.002)
"""


@pytest.mark.mpi
@pytest.mark.parametrize("who", [0, 1])
def test_two_samples_of_one_step_are_not_taken_for_one(mpiexec, tmp_path: Path, who: int) -> None:
    mpiexec(TWICE.format(who=who), ranks=2, timeout=90).check()
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        total, step = series["total"], series.step
        sound = np.isfinite(total)
        truth = {(n, 4.0 * k) for n in range(30) for k in (2 * n, 2 * n + 1)}
        told = zip(step[sound], total[sound], strict=True)
        mixed = [(s, v) for s, v in told if (s, v) not in truth]
        # Of the two samples of step 6 only one is there on that rank: which cannot be known.
        assert all(s == 6 for s, _ in mixed)
        assert sound[-20:].all()
        assert total[-1] == 4.0 * 59
