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

WORDS = 3
"""Of a sample: its number, its step, and how many samples of that step came right before."""

REMEMBERED = (LONGEST_POST - 1) // WORDS
"""Samples that a rank remembers, and tells."""

Moment = tuple[int, int]
"""A step, and how many samples of it came right before."""


class Pairing:
    """This rank's side of it.

    Parameters
    ----------
    comm : Comm
        Carries what rank 0 has to say.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._taken: deque[tuple[int, Moment]] = deque(maxlen=REMEMBERED)
        self._next = 0
        self._told_at = -1
        self._shifted_at = 0

    def sent(self, number: int, moment: Moment) -> None:
        """This rank has sent its sample `number`, taken at this moment."""
        self._taken.append((number, moment))
        self._next = number + 1

    def apart(self, number: int) -> None:
        """In sample `number` the ranks were at different steps: say so, from rank 0."""
        # Samples on their way when it was last said were apart for the same reason.
        if number > self._told_at and self._taken:
            self._told_at = self._taken[-1][0]
            words = [number, *(word for n, moment in self._taken for word in (n, *moment))]
            self._comm.announce(np.array(words, np.int64))

    def shift(self, moment: Moment) -> int:
        """By how many samples this rank is ahead of rank 0, where it has just heard of it.

        The sample to come, at this moment, is counted as taken.
        """
        ahead = 0
        for words in self._comm.announced():
            if words[0] >= self._shifted_at:
                ahead = self._ahead(words[1:].reshape(-1, WORDS).tolist(), moment)
        if ahead:
            self._shifted_at = self._next
        return ahead

    def _ahead(self, theirs: list[list[int]], moment: Moment) -> int:
        mine = {taken: number for number, taken in (*self._taken, (self._next, moment))}
        shifts = [
            mine[step, visit] - number
            for number, step, visit in reversed(theirs)
            if (step, visit) in mine
        ]
        # One alone may be a step that was told wrong.
        return shifts[0] if len(shifts) > 1 and shifts[0] == shifts[1] else 0
