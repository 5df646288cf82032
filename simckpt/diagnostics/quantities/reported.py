"""What the driver has reported since the last sample, on this rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan

from .exact_sum import ExactSum

LARGEST_TOTAL = 2**64 - 1
"""The most that may be counted under one name on one rank between two samples."""


def counted(known: int, more: int, what: str) -> int:
    """What was counted, and `more`.

    Raises
    ------
    ValueError
        If `more` is negative, or the total too large to be sent; `what` names it.
    """
    if more < 0:
        raise ValueError(f"{what} of {_short(more)} is negative: it is not counted")
    if known + more > LARGEST_TOTAL:
        raise ValueError(
            f"{what} of {_short(more)} makes {_short(known + more)} since the last sample, more "
            "than 2**64 - 1: it is not counted"
        )
    return known + more


@dataclass(frozen=True)
class Solves:
    """Linear or non-linear solves.

    Parameters
    ----------
    solves, iterations : int
        How many solves, and their iterations in all.
    initial, final : float
        The largest residual before and after a solve; NaN if any is, or none was reported.
    """

    solves: int = 0
    iterations: int = 0
    initial: float = nan
    final: float = nan

    def __add__(self, other: Solves) -> Solves:
        if not self.solves or not other.solves:
            return self if self.solves else other
        return Solves(
            self.solves + other.solves,
            self.iterations + other.iterations,
            _worst(self.initial, other.initial),
            _worst(self.final, other.final),
        )


@dataclass(frozen=True)
class Reported:
    """The reports by name.

    Parameters
    ----------
    amounts : mapping of str to ExactSum
        What `run.account` was given, added up exactly.
    counts : mapping of str to int
        What `run.count` was given, added up.
    solves : mapping of str to Solves
        What `run.residual` was given.
    scalars : mapping of str to float
        What `run.scalar` was given last.
    """

    amounts: Mapping[str, ExactSum] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    solves: Mapping[str, Solves] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)


def _worst(a: float, b: float) -> float:
    return nan if isnan(a) or isnan(b) else max(a, b)


def _short(number: int) -> str:
    """A number in few digits: Python refuses to write out very long ones."""
    bits = number.bit_length()
    if bits <= 128:
        return str(number)
    return f"about {'-' if number < 0 else ''}2**{bits - 1}"
