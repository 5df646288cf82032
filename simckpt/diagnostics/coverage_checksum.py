"""Whether all ranks together hold each id or cell once, told by sums that know no order.

Each cell has a number modulo 2**64, and so has a set of cells: the sum of theirs. It is known for
the whole, and so shows a cell that is held twice in the place of another. The number of a cell of
a grid is a product of one for each axis, the difference of a mixed word at its two edges: these
differences telescope, so that the number of a box takes its corners alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.series import Decomposition

LARGEST = 1 << 27
"""Ids up to which they are checked by a sum over all of them."""

_BLOCK = 1 << 16


def mark(ids: NDArray[Any]) -> int:
    """A number that adds up, modulo 2**64, to `expected` if each id is held once."""
    total = 0
    for begin in range(0, ids.size, _BLOCK):
        total += int(_mixed(ids[begin : begin + _BLOCK]).sum(dtype=np.uint64))
    return total % 2**64


def expected(total: int) -> int:
    """What the marks of all ranks add up to if ids 0 ... total-1 are held once each."""
    whole = 0
    for begin in range(0, total, _BLOCK):
        ids = np.arange(begin, min(begin + _BLOCK, total))
        whole += int(_mixed(ids).sum(dtype=np.uint64))
    return whole % 2**64


def box_mark(start: Sequence[int], shape: Sequence[int]) -> int:
    """The sum, modulo 2**64, of the numbers of all cells of a box."""
    number = 1
    for axis, (begin, cells) in enumerate(zip(start, shape, strict=True)):
        number *= _edge(axis, begin + cells) - _edge(axis, begin)
    return number % 2**64


def place_mark(rank: int, level: int, start: Sequence[int], shape: Sequence[int]) -> int:
    """A number modulo 2**64 that tells where a box lies, and which rank holds it.

    Added up over all boxes it changes with any of them, cut or moved between ranks. It is compared
    within a job only, where hashes of integers are the same in all processes.
    """
    return hash((rank, level, *start, *shape)) % 2**64


def places_mark(decomposition: Decomposition) -> int:
    """What the marks of all boxes add up to; a box without cells has none."""
    marks = (
        place_mark(rank, patch.level, patch.start, patch.shape)
        for rank, patches in enumerate(decomposition.patches)
        for patch in patches
        if prod(patch.shape)
    )
    return sum(marks) % 2**64


def _edge(axis: int, at: int) -> int:
    word = (at * 4 + axis + 1) % 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        word ^= word >> 33
        word = word * factor % 2**64
    return word ^ (word >> 33)


def _mixed(ids: NDArray[Any]) -> NDArray[np.uint64]:
    # The finalizer of MurmurHash3: sums of mixed ids tell sets of ids apart.
    z = ids.astype(np.uint64)
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xFF51AFD7ED558CCD)
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xC4CEB9FE1A85EC53)
    z ^= z >> np.uint64(33)
    return z
