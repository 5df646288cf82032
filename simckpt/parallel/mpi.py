"""The communicator over MPI: the one place that imports mpi4py.

A request that is not done stays referenced with its buffers, even if nobody asks for it any more:
MPI may still write into them.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI

from ..errors import SetupError
from .comm import (
    Comm,
    ExchangeFailed,
    Maxima,
    Patience,
    Reduction,
    Sums,
    Vote,
    Words,
    poll,
    say_nothing,
    say_on_terminal,
)

T = TypeVar("T")

_LONGEST_WORD = 500

_DEPARTURE, _POSTED, _ANNOUNCED = 0, 1, 2
"""Tags of the messages from rank to rank."""

_MOST_POSTS = 64
"""Posts of a rank that may be under way."""

_in_flight: dict[int, object] = {}
"""What MPI may still write into."""


def _keep(thing: object) -> None:
    _in_flight[id(thing)] = thing


def _release(thing: object) -> None:
    _in_flight.pop(id(thing), None)


class _MpiReduction:
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
        _keep(self)

    def done(self) -> bool:
        done = bool(MPI.Request.Testall(self._requests))
        if done:
            _release(self)
        return done

    def result(self) -> tuple[Sums, Maxima] | None:
        return self._received


class _MpiVote:
    def __init__(self, comm: MpiComm, value: float) -> None:
        self._comm = comm
        self._value = np.array([value])
        self._largest = np.empty(1)
        self._request = comm.bare.Iallreduce(self._value, self._largest, op=MPI.MAX)
        _keep(self)

    def outcome(self, timeout: float) -> float | None:
        if not self._comm.wait(self._request.Test, "the votes of the other ranks", timeout):
            return None
        _release(self)
        return float(self._largest[0])


class _Board:
    """Notices of ranks that leave while others go on, one small message to each rank.

    Parameters
    ----------
    comm : MPI.Comm
        A communicator on which nothing else is sent from rank to rank.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self._comm = comm
        self._gone: dict[int, str] = {}

    def leave(self, why: str) -> None:
        word = np.frombuffer(why.encode("utf-8", "replace")[:_LONGEST_WORD] or b" ", np.uint8)
        ranks = (rank for rank in range(self._comm.size) if rank != self._comm.rank)
        _keep((word, [self._comm.Isend(word, rank, _DEPARTURE) for rank in ranks]))

    def gone(self) -> Mapping[int, str]:
        status = MPI.Status()
        while self._comm.Iprobe(MPI.ANY_SOURCE, _DEPARTURE, status):
            word = np.empty(status.Get_count(MPI.BYTE), np.uint8)
            self._comm.Recv(word, status.source, status.tag)
            self._gone[status.source] = word.tobytes().decode("utf-8", "replace")
        return self._gone


class MpiComm:
    """The ranks of an mpi4py communicator; its duplicates share what is known of who has left."""

    def __init__(self, comm: MPI.Comm, board: _Board | None = None) -> None:
        self._comm = comm
        self._board = board
        self._posts: list[tuple[int, Words]] = []
        self._sending: deque[tuple[list[MPI.Request], Words]] = deque()

    @property
    def bare(self) -> MPI.Comm:
        """The communicator of mpi4py."""
        return self._comm

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
        twin = self._comm.Dup()
        if self._board is None:
            self._board = _Board(twin)
        return MpiComm(twin, self._board)

    def exchange(self, purpose: str, value: T, timeout: float) -> list[T]:
        until = time.monotonic() + timeout
        what = f"the other ranks ({purpose})"
        message = np.frombuffer(pickle.dumps((purpose, value)), dtype=np.uint8)
        length = np.array([message.size], dtype=np.int64)
        lengths = np.empty(self.size, dtype=np.int64)
        request = self._comm.Iallgather(length, lengths)
        self._complete(request, (length, lengths), what, until)
        gathered = np.empty(int(lengths.sum()), dtype=np.uint8)
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        request = self._comm.Iallgatherv(message, [gathered, lengths, starts, MPI.BYTE])
        self._complete(request, (message, gathered, lengths, starts), what, until)
        # The bytes come from this program's own ranks, never from a file.
        messages = [
            pickle.loads(gathered[s : s + n].tobytes())  # noqa: S301
            for s, n in zip(starts, lengths, strict=True)
        ]
        purposes = {text for text, _ in messages}
        if len(purposes) > 1:
            raise ExchangeFailed(f"the ranks came for different purposes: {sorted(purposes)}")
        return [value for _, value in messages]

    def reduce(self, sums: Sums, maxima: Maxima) -> Reduction:
        return _MpiReduction(self._comm, sums, maxima)

    def vote(self, value: float) -> Vote:
        return _MpiVote(self, value)

    def wait(self, ready: Callable[[], bool], what: str, timeout: float) -> bool:
        began = time.monotonic()
        say = say_nothing if self.rank else say_on_terminal
        patience = Patience(what, began, began + timeout, lambda: self.gone, say)
        return poll(ready, began + timeout, patience)

    def post(self, words: Words) -> None:
        if self.rank == 0:
            self._posts.append((0, words))
            return
        self._send(words, [0], _POSTED)

    def posted(self) -> list[tuple[int, Words]]:
        posts, self._posts = self._posts, []
        return posts + self._received(_POSTED)

    def announce(self, words: Words) -> None:
        self._send(words, range(1, self.size), _ANNOUNCED)

    def announced(self) -> list[Words]:
        return [words for _, words in self._received(_ANNOUNCED)]

    def _send(self, words: Words, ranks: Iterable[int], tag: int) -> None:
        while self._sending and MPI.Request.Testall(self._sending[0][0]):
            _release(self._sending.popleft())
        if len(self._sending) < _MOST_POSTS:
            sending = [self._comm.Isend(words, rank, tag) for rank in ranks], words
            _keep(sending)
            self._sending.append(sending)

    def _received(self, tag: int) -> list[tuple[int, Words]]:
        received = []
        status = MPI.Status()
        while self._comm.Iprobe(MPI.ANY_SOURCE, tag, status):
            words = np.empty(status.Get_count(MPI.INT64_T), np.int64)
            self._comm.Recv(words, status.source, status.tag)
            received.append((status.source, words))
        return received

    def leave(self, why: str) -> None:
        if self._board is not None:
            self._board.leave(why)

    @property
    def gone(self) -> Mapping[int, str]:
        return self._board.gone() if self._board is not None else {}

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

    def _complete(self, request: MPI.Request, buffers: object, what: str, until: float) -> None:
        if not self.wait(request.Test, what, until - time.monotonic()):
            _keep((request, buffers))
            raise ExchangeFailed("not every rank came in time")


_THREAD_LEVELS = {
    MPI.THREAD_SINGLE: "single",
    MPI.THREAD_FUNNELED: "funneled",
    MPI.THREAD_SERIALIZED: "serialized",
    MPI.THREAD_MULTIPLE: "multiple",
}


def as_comm(comm: object) -> MpiComm | None:
    """An `MpiComm` of an mpi4py communicator; None if `comm` is something else.

    Raises
    ------
    SetupError
        For a communicator whose ranks are not one group that this rank is a part of.
    """
    if not isinstance(comm, MPI.Comm):
        return None
    if comm == MPI.COMM_NULL:
        raise SetupError(
            "comm",
            "MPI.COMM_NULL",
            "is the communicator of no ranks: Split and Create give it to those they leave out",
            mend="Enter the run on the ranks of the communicator only: "
            "`if comm != MPI.COMM_NULL: ...`, or leave comm= out.",
        )
    if comm.Is_inter():
        raise SetupError(
            "comm",
            "an intercommunicator",
            "joins two groups of ranks, and a run has one",
            mend="Pass comm.Merge() for one run of both groups, or each group's own communicator.",
        )
    return MpiComm(comm)


def world() -> MpiComm | None:
    """All ranks of the program; None before MPI_Init and after MPI_Finalize."""
    if not MPI.Is_initialized() or MPI.Is_finalized():
        return None
    return MpiComm(MPI.COMM_WORLD)
