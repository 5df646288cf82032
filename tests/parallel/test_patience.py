"""How long a rank waits for others, and what it says meanwhile."""

from __future__ import annotations

import pytest

from simckpt.parallel.comm import GRACE, QUIET, Patience, poll


def test_who_waits_long_says_once_for_what_and_until_when() -> None:
    said: list[str] = []
    patience = Patience("the other ranks (end)", 100.0, 400.0, dict, said.append)
    assert patience(100.0 + QUIET) == 400.0
    assert said == []
    for now in (106.0, 107.0):
        assert patience(now) == 400.0
    assert said == ["waiting for the other ranks (end), for 294 s more at most"]


def test_once_a_rank_has_left_the_others_are_waited_for_a_few_seconds() -> None:
    gone: dict[int, str] = {}
    said: list[str] = []
    patience = Patience("x", 0.0, 300.0, lambda: gone, said.append)
    assert patience(1.0) == 300.0
    gone[2] = "ValueError: no"
    assert patience(2.0) == 2.0 + GRACE
    assert patience(4.0) == 2.0 + GRACE
    assert patience(9.0) == 2.0 + GRACE
    assert said == []


def test_a_wait_ends_when_its_patience_does() -> None:
    assert not poll(lambda: False, float("inf"), lambda now: 0.0)
    assert poll(lambda: True, 0.0, lambda now: 0.0)


LEFT = """
import time
from mpi4py import MPI
from verdict import tell
from simckpt.parallel.comm import ExchangeFailed
from simckpt.parallel.mpi import world

comm = world()
control = comm.duplicate()
votes = comm.duplicate()
waited = None
if comm.rank == 1:
    control.leave("ValueError: Ende \\u2026")
else:
    begun = time.monotonic()
    vote = votes.vote(1.0)
    outcome = vote.outcome(0.5)
    try:
        control.exchange("end", None, 60.0)
    except ExchangeFailed:
        waited = time.monotonic() - begun
    assert outcome is None
tell(comm.rank, gone=dict(votes.gone), waited=waited)
"""


@pytest.mark.mpi
def test_a_rank_that_leaves_is_known_to_all_without_a_collective_operation(mpiexec) -> None:
    done = mpiexec(LEFT, ranks=3, timeout=60).check()
    for rank in (0, 2):
        assert done.verdicts[rank]["gone"] == {"1": "ValueError: Ende …"}
        assert done.verdicts[rank]["waited"] < 30
