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

import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

# Waiting with a time limit for something that another rank completes.


_LONGEST_PAUSE = 0.002


def poll(
    ready: Callable[[], bool],
    deadline: float,
    meanwhile: Callable[[float], float] | None = None,
) -> bool:
    """Call `ready` until it says so (True) or ``time.monotonic()`` passes `deadline` (False).

    The pause between calls grows to 2 ms: a rank that waits for a straggler leaves it the
    processor. `meanwhile` is called with the time, and gives back the deadline as it is by then.
    """
    pause = 1e-6
    while not ready():
        now = time.monotonic()
        if meanwhile is not None:
            deadline = meanwhile(now)
        if now > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True


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


# How long a rank waits for the others: shorter once one has left, and never without a word.


GRACE = 3.0
"""Seconds that the other ranks are still waited for once it is known that one has left."""

QUIET = 5.0
"""Seconds that rank 0 waits before it says so."""


class Patience:
    """One wait: called with the time now and then, it says until when to wait.

    Parameters
    ----------
    what : str
        What is waited for, as part of a sentence.
    began, deadline : float
        On the clock of the calls.
    gone : callable
        Which ranks have left, as far as is known, and why.
    say : callable
        Takes a sentence for the terminal.
    """

    def __init__(
        self,
        what: str,
        began: float,
        deadline: float,
        gone: Callable[[], Mapping[int, str]],
        say: Callable[[str], None],
    ) -> None:
        self._what = what
        self._began = began
        self._deadline = deadline
        self._gone = gone
        self._say = say
        self._reported = self._shortened = False

    def __call__(self, now: float) -> float:
        if not self._shortened and self._gone():
            self._shortened = True
            self._deadline = min(self._deadline, now + GRACE)
        if not self._reported and now - self._began > QUIET and now < self._deadline:
            self._reported = True
            self._say(f"waiting for {self._what}, for {self._deadline - now:.0f} s more at most")
        return self._deadline


def say_on_terminal(text: str) -> None:
    """A line on standard error; a terminal that is gone is no reason to stop."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"simckpt: {text}\n")
        sys.stderr.flush()


def say_nothing(text: str) -> None:
    """Of many ranks that wait, one tells."""
