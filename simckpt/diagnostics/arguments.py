"""Numbers as users give them: Python's own and NumPy's scalars are alike, and truth is none."""

from __future__ import annotations

from math import inf
from numbers import Real
from operator import index
from typing import Any, cast


def whole_number(value: Any) -> int | None:
    """`value` as an int, None if it is no whole number."""
    if isinstance(value, bool):
        return None
    try:
        # NumPy's truth values are refused by this.
        return index(value)
    except TypeError:
        return None


def real_number(value: Any) -> float | None:
    """`value` as a float, infinite where none is so large; None if it is no real number.

    An array without axes is the number that it holds.
    """
    real: Any = value.item() if getattr(value, "ndim", None) == 0 else value
    if isinstance(real, bool) or not isinstance(real, Real):
        return None
    try:
        return float(real)
    except OverflowError:
        return inf if cast("Any", real) > 0 else -inf
