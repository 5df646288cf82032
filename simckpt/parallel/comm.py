"""What the instrumentation needs of a communicator, and its serial twin.

Two kinds of operation, kept apart so that no rank can hang another:

* `exchange` is collective over all ranks and bounded in time: it is used where a run begins
  and ends, and where the first sample is set up. A rank that waits longer than the limit
  gives up with `ExchangeFailed`, and all do if they came for different purposes.
* `reduce` starts a non-blocking reduction to rank 0. Its result is asked for later, or never.

A rank that goes while others go on tells them by `leave`, which is no collective operation. From
then on nobody waits long for it.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .polling import poll

T = TypeVar("T")

Sums = NDArray[np.uint64]
PAIR = np.dtype([("value", np.float64), ("place", np.int32)], align=True)
"""A value and where it is: of equal values the least place remains (MPI's MAXLOC)."""

Maxima = NDArray[np.void]
"""Of the type `PAIR`."""


Words = NDArray[np.int64]

LONGEST_POST = 256
"""Words of a post, at most: so short a message is on its way once it has been handed over."""


class ExchangeFailed(Exception):
    """The ranks did not come together: one did not come in time, or came for something else."""


class Reduction(Protocol):
    """A reduction under way."""

    @abstractmethod
    def done(self) -> bool:
        """Whether this rank's part is complete; never blocks."""

    @abstractmethod
    def result(self) -> tuple[Sums, Maxima] | None:
        """The sums (modulo 2**64) and maxima on rank 0, None on the others; needs `done()`."""


class Vote(Protocol):
    """A vote under way."""

    @abstractmethod
    def outcome(self, timeout: float) -> float | None:
        """The largest value of all ranks, the same on each; None past `timeout` seconds."""


class Comm(Protocol):
    """A group of ranks."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """This rank, from 0."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of ranks."""

    @property
    @abstractmethod
    def host(self) -> str:
        """Name of this rank's node."""

    @abstractmethod
    def duplicate(self) -> Comm:
        """A communicator of the same ranks with messages of its own; collective."""

    @abstractmethod
    def exchange(self, purpose: str, value: T, timeout: float) -> list[T]:
        """Every rank's `value`, in rank order, on every rank.

        Raises
        ------
        ExchangeFailed
            On a rank that waited `timeout` seconds in vain, and on all where one named another
            `purpose`.
        """

    @abstractmethod
    def reduce(self, sums: Sums, maxima: Maxima) -> Reduction:
        """Start reducing both to rank 0. The arrays are the communicator's until it is done."""

    @abstractmethod
    def vote(self, value: float) -> Vote:
        """Start to find the largest value; every rank takes part, and asks for it later."""

    @abstractmethod
    def wait(self, ready: Callable[[], bool], what: str, timeout: float) -> bool:
        """Wait until `ready` (True), at most `timeout` seconds (False), as all operations do.

        They wait a few seconds only once a rank has left. Rank 0 says on the terminal that it
        waits for `what`, if it takes long.
        """

    @abstractmethod
    def post(self, words: Words) -> None:
        """Send rank 0 at most `LONGEST_POST` words beside everything else; never waits.

        What cannot be sent is dropped: whoever reads it must be able to do without.
        """

    @abstractmethod
    def posted(self) -> list[tuple[int, Words]]:
        """On rank 0, what has arrived since this was last asked, with its ranks; never waits."""

    @abstractmethod
    def announce(self, words: Words) -> None:
        """The other way round: from rank 0 to all others."""

    @abstractmethod
    def announced(self) -> list[Words]:
        """What rank 0 has announced since this was last asked; never waits."""

    @abstractmethod
    def leave(self, why: str) -> None:
        """Tell all other ranks that this one goes, and why, without waiting for any."""

    @property
    @abstractmethod
    def gone(self) -> Mapping[int, str]:
        """The ranks that are known to have left, and why."""

    @abstractmethod
    def abort(self, status: int) -> None:
        """End all ranks at once with the exit status `status`."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Stable facts about the message-passing library, for the environment."""


class _Finished:
    """The reduction of a single rank: its own values."""

    def __init__(self, sums: Sums, maxima: Maxima) -> None:
        self._values = (sums, maxima)

    def done(self) -> bool:
        return True

    def result(self) -> tuple[Sums, Maxima] | None:
        return self._values


class _Counted:
    """The vote of a single rank."""

    def __init__(self, value: float) -> None:
        self._value = value

    def outcome(self, timeout: float) -> float | None:
        return self._value


class SerialComm:
    """The communicator of a program without MPI: one rank."""

    rank = 0
    size = 1

    def __init__(self) -> None:
        self._posts: list[tuple[int, Words]] = []

    @property
    def host(self) -> str:
        import platform

        return platform.node()

    def duplicate(self) -> Comm:
        return SerialComm()

    def exchange(self, purpose: str, value: T, timeout: float) -> list[T]:
        return [value]

    def reduce(self, sums: Sums, maxima: Maxima) -> Reduction:
        return _Finished(sums, maxima)

    def vote(self, value: float) -> Vote:
        return _Counted(value)

    def wait(self, ready: Callable[[], bool], what: str, timeout: float) -> bool:
        return poll(ready, time.monotonic() + timeout)

    def post(self, words: Words) -> None:
        self._posts.append((0, words))

    def posted(self) -> list[tuple[int, Words]]:
        posts, self._posts = self._posts, []
        return posts

    def announce(self, words: Words) -> None:
        """Nobody is there to hear of it."""

    def announced(self) -> list[Words]:
        return []

    def leave(self, why: str) -> None:
        """Nobody is there to hear of it."""

    @property
    def gone(self) -> Mapping[int, str]:
        return {}

    def abort(self, status: int) -> None:
        raise SystemExit(status)

    def facts(self) -> dict[str, Any]:
        return {}
