"""Exact sums of what was finite, and counts of the rest: they add up without rounding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isinf, isnan

from ..exact import total


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
