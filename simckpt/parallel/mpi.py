"""The communicator over MPI: the one place that imports mpi4py.

A request that was given up stays referenced with its buffers: MPI may still write into them.
"""

from __future__ import annotations

import pickle
import time
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI

from .comm import Comm, ExchangeFailed, Maxima, Reduction, Sums, Vote
from .polling import poll

T = TypeVar("T")


class _Reduction:
    def __init__(self, comm: MPI.Comm, sums: Sums, maxima: Maxima) -> None:
        root = comm.rank == 0
        self._sent = (sums, maxima)
        self._received = (np.empty_like(sums), np.empty_like(maxima)) if root else None
        sums_into, maxima_into = self._received or (None, None)
        pairs_into = None if maxima_into is None else [maxima_into, MPI.DOUBLE_INT]
        self._requests = [
            comm.Ireduce(sums, sums_into, op=MPI.SUM, root=0),
            comm.Ireduce([maxima, MPI.DOUBLE_INT], pairs_into, op=MPI.MAXLOC, root=0),
        ]

    def done(self) -> bool:
        return bool(MPI.Request.Testall(self._requests))

    def result(self) -> tuple[Sums, Maxima] | None:
        return self._received


class _Vote:
    def __init__(self, comm: MPI.Comm, value: float) -> None:
        self._mine = np.array([value])
        self._largest = np.empty(1)
        self._request = comm.Iallreduce(self._mine, self._largest, op=MPI.MAX)

    def outcome(self, timeout: float) -> float | None:
        if not poll(self._request.Test, time.monotonic() + timeout):
            return None
        return float(self._largest[0])


class MpiComm:
    """The ranks of an mpi4py communicator."""

    def __init__(self, comm: MPI.Comm) -> None:
        self._comm = comm
        self._given_up: list[object] = []

    @property
    def rank(self) -> int:
        return int(self._comm.rank)

    @property
    def size(self) -> int:
        return int(self._comm.size)

    @property
    def host(self) -> str:
        return str(MPI.Get_processor_name())

    def duplicate(self) -> Comm:
        return MpiComm(self._comm.Dup())

    def exchange(self, purpose: str, value: T, timeout: float) -> list[T]:
        deadline = time.monotonic() + timeout
        mine = np.frombuffer(pickle.dumps((purpose, value)), dtype=np.uint8)
        length = np.array([mine.size], dtype=np.int64)
        lengths = np.empty(self.size, dtype=np.int64)
        self._wait(self._comm.Iallgather(length, lengths), (length, lengths), deadline)
        gathered = np.empty(int(lengths.sum()), dtype=np.uint8)
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        request = self._comm.Iallgatherv(mine, [gathered, lengths, starts, MPI.BYTE])
        self._wait(request, (mine, gathered, lengths, starts), deadline)
        # The bytes come from this program's own ranks, never from a file.
        messages = [
            pickle.loads(gathered[s : s + n].tobytes())  # noqa: S301
            for s, n in zip(starts, lengths, strict=True)
        ]
        purposes = {theirs for theirs, _ in messages}
        if len(purposes) > 1:
            raise ExchangeFailed(f"the ranks came for different purposes: {sorted(purposes)}")
        return [value for _, value in messages]

    def reduce(self, sums: Sums, maxima: Maxima) -> Reduction:
        return _Reduction(self._comm, sums, maxima)

    def vote(self, value: float) -> Vote:
        return _Vote(self._comm, value)

    def abort(self, status: int) -> None:
        self._comm.Abort(status)

    def facts(self) -> dict[str, Any]:
        vendor, version = MPI.get_vendor()
        return {
            "library": vendor,
            "library_version": ".".join(map(str, version)),
            "library_text": MPI.Get_library_version().strip().splitlines()[0],
            "standard": ".".join(map(str, MPI.Get_version())),
            "thread_level": _THREAD_LEVELS.get(MPI.Query_thread(), "unknown"),
        }

    def _wait(self, request: MPI.Request, buffers: object, deadline: float) -> None:
        if not poll(request.Test, deadline):
            self._given_up.append((request, buffers))
            raise ExchangeFailed("not every rank came in time")


_THREAD_LEVELS = {
    MPI.THREAD_SINGLE: "single",
    MPI.THREAD_FUNNELED: "funneled",
    MPI.THREAD_SERIALIZED: "serialized",
    MPI.THREAD_MULTIPLE: "multiple",
}


def as_comm(comm: object) -> MpiComm | None:
    """An `MpiComm` of an mpi4py communicator; None if `comm` is something else."""
    return MpiComm(comm) if isinstance(comm, MPI.Comm) else None


def world() -> MpiComm | None:
    """All ranks of the program; None before MPI_Init and after MPI_Finalize."""
    if not MPI.Is_initialized() or MPI.Is_finalized():
        return None
    return MpiComm(MPI.COMM_WORLD)
