"""Whether somebody seeded a Mersenne Twister, or the operating system did.

Python seeds its generator by ``init_by_array`` (M. Matsumoto and T. Nishimura, 2002), which adds
the words of a key to the state in turn, again and again until all 624 words are mixed. Each of its
steps can be undone, so that a state from which nothing was drawn gives the words back in the order
in which they were added. A seed has few words, and they come round; the 624 words that the
operating system gives to a generator without a seed do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

WORDS = 624
_MASK = 0xFFFFFFFF
_START, _SPREAD, _FIRST, _SECOND = 19650218, 1812433253, 1664525, 1566083941


@lru_cache(maxsize=4)  # each checkpoint asks for the same state again
def was_seeded(state: tuple[int, ...]) -> bool:
    """Whether the 624 words of a generator that was not drawn from come from a short key."""
    added = _added(state)
    return any(added[n:] == added[:-n] for n in range(1, len(added) // 2 + 1))


def _added(state: Sequence[int]) -> list[int]:
    """What the first pass added to the words 3 to 623: the words of the key and their numbers."""
    mixed = _before_second_pass(state)
    blank = _START
    added = []
    for i in range(1, WORDS):
        blank = (_SPREAD * _fold(blank) + i) & _MASK
        if i >= 3:
            added.append((mixed[i] - (blank ^ (_fold(mixed[i - 1]) * _FIRST & _MASK))) & _MASK)
    return added


def _before_second_pass(state: Sequence[int]) -> list[int]:
    """The words between the two passes; the first of them is not known any more."""
    before = [0] * WORDS
    before[1] = _undone(state[1], state[WORDS - 1], 1)
    before[2] = _undone(state[2], before[1], 2)
    for i in range(3, WORDS):
        before[i] = _undone(state[i], state[i - 1], i)
    return before


def _undone(word: int, previous: int, number: int) -> int:
    return ((word + number) & _MASK) ^ (_fold(previous) * _SECOND & _MASK)


def _fold(word: int) -> int:
    return word ^ (word >> 30)
