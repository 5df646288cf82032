"""What a driver on many ranks gets: one bundle, the same bits, and nobody left hanging."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

import simckpt

pytestmark = pytest.mark.mpi

SHAPES = {1: (41,), 2: (13, 17), 3: (7, 9, 11)}

# A field that lives on a process grid, filled from its global indices alone.
PROGRAM = """
import sys
import numpy as np
from mpi4py import MPI
import simckpt
from verdict import tell

comm = MPI.COMM_WORLD
bundle, axes, order = sys.argv[1], int(sys.argv[2]), sys.argv[3]
shape = {1: (41,), 2: (13, 17), 3: (7, 9, 11)}[axes]
dims = MPI.Compute_dims(comm.size, axes)
coords = np.unravel_index(comm.rank, dims)
start = [n * c // d for n, c, d in zip(shape, coords, dims)]
stop = [n * (c + 1) // d for n, c, d in zip(shape, coords, dims)]
local = tuple(slice(a, b) for a, b in zip(start, stop))

class Sim:
    def __init__(self):
        self.t = 0.0
        values = np.random.default_rng(5).standard_normal(shape) * 10.0 ** np.linspace(
            -12, 12, np.prod(shape)).reshape(shape)
        padded = np.full([b - a + 2 for a, b in zip(start, stop)], np.nan, order=order)
        self.u = padded
        self.inner = padded[(slice(1, -1),) * axes]
        self.inner[...] = values[local]

@simckpt.step(
    grid=lambda sim: simckpt.Grid(shape, spacing=0.5, start=start, ghost=1),
    fields=lambda sim: {"u": sim.u},
    conserved={"total": "u", "square": "u*u"},
    stability={"courant": simckpt.CFL(*["abs(u)"] * axes)},
)
def advance(sim, dt):
    sim.inner *= 1.0 + dt
    sim.t += dt

@simckpt.run(bundle=bundle)
def main():
    sim = Sim()
    for _ in range(3):
        advance(sim, 0.25)
    return sim

main()
tell(comm.rank, done=True)
"""


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_same_bits_on_any_number_of_ranks_and_in_any_memory_order_are_those_of_fsum(
    mpiexec, tmp_path: Path, axes: int
) -> None:
    for ranks, order in [(1, "C"), (2, "F"), (3, "C"), (4, "C"), (7, "F")]:
        name = str(tmp_path / f"{ranks}")
        mpiexec(PROGRAM, name, str(axes), order, ranks=ranks, timeout=120).check()
    bundles = [simckpt.open(tmp_path / str(r)) for r in (1, 2, 3, 4, 7)]
    for a, b in itertools.pairwise(bundles):
        assert list(a.series().step) == list(b.series().step) == [0, 1, 2, 3]
        for name in a.series():
            one, other = a.series()[name], b.series()[name]
            assert np.array_equal(one.view(np.uint64), other.view(np.uint64)), name
        assert np.array_equal(a.digests("u").values, b.digests("u").values)
        assert len(b.segments[0].decomposition.patches) == b.segments[0].segment.ranks
    first = bundles[0].series()
    shape = SHAPES[axes]
    u = np.random.default_rng(5).standard_normal(shape) * 10.0 ** np.linspace(
        -12, 12, math.prod(shape)
    ).reshape(shape)
    for sample in range(4):
        # The cells' volume is a power of two: multiplying by it rounds nothing.
        assert first["total"][sample] == math.fsum(u.ravel()) * 0.5**axes
        assert first["square"][sample] == math.fsum((u * u).ravel()) * 0.5**axes
        assert (first["u.min"][sample], first["u.max"][sample]) == (u.min(), u.max())
        u *= 1.25
    for bundle in bundles:
        bundle.close()


ALONE = """
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
u = np.arange(4.0)
with simckpt.run(bundle="x") as run:
    for step in range(6):
        if step < 3 or comm.rank == {who}:
            run.sample(step=step, fields={{"u": u}}, conserved={{"total": "u"}},
                       grid=simckpt.Grid((4 * comm.size,), start=4 * comm.rank))
        comm.Barrier()
tell(comm.rank, done=True)
"""


@pytest.mark.parametrize("who", [0, 1])
def test_a_rank_that_samples_alone_is_reported_and_nobody_hangs(
    mpiexec, tmp_path: Path, who: int
) -> None:
    done = mpiexec(ALONE.format(who=who), ranks=3, timeout=90).check()
    assert len(done.verdicts) == 3
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series().step) == [0, 1, 2]
        assert any(e.name == "ranks_out_of_step" for e in bundle.events)
        assert bundle.segments[-1].ending == "finished"


SHIFTED = """
import numpy as np, simckpt
from mpi4py import MPI
comm = MPI.COMM_WORLD
u = np.arange(4.0)
with simckpt.run(bundle="x") as run:
    for step in range(4):
        run.sample(step=step + (comm.rank == 1 and step == 2), fields={"u": u},
                   conserved={"total": "u"},
                   grid=simckpt.Grid((4 * comm.size,), start=4 * comm.rank))
"""


def test_ranks_that_sample_different_steps_are_reported(mpiexec, tmp_path: Path) -> None:
    mpiexec(SHIFTED, ranks=2, timeout=60).check()
    with simckpt.open(tmp_path / "x") as bundle:
        # The last one is the first of its step on one rank, and the second on the other.
        assert [bool(f) for f in bundle.series().faults] == [False, False, True, True]
        assert any("step" in e.text for e in bundle.events)


BAD_SETUP = """
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
try:
    with simckpt.run(bundle="x") as run:
        run.sample(step=0, fields={FIELDS}, conserved={"total": "u"}, grid=GRID)
except simckpt.SetupError as error:
    tell(comm.rank, error=str(error))
"""


@pytest.mark.parametrize(
    ("fields", "grid", "words"),
    [
        ('"v": np.zeros(4)', "simckpt.Grid((12,), start=4 * comm.rank)", ["u", "Choices: v"]),
        ('"u": np.zeros(4)', "simckpt.Grid((12,), start=3 * comm.rank)", ["rank"]),
        ('"u": np.zeros(4)', "simckpt.Grid((14,), start=4 * comm.rank)", ["12"]),
        (
            '"u": np.zeros(4 + (comm.rank == 2))',
            "simckpt.Grid((12,), start=4 * comm.rank)",
            ["(5,)", "fit"],
        ),
    ],
)
def test_a_wrong_set_up_is_the_same_error_on_every_rank(
    mpiexec, fields: str, grid: str, words: list[str]
) -> None:
    program = BAD_SETUP.replace("FIELDS", fields).replace("GRID", grid)
    done = mpiexec(program, ranks=3, timeout=60).check()
    errors = {v["error"] for v in done.verdicts.values()}
    assert len(done.verdicts) == 3
    assert len(errors) == 1
    (error,) = errors
    for word in words:
        assert word in error


RAISES = """
import numpy as np, simckpt
from mpi4py import MPI
comm = MPI.COMM_WORLD
u = np.arange(4.0)
with simckpt.run(bundle="x") as run:
    for step in range(6):
        run.sample(step=step, fields={"u": u}, conserved={"total": "u"},
                   grid=simckpt.Grid((4 * comm.size,), start=4 * comm.rank))
        if step == 3 and comm.rank in WHO:
            raise ValueError(f"rank {comm.rank} gives up")
        comm.Barrier()
"""


def test_one_rank_that_raises_ends_the_job_within_seconds(mpiexec, tmp_path: Path) -> None:
    done = mpiexec(RAISES.replace("WHO", "(1,)"), ranks=3, timeout=30, runner=())
    assert done.status != 0
    assert "rank 1 gives up" in done.stderr
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.checkpoints
        assert len(bundle.series().step) >= 3


def test_an_exception_that_all_ranks_share_is_recorded_by_rank_0(mpiexec, tmp_path: Path) -> None:
    done = mpiexec(RAISES.replace("WHO", "(0, 1, 2)"), ranks=3, timeout=30, runner=())
    assert done.status != 0
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.segments[-1].ending == "exception"
        assert "rank 0 gives up" in bundle.checkpoints[-1].why
        assert list(bundle.series().step) == [0, 1, 2, 3]


PACED = """
import time
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
u = np.arange(4.0)
step = simckpt.step(grid=simckpt.Grid((4 * comm.size,), start=4 * comm.rank), fields={"u": u},
                    conserved={"total": "u"}, every=simckpt.MaxOverhead(0.02))
with simckpt.run(bundle="x"):
    for _ in range(400):
        step.done()
"""


def test_an_overhead_cadence_settles_on_one_interval_for_all_ranks(mpiexec, tmp_path: Path) -> None:
    mpiexec(PACED, ranks=3, timeout=60).check()
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = [e for e in bundle.events if e.name == "cadence_settled"]
        interval = event.facts["interval"]
        assert interval & (interval - 1) == 0
        later = [s for s in bundle.series().step if s > 8 and s < 400]
        assert later == [s for s in range(9, 400) if s % interval == 0]
        assert not bundle.series().faults.any()


STOPPED = """
import os, signal, time
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
u = np.arange(4.0)
with simckpt.run(bundle="x") as run:
    step = 0
    while step < 5000 and not simckpt.should_stop():
        step += 1
        run.sample(step=step, fields={"u": u}, conserved={"total": "u"},
                   grid=simckpt.Grid((4 * comm.size,), start=4 * comm.rank))
        if step == 20 and comm.rank == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
tell(comm.rank, step=step)
"""


def test_a_signal_to_any_rank_stops_all_ranks_at_one_step(mpiexec, tmp_path: Path) -> None:
    done = mpiexec(STOPPED, ranks=3, timeout=60).check()
    steps = {v["step"] for v in done.verdicts.values()}
    assert len(steps) == 1
    assert 20 <= steps.pop() < 5000
    with simckpt.open(tmp_path / "x") as bundle:
        assert bundle.segments[-1].ending == "signal"
        assert "SIGUSR1" in bundle.checkpoints[-1].why


STREAMS = """
import sys
import numpy as np
from mpi4py import MPI
import simckpt

rank = MPI.COMM_WORLD.rank
with simckpt.run(sys.argv[1], seeds={"seed": 1, "noise": np.random.default_rng([1, rank])}):
    simckpt.checkpoint("drawn")
"""


def test_the_seeds_and_generators_of_every_rank_are_told_apart(mpiexec, tmp_path: Path) -> None:
    mpiexec(STREAMS, str(tmp_path / "a"), ranks=3).check()
    with simckpt.open(tmp_path / "a") as bundle:
        told = bundle.document(bundle.checkpoints[0].parts.random).streams
    assert len(set(told)) == 3


NO_GROUP = """
import simckpt
from mpi4py import MPI
from verdict import tell
world = MPI.COMM_WORLD
half = world.Split(world.rank % 2, world.rank)
texts = []
for comm in (
    world.Split(MPI.UNDEFINED if world.rank else 0, 0),
    half.Create_intercomm(0, world, 1 - world.rank % 2),
):
    try:
        with simckpt.run(bundle=f"x{world.rank}", comm=comm):
            texts.append("it ran")
    except simckpt.SetupError as error:
        texts.append(str(error))
tell(world.rank, texts=texts)
"""


def test_what_is_not_one_group_of_ranks_is_refused_as_comm(mpiexec) -> None:
    told = mpiexec(NO_GROUP, ranks=2, timeout=60).check().verdicts
    one, two = told[0], told[1]
    assert one["texts"][0] == "it ran"
    assert two["texts"][0].startswith("comm = 'MPI.COMM_NULL': is the communicator of no ranks")
    assert "if comm != MPI.COMM_NULL" in two["texts"][0]
    for rank in (one, two):
        assert rank["texts"][1].startswith("comm = 'an intercommunicator'")
        assert "comm.Merge()" in rank["texts"][1]


LOST = """
import numpy as np, simckpt
from mpi4py import MPI
rank = MPI.COMM_WORLD.rank
with simckpt.run(bundle="x") as run:
    for step in range(2):
        u = np.ones(4) if step * rank == 0 else None
        run.sample(step=step, fields={"u": u}, grid=simckpt.Grid(8, start=4 * rank))
"""


def test_the_terminal_is_told_on_which_rank_a_diagnostic_failed(mpiexec) -> None:
    done = mpiexec(LOST, ranks=2, timeout=60).check()
    assert "rank 1: diagnostic_failed: u at step 1" in done.stderr
