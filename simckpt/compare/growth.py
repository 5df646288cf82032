"""How the difference between two runs grows.

The difference at a moment is the largest of the quantities' differences, each relative to its
scale. Its logarithm is fitted twice: against time (exponential growth, as in a chaotic flow)
and against the logarithm of the time since onset (algebraic growth, as from accumulating
truncation or rounding errors), each up to a breakpoint after which it stays level (saturation).
The better fit is taken, and "bounded" if neither explains more than a level line does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import log
from typing import Literal, TypeAlias

import numpy as np

from ..model.record import Record
from .run_view import Floats, Ints

Law: TypeAlias = Literal["exponential", "algebraic", "bounded"]

FEWEST = 5
"""Samples with a difference that a fit needs."""
BINS = 256
"""Long runs are averaged to this many points, evenly in time."""
EXPLAINS = 0.6
"""R squared from which on a law of growth is believed."""
DECADES = 0.5
"""Growth by less than this many powers of ten is no growth."""


class GrowthFit(Record, frozen=True, kw_only=True):
    """The law by which the difference grows.

    Parameters
    ----------
    law : str
        ``exponential``: `rate` is per unit of `against`; ``algebraic``: `rate` is the exponent;
        ``bounded``: no growth was found and `rate` is None.
    against : str
        ``t`` or ``step``.
    start, end : float
        The window of the fit.
    doubling : float or None
        In units of `against`, of exponential growth.
    r2 : float
        Part of the variance of the logarithm that the fit explains in its window.
    initial, final, largest : float
        Relative difference at onset, at the last sample, and at most.
    saturated_at : float or None
        Where growth ended, if it did.
    points : int
        Samples that differ.
    """

    law: Law
    against: Literal["t", "step"]
    start: float
    end: float
    rate: float | None
    doubling: float | None
    r2: float
    initial: float
    final: float
    largest: float
    saturated_at: float | None
    points: int


def fit_growth(curve: Floats, t: Floats, steps: Ints) -> GrowthFit | None:
    """Fit the growth of a curve of relative differences; None with too few points to say."""
    live = np.flatnonzero(curve > 0)
    if len(live) < FEWEST:
        return None
    timed = bool(np.all(np.isfinite(t[live])) and t[live[-1]] > t[live[0]])
    x = t.astype(np.float64) if timed else steps.astype(np.float64)
    onset = x[live[0] - 1] if live[0] > 0 else x[live[0]]
    px, py = _averaged(x[live], np.log(curve[live]))
    if len(px) < FEWEST:
        return None
    laws: tuple[tuple[Law, Floats], ...] = (("exponential", px), ("algebraic", px - onset))
    fits: list[tuple[Law, float, float, int]] = []
    for law, axis in laws:
        skip = int(np.count_nonzero(px <= onset)) if law == "algebraic" else 0
        if len(px) - skip >= FEWEST:
            axis_used = np.log(axis[skip:]) if law == "algebraic" else axis
            slope, r2, end = _hinge(axis_used, py[skip:])
            fits.append((law, slope, r2, end + skip))
    law, slope, r2, end = max(fits, key=lambda f: f[2])
    low, high = float(np.min(py[: end + 1])), float(np.max(py[: end + 1]))
    grown = (high - low) / log(10.0)
    bounded = slope <= 0 or r2 < EXPLAINS or grown < DECADES
    return GrowthFit(
        law="bounded" if bounded else law,
        against="t" if timed else "step",
        start=float(px[0]),
        end=float(px[-1] if bounded else px[end]),
        rate=None if bounded else slope,
        doubling=log(2.0) / slope if law == "exponential" and not bounded else None,
        r2=0.0 if bounded else r2,
        initial=float(curve[live[0]]),
        final=float(curve[-1]),
        largest=float(curve.max()),
        saturated_at=float(px[end]) if not bounded and end < len(px) - 1 else None,
        points=len(live),
    )


def _averaged(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= BINS:
        return x, y
    cells = np.minimum(((x - x[0]) / (x[-1] - x[0]) * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(cells, minlength=BINS)
    occupied = count > 0
    mean_x = np.bincount(cells, weights=x, minlength=BINS)[occupied] / count[occupied]
    mean_y = np.bincount(cells, weights=y, minlength=BINS)[occupied] / count[occupied]
    return mean_x, mean_y


def _hinge(x: Floats, y: Floats) -> tuple[float, float, int]:
    """The line up to a breakpoint and level after it: slope, its R squared, the break's index.

    Every breakpoint is tried; the sums of squares come from running sums, so it is linear work.
    The level part must hold a fifth of the points, else the line goes to the end.
    """
    n = len(x)
    x, y = x - x.mean(), y - y.mean()
    count = np.arange(1, n + 1, dtype=np.float64)
    sx, sy = np.cumsum(x), np.cumsum(y)
    sxx = np.cumsum(x * x) - sx * sx / count
    syy = np.cumsum(y * y) - sy * sy / count
    sxy = np.cumsum(x * y) - sx * sy / count
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = np.where(sxx > 0, sxy / sxx, 0.0)
        line = np.maximum(syy - slopes * sxy, 0.0)
    rest = count[::-1] - 1
    tail_y, tail_yy = sy[-1] - sy, np.cumsum((y * y)[::-1])[::-1] - y * y
    level = np.where(rest > 0, tail_yy - tail_y**2 / np.maximum(rest, 1), 0.0)
    cost = line + np.maximum(level, 0.0)
    breaks = np.arange(n)
    allowed = (breaks >= FEWEST - 1) & ((rest >= max(3, n / 5)) | (rest == 0))
    end = int(np.argmin(np.where(allowed, cost, np.inf)))
    # A break must earn its place: it halves what the straight line leaves unexplained.
    if end < n - 1 and (cost[end] > 0.5 * cost[-1] or slopes[end] <= 0):
        end = n - 1
    r2 = 1.0 - line[end] / syy[end] if syy[end] > 0 else 0.0
    return float(slopes[end]), float(r2), end


# How far runs that count as the same drift apart, and whether two runs drift further.
#
# In a chaotic system a difference of one rounding grows until it saturates. Twins that differ by
# no more than a rounding, or members of an ensemble, show how it grows: the largest difference
# between any two of them so far, quantity by quantity, is the top of the band. How far above it one
# more pair may lie depends on how many drew it. Two seeds of a difference project on the growing
# directions by chance, so with one reference a natural pair may be a hundred times as far apart
# while the difference is small; with eight hardly twice. The allowance is that of the 99th
# percentile in two chaotic systems (Lorenz 1996 and coupled logistic maps).


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
    pairs, samples, quantities : int
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
    samples: int
    quantities: int
    allowance: float
    outside: tuple[Excess, ...] = ()
    natural: GrowthFit | None = None
    observed: GrowthFit | None = None
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
    natural : float64 array ``[runs, quantities, samples]``
        Two or more runs that count as the same; `tested` is compared with the first.
    tested : float64 array ``[quantities, samples]``
    names, scale : ``[quantities]``
    steps, t : ``[samples]``
    """
    scaled = np.where(scale > 0, scale, 1.0)[:, None]
    chosen = _pairs(len(natural))
    top = _top(natural, chosen, scaled)
    tested_curve = _so_far(np.abs(tested - natural[0]) / scaled)
    factor = allowance(len(natural) - 1)
    ratio = tested_curve / np.maximum(factor * top, FLOOR)
    ratio = np.where(np.isnan(tested) != np.isnan(natural[0]), np.inf, ratio)
    outside = [
        Excess(
            name=names[q],
            step=int(steps[int(np.argmax(ratio[q] > 1.0))]),
            times=float(np.max(tested_curve[q] / np.maximum(top[q], FLOOR))),
        )
        for q in range(len(names))
        if np.any(ratio[q] > 1.0)
    ]
    outside.sort(key=lambda e: (e.step, -e.times))
    highest, observed = top.max(axis=0), tested_curve.max(axis=0)
    return Band(
        pairs=len(chosen),
        samples=len(steps),
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
    pairs = list(combinations(range(runs), 2))
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return [pairs[i] for i in np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(int)]


def _top(natural: Floats, pairs: Sequence[tuple[int, int]], scale: Floats) -> Floats:
    """The largest difference of any pair so far."""
    top = np.zeros(natural.shape[1:])
    for i, j in pairs:
        np.maximum(top, _so_far(np.abs(natural[i] - natural[j]) / scale), out=top)
    return top


def _so_far(distance: Floats) -> Floats:
    """The largest finite difference so far: a curve that crosses zero still differs."""
    return np.maximum.accumulate(np.where(np.isfinite(distance), distance, 0.0), axis=-1)


def _first(curve: Floats) -> float | None:
    live = np.flatnonzero(curve > 0)
    return float(curve[live[0]]) if len(live) else None
