"""How a difference goes on from where it began: over the tiles, and in size.

A fault in one place is carried on by the solution, so that the next sample finds it in the same
tiles and their neighbours. Rounding is everywhere at work: what it marks first is chance, and the
next sample finds it in tiles that have nothing to do with the first ones.

Rounding errors grow by what the solution does to any small perturbation. A system whose errors
doubled in each step would not be resolved by its steps, so that a difference which rises out of
roundoff level faster than that was never one of rounding.
"""

from __future__ import annotations

from math import log2

import numpy as np

from ...model.record import Record
from ..view import Floats, Ints, Mask

ULPS = 16
"""Units of precision that one step may leave, to begin with."""


class Propagation(Record, frozen=True, kw_only=True):
    """How the differing tiles of a field lie, and those of the next sample.

    Parameters
    ----------
    edge : bool
        All lie at the edge of the domain, which has tiles that do not.
    connected : bool
        Those of the next sample are the same and neighbours of them, or all there are.
    """

    edge: bool = False
    connected: bool = True


def propagation(first: Mask, following: Mask) -> Propagation:
    """The way of a difference from one sample to the next one."""
    inner = first[tuple(slice(1, -1) for _ in first.shape)]
    reached = _grown(first)
    outside = following & ~reached
    # What every tile takes part in at once, as an implicit solve, tells nothing of the place.
    return Propagation(
        edge=bool(inner.size and not inner.any()),
        connected=not outside.any() or bool(following.all()),
    )


def outgrows(curve: Floats, steps: Ints, at: int, epsilon: float, roundoff: float) -> float | None:
    """The size at which a difference leaves roundoff level, if rounding errors grow no such way.

    Parameters
    ----------
    curve : array
        Relative differences at the common samples.
    steps : array of int
        Their steps.
    at : int
        The sample at which the runs part.
    epsilon, roundoff : float
        The unit of precision, and the largest relative difference that counts as roundoff.

    Returns
    -------
    float or None
        None if it never leaves roundoff level, or slowly enough for rounding errors.
    """
    above = np.flatnonzero(curve[at:] > roundoff)
    if not len(above):
        return None
    crossing = at + int(above[0])
    taken = float(steps[crossing] - steps[max(at - 1, 0)])
    size = float(curve[crossing])
    return size if log2(size / (ULPS * epsilon)) > taken else None


def _grown(mask: Mask) -> Mask:
    """The tiles and their neighbours, around the ends of the domain too."""
    grown = mask.copy()
    for axis in range(mask.ndim):
        grown |= np.roll(grown, 1, axis) | np.roll(grown, -1, axis)
    return grown
