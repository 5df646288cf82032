"""The magnitude a quantity's rounding errors are relative to.

Most quantities are their own scale: the largest magnitude they reach. A field's minimum near zero
is not: what solves for a field at once rounds relative to its largest values, so both extrema have
the scale of the larger. Nor is a total momentum near zero, since it is the small rest of large
contributions. For the integral of a field whose extrema are recorded too, the scale is the extreme
times the domain's volume, and the volume follows from the integral of any field that keeps one
sign: the integral divided by the volume lies between that field's minimum and maximum.
"""

from __future__ import annotations

from statistics import median

import numpy as np

from ...model.series import Column
from ..view import Floats, SeriesView


def scales(series: SeriesView, columns: dict[str, Column]) -> dict[str, float]:
    """The scale of each column of one run; 0 for a column that is zero or never finite."""
    own = {name: _largest(series[name]) for name in columns}
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


def domain_volume(series: SeriesView, columns: dict[str, Column]) -> float:
    """The volume of the domain in the unit of the integrals; 0 where nothing tells it."""
    found = []
    for name, column in columns.items():
        extrema = _extrema(column, columns)
        if not extrema:
            continue
        values, low, high = (series[n] for n in (name, *extrema))
        sound = np.isfinite(values) & np.isfinite(low) & np.isfinite(high) & (low * high > 0)
        if sound.any():
            row = int(np.argmax(sound))
            found.append(abs(float(values[row] / (0.5 * (low[row] + high[row])))))
    return median(found) if found else 0.0


def _extrema(column: Column, columns: dict[str, Column]) -> tuple[str, str] | None:
    low, high = f"{column.of}.min", f"{column.of}.max"
    if column.kind == "conserved" and low in columns and high in columns:
        return low, high
    return None


def _largest(values: Floats) -> float:
    finite = np.isfinite(values)
    return float(np.max(np.abs(values), where=finite, initial=0.0))
