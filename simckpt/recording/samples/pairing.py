"""Samples that belong together: they pair by their order, which one rank's stray sample upsets.

Rank 0 sees in a sample that not all ranks were at its step. It then tells the others at which
steps it took its last samples. A rank that finds the same steps further on among its own has taken
samples that rank 0 has not, and leaves out as many; a rank that finds them earlier sends as many
empty ones. No rank waits for any of it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from ...parallel.comm import LONGEST_POST

if TYPE_CHECKING:
    from ...parallel.comm import Comm

REMEMBERED = (LONGEST_POST - 1) // 2
"""Samples whose steps a rank remembers, and tells."""


class Pairing:
    """This rank's side of it.

    Parameters
    ----------
    comm : Comm
        Carries what rank 0 has to say.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._taken: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._next = 0
        self._told_at = -1
        self._shifted_at = 0

    def sent(self, number: int, step: int) -> None:
        """This rank has sent its sample `number`, which was of `step`."""
        self._taken.append((number, step))
        self._next = number + 1

    def apart(self, number: int) -> None:
        """In sample `number` the ranks were at different steps: say so, from rank 0."""
        # Samples on their way when it was last said were apart for the same reason.
        if number > self._told_at and self._taken:
            self._told_at = self._taken[-1][0]
            words = [number, *(word for pair in self._taken for word in pair)]
            self._comm.announce(np.array(words, np.int64))

    def shift(self, step: int) -> int:
        """By how many samples this rank is ahead of rank 0, where it has just heard of it.

        `step` is that of the sample to come: it is counted as taken.
        """
        ahead = 0
        for words in self._comm.announced():
            if words[0] >= self._shifted_at:
                ahead = self._ahead(words[1:].reshape(-1, 2).tolist(), step)
        if ahead:
            self._shifted_at = self._next
        return ahead

    def _ahead(self, theirs: list[list[int]], step: int) -> int:
        mine = {taken: number for number, taken in (*self._taken, (self._next, step))}
        for number, taken in reversed(theirs):
            if taken in mine:
                return mine[taken] - number
        return 0
