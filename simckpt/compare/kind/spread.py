"""How far runs that count as the same drift apart, and whether two runs drift further.

In a chaotic system a difference of one rounding grows until it saturates. Twins that differ by
no more than a rounding, or members of an ensemble, show how it grows: the largest difference
between any two of them so far, quantity by quantity, is the top of the band. How far above it one
more pair may lie depends on how many drew it. Two seeds of a difference project on the growing
directions by chance, so with one reference a natural pair may be a hundred times as far apart
while the difference is small; with eight hardly twice. The allowance is that of the 99th percentile
in two chaotic systems (Lorenz 1996 and coupled logistic maps).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ...model.record import Record
from ..view import Floats, Ints
from .growth import Growth, fit_growth

MOST_PAIRS = 120
WIDEST = 300.0
"""Times the top of the band that one reference allows; it falls as the square of their number."""
NARROWEST = 2.0
FLOOR = 1e-14
"""Relative difference below which rounding is all there is."""


class Excess(Record, frozen=True, kw_only=True):
    """A quantity that leaves the band: at which step first, and at most how many times its top."""

    name: str
    step: int
    times: float


class Band(Record, frozen=True, kw_only=True):
    """The natural growth of differences, and how two runs compare with it.

    Parameters
    ----------
    pairs, moments, quantities : int
        What the band was drawn from.
    allowance : float
        Times its top that counts as within.
    outside : tuple of Excess
        Quantities whose difference leaves the band, the earliest first.
    natural, observed : Growth or None
        The growth between the pairs that are furthest apart, and between the two runs.
    initial, observed_initial : float or None
        Relative size of the first difference seen between any pair, and between the two runs.
    """

    pairs: int
    moments: int
    quantities: int
    allowance: float
    outside: tuple[Excess, ...] = ()
    natural: Growth | None = None
    observed: Growth | None = None
    initial: float | None = None
    observed_initial: float | None = None


def growth_band(
    natural: Floats,
    tested: Floats,
    names: Sequence[str],
    scale: Floats,
    steps: Ints,
    t: Floats,
) -> Band:
    """Compare the growth of a difference with that between runs which count as the same.

    Parameters
    ----------
    natural : float64 array ``[runs, quantities, moments]``
        Two or more runs that count as the same; the first is the one that `tested` is held against.
    tested : float64 array ``[quantities, moments]``
    names, scale : ``[quantities]``
    steps, t : ``[moments]``
    """
    scaled = np.where(scale > 0, scale, 1.0)[:, None]
    chosen = _pairs(len(natural))
    top = _top(natural, chosen, scaled)
    mine = _so_far(np.abs(tested - natural[0]) / scaled)
    factor = allowance(len(natural) - 1)
    ratio = mine / np.maximum(factor * top, FLOOR)
    ratio = np.where(np.isnan(tested) != np.isnan(natural[0]), np.inf, ratio)
    outside = [
        Excess(
            name=names[q],
            step=int(steps[int(np.argmax(ratio[q] > 1.0))]),
            times=float(np.max(mine[q] / np.maximum(top[q], FLOOR))),
        )
        for q in range(len(names))
        if np.any(ratio[q] > 1.0)
    ]
    outside.sort(key=lambda e: (e.step, -e.times))
    highest, observed = top.max(axis=0), mine.max(axis=0)
    return Band(
        pairs=len(chosen),
        moments=len(steps),
        quantities=len(names),
        allowance=factor,
        outside=tuple(outside),
        natural=fit_growth(highest, t, steps),
        observed=fit_growth(observed, t, steps),
        initial=_first(highest),
        observed_initial=_first(observed),
    )


def allowance(references: int) -> float:
    """Times the top of the band that a natural difference may reach."""
    return max(NARROWEST, WIDEST / references**2)


def _pairs(runs: int) -> list[tuple[int, int]]:
    found = list(combinations(range(runs), 2))
    if len(found) <= MOST_PAIRS:
        return found
    return [found[i] for i in np.linspace(0, len(found) - 1, MOST_PAIRS).astype(int)]


def _top(natural: Floats, pairs: Sequence[tuple[int, int]], scale: Floats) -> Floats:
    """The largest difference of any pair so far."""
    top = np.zeros(natural.shape[1:])
    for i, j in pairs:
        np.maximum(top, _so_far(np.abs(natural[i] - natural[j]) / scale), out=top)
    return top


def _so_far(apart: Floats) -> Floats:
    """The largest finite difference up to each moment: a curve that crosses zero is still apart."""
    return np.maximum.accumulate(np.where(np.isfinite(apart), apart, 0.0), axis=-1)


def _first(curve: Floats) -> float | None:
    live = np.flatnonzero(curve > 0)
    return float(curve[live[0]]) if len(live) else None
