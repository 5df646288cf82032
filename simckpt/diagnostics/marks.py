"""Whether all ranks together hold each id once, told by sums that do not depend on order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def _mixed(ids: NDArray[Any]) -> NDArray[np.uint64]:
    # The finalizer of MurmurHash3: sums of mixed ids tell sets of ids apart.
    z = ids.astype(np.uint64)
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xFF51AFD7ED558CCD)
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xC4CEB9FE1A85EC53)
    z ^= z >> np.uint64(33)
    return z
