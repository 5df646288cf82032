"""How the difference between two runs grows.

The difference at a moment is the largest of the quantities' differences, each relative to its
scale. Its logarithm is fitted twice: against time (exponential growth, as in a chaotic flow)
and against the logarithm of the time since onset (algebraic growth, as from accumulating
truncation or rounding errors), each up to a breakpoint after which it stays level (saturation).
The better fit is taken, and "bounded" if neither explains more than a level line does.
"""

from __future__ import annotations

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
