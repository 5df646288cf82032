"""Integers of 64 bits: a float64 holds 53 of them, so exact sums take them in two halves.

``n = high * 2**32 + low`` with a signed high half of int64, and a low half of 0 ... 2**32-1. Each
half is a view of the array's own memory, and exact as a float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isinf, isnan, nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .devices.arrays import DeviceArray
from .expressions import Tree
from .readable import Readable

WIDE = frozenset({"i8", "u8"})
"""Types of number of which a float64 does not hold every value."""

Half = Literal["high", "low"]


def halves(tree: Tree) -> tuple[Tree, Tree]:
    """The two trees that add up to a field of wide integers, each exact in every cell."""
    return ("multiply", ("high", tree[1]), ("number", 2.0**32)), ("low", tree[1])


def half_words(array: Readable, half: Half) -> Readable:
    """One half of each integer of `array`: a view."""
    if isinstance(array, DeviceArray):
        return array.half(half)
    order = ">" if array.dtype.str[0] == ">" else "<"
    kinds: dict[str, Any] = {"high": f"{order}{array.dtype.kind}4", "low": f"{order}u4"}
    names = ("low", "high") if order == "<" else ("high", "low")
    pair = np.dtype([(name, kinds[name]) for name in names])
    return array.view(pair)[half]


# Integers from the limbs of a message, and numbers from integers: each rounded once.
#
# The limbs of all ranks have been added modulo 2**64, word by word. As a rank sends every limb but
# the sign in 0 ... 2**32-1, 2**20 ranks cannot overflow a word, nor can 64 tiles of each; and the
# sum of the words is the sum of the ranks' integers modulo 2**(32 * words).


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


# Exact sums of what was finite, and counts of the rest: they add up without rounding.


@dataclass(frozen=True)
class ExactSum:
    """The answer to a `SumRequest`: the exact sum of what was finite, and counts of the rest."""

    value: Fraction
    nan: int = 0
    posinf: int = 0
    neginf: int = 0

    @property
    def rounded(self) -> float:
        """The sum as a float64: correctly rounded, or what IEEE 754 makes of the rest."""
        return total(self.value, self.nan, self.posinf, self.neginf)

    def __add__(self, other: ExactSum) -> ExactSum:
        return ExactSum(
            self.value + other.value,
            self.nan + other.nan,
            self.posinf + other.posinf,
            self.neginf + other.neginf,
        )

    @property
    def finite(self) -> bool:
        """Whether every term was finite."""
        return not (self.nan or self.posinf or self.neginf)


def exact_term(value: float) -> ExactSum:
    """One number as an exact sum."""
    if isnan(value):
        return ExactSum(Fraction(0), nan=1)
    if isinf(value):
        return ExactSum(Fraction(0), posinf=int(value > 0), neginf=int(value < 0))
    return ExactSum(Fraction(value))
