"""The stream of samples: non-blocking reductions, in the order in which they were started.

Nothing here waits for another rank. A rank that samples while the others do not keeps its
messages until a bound is reached, and from then on sends no more; the end of the run says so.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...parallel.comm import Comm, Maxima, Reduction, Sums

MOST_PENDING = 64
MOST_PENDING_BYTES = 32 << 20
"""A rank may run ahead of the others by so many samples, or by as many as these bytes hold."""


class Stream:
    """This rank's side of the samples' reductions to rank 0.

    Parameters
    ----------
    comm : Comm
        A communicator that carries nothing else.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._pending: deque[tuple[float, Reduction]] = deque()
        self.started = 0
        self.refused = 0
        self._late = False

    @property
    def pending(self) -> int:
        """Reductions under way."""
        return len(self._pending)

    def push(self, sums: Sums, maxima: Maxima, wall: float) -> bool:
        """Start the reduction of one message, taken at `wall` seconds since the epoch.

        False where the bound is reached: it has not been sent.
        """
        size = sums.nbytes + maxima.nbytes
        most = max(MOST_PENDING, MOST_PENDING_BYTES // max(size, 1))
        if self.refused or len(self._pending) >= most:
            self.refused += 1
            return False
        self._pending.append((wall, self._comm.reduce(sums, maxima)))
        self.started += 1
        return True

    def ready(self) -> Iterator[tuple[float, Sums, Maxima]]:
        """The messages that are complete, oldest first; only rank 0 receives any."""
        while self._pending and self._pending[0][1].done():
            wall, reduction = self._pending.popleft()
            result = reduction.result()
            if result is not None:
                yield (wall, *result)

    def settle(self, timeout: float) -> bool:
        """Wait until nothing is under way (True), at most `timeout` seconds (False).

        The messages stay for `ready` to hand out. Once it was in vain it waits no more, until
        what was late has arrived.
        """
        arrived = self._comm.wait(
            lambda: all(r.done() for _, r in self._pending),
            "the last samples of the other ranks",
            0.0 if self._late else timeout,
        )
        self._late = not arrived
        return arrived
