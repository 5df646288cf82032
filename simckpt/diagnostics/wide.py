"""Integers of 64 bits: a float64 holds 53 of them, so exact sums take them in two halves.

``n = high * 2**32 + low`` with a signed high half of int64, and a low half of 0 ... 2**32-1. Each
half is a view of the array's own memory, and exact as a float64.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .devices.arrays import DeviceArray
from .domain.views import Readable
from .expressions import Tree

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
