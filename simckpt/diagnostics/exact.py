"""Integers from the limbs of a message, and numbers from integers: each rounded once.

The limbs of all ranks have been added modulo 2**64, word by word. As a rank sends every limb but
the sign in 0 ... 2**32-1, 2**20 ranks cannot overflow a word, nor can 64 tiles of each; and the sum
of the words is the sum of the ranks' integers modulo 2**(32 * words).
"""

from __future__ import annotations

from fractions import Fraction
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

UNIT_EXPONENT = -1074
"""Exponent of the unit of an exact sum: the smallest positive float64."""


def words_of(limbs: NDArray[np.int64], words: int) -> NDArray[np.uint64]:
    """The lowest `words` limbs of normalised accumulators, each in 0 ... 2**32-1."""
    return (limbs[..., :words] & 0xFFFFFFFF).view(np.uint64)


def integer(words: NDArray[np.uint64]) -> int:
    """The signed integer that added-up words stand for."""
    # Every other word makes one integer, without a carry between them.
    words = words.astype("<u8", copy=False)
    even = int.from_bytes(words[::2].tobytes(), "little")
    odd = int.from_bytes(words[1::2].tobytes(), "little")
    span = 32 * len(words)
    total = (even + (odd << 32)) & ((1 << span) - 1)
    return total - (1 << span) if total >> (span - 1) else total


def words_from(number: int, words: int) -> NDArray[np.uint64]:
    """The words of a signed integer, each in 0 ... 2**32-1: what `integer` reads."""
    return np.array([number >> 32 * i & 0xFFFFFFFF for i in range(words)], np.uint64)


def exact_value(words: NDArray[np.uint64]) -> Fraction:
    """The exact sum of finite float64 values."""
    return Fraction(integer(words), 1 << -UNIT_EXPONENT)


def rounded(value: Fraction) -> float:
    """The float64 nearest to `value`, ties to even; infinite past the largest float64."""
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return inf if value > 0 else -inf


def total(value: Fraction, nan_count: int, posinf_count: int, neginf_count: int) -> float:
    """The rounded sum of finite values and of counted ones that are not finite.

    As IEEE 754 has it: NaN from any NaN or from infinities of both signs. A sum of zero is +0.0.
    """
    if nan_count or (posinf_count and neginf_count):
        return nan
    if posinf_count:
        return inf
    if neginf_count:
        return -inf
    return rounded(value)
