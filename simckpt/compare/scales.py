"""The magnitude a quantity's rounding errors are relative to.

Most quantities are their own scale: the largest magnitude they reach. A field's minimum near zero
is not: what solves for a field at once rounds relative to its largest values, so both extrema have
the scale of the larger. Nor is a total momentum near zero, since it is the small rest of large
contributions. The scale of an integral is what the magnitudes of its contributions add up to. Of a
field that keeps one sign that is the integral itself, and of another one it is bounded by the
field's extrema and its mean: the convex function ``|f|`` lies below its chord between them (the
inequality of Edmundson and Madansky). The mean is the integral over that of one, which is
recorded. Bundles without it have it guessed from the integral of any field that keeps one sign,
whose mean lies between that field's minimum and maximum.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, Self

import numpy as np

from ..model.series import Column
from .run_view import Floats, SeriesView

HEAD = 4096
"""Samples at the beginning of a column in which a value of one sign is looked for first."""

PLAIN_SUM = "exact sum of"
"""How the note of a sum of plain values begins, which no volumes were multiplied to."""

_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Summary:
    """What is asked of a column again and again, so that a long one is read less often.

    Parameters
    ----------
    largest : float
        The largest finite magnitude; 0 if there is none.
    least, highest : float
        The extreme finite values; NaN if there is none.
    finite : bool
        Whether every value is.
    head : float64 array
        The first `HEAD` values.
    """

    largest: float
    least: float
    highest: float
    finite: bool
    head: Floats

    @classmethod
    def of(cls, values: Floats) -> Self:
        finite = np.isfinite(values)
        least = float(np.min(values, where=finite, initial=np.inf))
        highest = float(np.max(values, where=finite, initial=-np.inf))
        if least > highest:
            least = highest = float("nan")
        largest = max(abs(least), abs(highest)) if least <= highest else 0.0
        return cls(largest, least, highest, bool(finite.all()), values[:HEAD].copy())


def summary(series: SeriesView, name: str) -> Summary:
    """That of a column, from a series that keeps them or made anew."""
    cache = getattr(series, "summary", None)
    result: Summary = cache(name) if cache is not None else Summary.of(series[name])
    return result


def scales(series: SeriesView, columns: dict[str, Column]) -> dict[str, float]:
    """The scale of each column of one run; 0 for a column that is zero or never finite."""
    summaries = {name: summary(series, name) for name in columns}
    own = {name: summary.largest for name, summary in summaries.items()}
    for name, column in columns.items():
        low, high = f"{column.of}.min", f"{column.of}.max"
        if name == low and high in own:
            own[low] = own[high] = max(own[low], own[high])
    known_measures = measures(series, columns)
    for name, measure in known_measures.items():
        ends = extrema(columns[name], columns)
        if ends is not None:
            least = np.fmin.reduce([summaries[n].least for n in ends.minima])
            greatest = np.fmax.reduce([summaries[n].highest for n in ends.maxima])
            totals = np.array([summaries[name].least, summaries[name].highest])
            size = largest_size(totals, least, greatest, measure)
            own[name] = max(own[name], float(np.nanmax(size, initial=0.0)))
    return own


def largest_size(total: Floats, least: Floats, greatest: Floats, measure: float) -> Floats:
    """The largest that the integral of ``|f|`` can be.

    Parameters
    ----------
    total : float64 array
        The integral of f.
    least, greatest : float64 array
        Its extrema.
    measure : float
        The integral of one; 0 if that is not known, and then ``|total|`` is the result.
    """
    own = np.abs(total)
    both = (least < 0) & (greatest > 0)
    if not measure or not np.any(both):
        return own
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # In parts of the larger, whose square may overflow.
        unit = np.maximum(-least, greatest)
        low, high = least / unit, greatest / unit
        mean = np.clip(total / measure / unit, low, high)
        size = measure * unit * ((mean * (low + high) - 2.0 * low * high) / (high - low))
        result: Floats = np.where(both & np.isfinite(size), np.maximum(own, size), own)
    return result


def names_in(column: Column) -> set[str]:
    """Every name in the expression that a column is computed from."""
    return set(_NAME.findall(column.of))


def unscaled(series: SeriesView, columns: dict[str, Column]) -> frozenset[str]:
    """Sums whose scale is only their own value, for their contributions are not known."""
    sums = [c for c in columns.values() if c.kind in ("budget", "conserved", "residual")]
    by_name = measures(series, columns)
    return frozenset(c.name for c in sums if not by_name.get(c.name) or not extrema(c, columns))


def measures(series: SeriesView, columns: dict[str, Column]) -> dict[str, float]:
    """The integral of one, for every integral; 0 where it is not known."""
    sums = {name: c for name, c in columns.items() if c.kind in ("budget", "conserved")}
    declared = {name: c.measure for name, c in sums.items() if isinstance(c.measure, float)}
    if declared:
        return {name: declared.get(name, 0.0) for name in sums}
    plain = {name for name, c in sums.items() if c.note.startswith(PLAIN_SUM)}
    of_cells, of_volume = (
        _guessed(series, columns, names) for names in (plain, sums.keys() - plain)
    )
    return {name: of_cells if name in plain else of_volume for name in sums}


def _guessed(series: SeriesView, columns: dict[str, Column], names: Iterable[str]) -> float:
    """The measure that several integrals have, from any field that keeps one sign."""
    volumes = []
    for name in names:
        ends = extrema(columns[name], columns)
        if ends is None:
            continue
        three = (name, ends.minima[0], ends.maxima[0])
        volume = _volume(*(summary(series, n).head for n in three))
        if volume is None and len(series[name]) > HEAD:
            volume = _volume(*(series[n] for n in three))
        if volume is not None:
            volumes.append(volume)
    return median(volumes) if volumes else 0.0


def _volume(values: Floats, low: Floats, high: Floats) -> float | None:
    sound = np.isfinite(values) & np.isfinite(low) & np.isfinite(high) & (low * high > 0)
    if not sound.any():
        return None
    row = int(np.argmax(sound))
    return abs(float(values[row] / (0.5 * (low[row] + high[row]))))


class Extrema(NamedTuple):
    """The columns that hold the extrema of a field, one to a refined level."""

    minima: tuple[str, ...]
    maxima: tuple[str, ...]


def extrema(column: Column, columns: Iterable[str]) -> Extrema | None:
    """Those of the field whose integral a column is; None if it is of no single field."""
    if column.kind not in ("budget", "conserved"):
        return None
    return extrema_of(column.of.strip(), columns)


def extrema_of(field: str, columns: Iterable[str]) -> Extrema | None:
    """Those of a field, on all levels; None if they were not recorded."""
    low, high, finer = f"{field}.min", f"{field}.max", f"{field}@"
    names = [n for n in columns if n in (low, high) or n.startswith(finer)]
    minima = tuple(n for n in names if n.endswith(".min"))
    maxima = tuple(n for n in names if n.endswith(".max"))
    return Extrema(minima, maxima) if low in minima and high in maxima else None
