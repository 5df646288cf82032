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
def test_a_rank_that_counts_its_steps_otherwise_for_once_changes_nothing(
    mpiexec, tmp_path: Path
) -> None:
    program = STRAY.format(times="1").replace(
        "step=step,", "step=step + (rank == 1 and step == 9),"
    )
    mpiexec(program, ranks=2, timeout=90).check()
    with simckpt.open(tmp_path / "x") as bundle:
        sound = np.isfinite(bundle.series()["total"])
        assert np.flatnonzero(~sound).tolist() == [9]
        assert not any(e.name == "samples_realigned" for e in bundle.events)
