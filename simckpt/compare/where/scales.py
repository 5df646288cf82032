"""The magnitude a quantity's rounding errors are relative to.

Most quantities are their own scale: the largest magnitude they reach. A field's minimum near zero
is not: what solves for a field at once rounds relative to its largest values, so both extrema have
the scale of the larger. Nor is a total momentum near zero, since it is the small rest of large
contributions. For the integral of a field whose extrema are recorded too, the scale is the extreme
times the domain's volume, and the volume follows from the integral of any field that keeps one
sign: the integral divided by the volume lies between that field's minimum and maximum.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median
from typing import Self

import numpy as np

from ...model.series import Column
from ..view import Floats, SeriesView

HEAD = 4096
"""Samples at the beginning of a column in which a value of one sign is looked for first."""

_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Summary:
    """What is asked of a column again and again, so that a long one is read less often.

    Parameters
    ----------
    largest : float
        The largest finite magnitude; 0 if there is none.
    finite : bool
        Whether every value is.
    head : float64 array
        The first `HEAD` values.
    """

    largest: float
    finite: bool
    head: Floats

    @classmethod
    def of(cls, values: Floats) -> Self:
        finite = np.isfinite(values)
        largest = float(np.max(np.abs(values), where=finite, initial=0.0))
        return cls(largest, bool(finite.all()), values[:HEAD].copy())


def summary(series: SeriesView, name: str) -> Summary:
    """That of a column, from a series that keeps them or made anew."""
    kept = getattr(series, "summary", None)
    found: Summary = kept(name) if kept is not None else Summary.of(series[name])
    return found


def scales(series: SeriesView, columns: dict[str, Column]) -> dict[str, float]:
    """The scale of each column of one run; 0 for a column that is zero or never finite."""
    own = {name: summary(series, name).largest for name in columns}
    for name, column in columns.items():
        low, high = f"{column.of}.min", f"{column.of}.max"
        if name == low and high in own:
            own[low] = own[high] = max(own[low], own[high])
    volume = domain_volume(series, columns)
    if volume:
        for name, column in columns.items():
            extrema = _extrema(column, columns)
            if extrema:
                own[name] = max(own[name], volume * max(own[e] for e in extrema))
    return own


def names_in(column: Column) -> set[str]:
    """Every name in the expression that a column is computed from."""
    return set(_NAME.findall(column.of))


def unscaled(series: SeriesView, columns: dict[str, Column]) -> frozenset[str]:
    """Sums whose scale is only their own value, for nothing tells what their contributions are."""
    sums = [c for c in columns.values() if c.kind in ("budget", "conserved", "residual")]
    told = domain_volume(series, columns) > 0
    return frozenset(c.name for c in sums if not told or not _extrema(c, columns))


def domain_volume(series: SeriesView, columns: dict[str, Column]) -> float:
    """The volume of the domain in the unit of the integrals; 0 where nothing tells it."""
    found = []
    for name, column in columns.items():
        extrema = _extrema(column, columns)
        if not extrema:
            continue
        names = (name, *extrema)
        volume = _volume(*(summary(series, n).head for n in names))
        if volume is None and len(series[name]) > HEAD:
            volume = _volume(*(series[n] for n in names))
        if volume is not None:
            found.append(volume)
    return median(found) if found else 0.0


def _volume(values: Floats, low: Floats, high: Floats) -> float | None:
    sound = np.isfinite(values) & np.isfinite(low) & np.isfinite(high) & (low * high > 0)
    if not sound.any():
        return None
    row = int(np.argmax(sound))
    return abs(float(values[row] / (0.5 * (low[row] + high[row]))))


def _extrema(column: Column, columns: dict[str, Column]) -> tuple[str, str] | None:
    low, high = f"{column.of}.min", f"{column.of}.max"
    if column.kind == "conserved" and low in columns and high in columns:
        return low, high
    return None
