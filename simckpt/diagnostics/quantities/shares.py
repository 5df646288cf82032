"""What a rank adds to a sample from outside of the sums and maxima over its cells.

Such a share has a size that was agreed, like everything in a message: exact sums and counts are
added up over the ranks, and of maxima the largest remains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..domain.locating import Extremes
    from ..state import State
    from .exact_sum import ExactSum


@dataclass(frozen=True)
class Share:
    """One rank's share, or all ranks' shares joined.

    Parameters
    ----------
    sums : tuple of ExactSum
        Added up exactly.
    counts : tuple of int
        Whole numbers from 0, added up.
    maxima : tuple of float
        The largest remains; -inf is the maximum of nothing.
    places : tuple of int
        A place for each maximum, or none at all: of equal maxima the least place remains.
    """

    sums: tuple[ExactSum, ...] = ()
    counts: tuple[int, ...] = ()
    maxima: tuple[float, ...] = ()
    places: tuple[int, ...] = ()


NOTHING = Share()
ABSENT = -inf


@dataclass(frozen=True, eq=False)
class Here:
    """What a share may be made of, on one rank: its state, and where its extrema lie."""

    state: State
    rank: int
    extremes: Extremes


@dataclass(frozen=True)
class ShareRequest:
    """How large a share is, and what gives it.

    `give` may raise: the quantity has then failed on this rank. `locate` names the fields whose
    extrema it needs to know the places of.
    """

    give: Callable[[Here], Share]
    sums: int = 0
    counts: int = 0
    maxima: int = 0
    locate: tuple[str, ...] = ()

    def checked(self, here: Here) -> Share:
        """The share, of the agreed size."""
        share = self.give(here)
        sizes = len(share.sums), len(share.counts), len(share.maxima)
        if sizes != (self.sums, self.counts, self.maxima):
            raise ValueError(f"a share of {sizes} numbers is not of the agreed size")
        return share


NO_SHARE = ShareRequest(lambda _: NOTHING)
"""Of a quantity that is made of the cells alone."""
