"""One suite for the communicator's twins: what holds for one rank holds for many."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt.parallel.comm import PAIR, SerialComm

PROGRAM = """
import numpy as np
from mpi4py import MPI
from verdict import tell
from simckpt.parallel.comm import PAIR, ExchangeFailed
from simckpt.parallel.mpi import world
from simckpt.parallel.comm import poll
import time

comm = world()
stream = comm.duplicate()
seen = comm.exchange("test", {"rank": comm.rank, "text": "x" * comm.rank}, 10.0)
largest = np.uint64(2**64 - 1)
mixed = ""
try:
    comm.exchange(f"purpose {min(comm.rank, 1)}", None, 10.0)
except ExchangeFailed as error:
    mixed = str(error)
sums = np.array([1, largest, comm.rank], dtype=np.uint64)
maxima = np.zeros(4, PAIR)
maxima["value"] = float(comm.rank), -float(comm.rank), -np.inf, 7.0
maxima["place"] = 40 + comm.rank, 50 + comm.rank, 0, 60 - comm.rank
reduction = stream.reduce(sums, maxima)
assert poll(reduction.done, time.monotonic() + 10)
result = reduction.result()
late = ""
if comm.rank == 0:
    try:
        stream.exchange("test", "alone", 0.2)
    except ExchangeFailed:
        late = "timeout"
MPI.COMM_WORLD.Barrier()
tell(comm.rank, seen=[s["rank"] for s in seen], texts=[len(s["text"]) for s in seen],
     sums=None if result is None else [int(x) for x in result[0]],
     maxima=None if result is None else [[float(v), int(p)] for v, p in result[1]],
     late=late, size=comm.size, mixed=mixed, facts=comm.facts())
"""


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 3])
def test_sums_wrap_modulo_2_64_and_only_rank_0_has_them(mpiexec, ranks: int) -> None:
    done = mpiexec(PROGRAM, ranks=ranks, timeout=60).check()
    root = done.verdicts[0]
    assert root["sums"] == [ranks, (2**64 - 1) * ranks % 2**64, sum(range(ranks))]
    # Of the value that all ranks have, the least place remains.
    assert root["maxima"] == [
        [ranks - 1.0, 39 + ranks], [0.0, 50], [float("-inf"), 0], [7.0, 61 - ranks]
    ]  # fmt: skip
    assert all(done.verdicts[r]["sums"] is None for r in range(1, ranks))


@pytest.mark.mpi
def test_an_exchange_gives_every_rank_every_value_and_ends_when_one_rank_is_alone(mpiexec) -> None:
    done = mpiexec(PROGRAM, ranks=3, timeout=60).check()
    for verdict in done.verdicts.values():
        assert verdict["seen"] == [0, 1, 2]
        assert verdict["texts"] == [0, 1, 2]
        assert verdict["size"] == 3
        assert verdict["facts"]["library"]
        assert "purpose 0" in verdict["mixed"]
        assert "purpose 1" in verdict["mixed"]
    assert done.verdicts[0]["late"] == "timeout"


def test_the_serial_twin_reduces_to_its_own_values() -> None:
    comm = SerialComm()
    sums, maxima = np.array([7], dtype=np.uint64), np.array([(-np.inf, 3)], PAIR)
    reduction = comm.duplicate().reduce(sums, maxima)
    assert reduction.done()
    result = reduction.result()
    assert result is not None
    assert result[0][0] == 7
    assert result[1][0].item() == (-np.inf, 3)
    assert comm.exchange("test", "x", 1.0) == ["x"]
    assert (comm.rank, comm.size) == (0, 1)
    comm.post(np.arange(3))
    assert [(rank, words.tolist()) for rank, words in comm.posted()] == [(0, [0, 1, 2])]
    assert comm.posted() == []
