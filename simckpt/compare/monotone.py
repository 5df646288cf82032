"""Integrals that may change in one direction alone, and where they went the other way.

An entropy that must decrease is declared ``Conserved("...", monotone="decreasing")``. Rounding
moves it both ways all the same, and a steady state nothing else. So what counts is its distance
from the extreme that it had reached, and only beyond `ALLOWED` units of rounding of its scale:
2.3e-13 of it for float64 fields, 1.2e-4 for float32. In 20,000 steps of explicit schemes for
heat conduction and Burgers' equation rounding moved the integral of the square by at most 14.

The scale is what the magnitudes of the contributions add up to, as far as the samples so far tell:
at least the largest magnitude of the integral. That may be the small rest of large contributions,
as the entropy of a gas whose reference state is the initial one. So for a field it is the bound
that its extrema give, and for an expression at least the domain's volume times the largest value
of the smallest field in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from ..model.record import Record
from ..model.series import Column, FieldTiles
from .view import Floats, SeriesView
from .where.scales import Extrema, extrema, extrema_of, largest_size, measures, names_in

ALLOWED = 1024
"""Units of rounding of the scale by which a quantity may go the wrong way."""


class Reversal(Record, frozen=True, kw_only=True):
    """An integral that went the wrong way.

    Parameters
    ----------
    name : str
        Its column.
    declared : str
        The direction in which alone it may change.
    step, value : int, float
        Where it was farthest from what it had reached.
    from_step, reached : int, float
        What it had reached, and where.
    relative : float
        The distance over the scale.
    first_step, samples : int
        The first sample beyond the allowance, and how many there are.
    """

    name: str
    declared: Literal["increasing", "decreasing"]
    step: int
    value: float
    from_step: int
    reached: float
    relative: float
    first_step: int
    samples: int

    @property
    def text(self) -> str:
        """What happened, as a clause."""
        moved = "rose" if self.declared == "decreasing" else "fell"
        return (
            f"{self.name}, declared as {self.declared}, {moved} from {self.reached:.9g} at step "
            f"{self.from_step} to {self.value:.9g} at step {self.step}, by {self.relative:.2g} "
            "of its scale"
        )


def monotone_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Those that were declared to change in one direction alone."""
    return tuple(column for column in columns if column.monotone)


def rounding(tiles: Iterable[FieldTiles]) -> float:
    """The unit of rounding of the least precise floating type among the fields."""
    kinds = [np.dtype(t.dtype) for t in tiles]
    return max((float(np.finfo(k).eps) for k in kinds if k.kind in "fc"), default=2.0**-52)


class Scale:
    """What an integral's rounding errors are relative to.

    It is worked out from the extremes that some columns have reached, so that it is the same
    while the run goes on and after it.

    Parameters
    ----------
    column : Column
        The integral.
    columns : mapping of str to Column
        All columns of the samples.

    Attributes
    ----------
    needs : tuple of str
        The columns whose extremes must be known.
    """

    def __init__(self, column: Column, columns: Mapping[str, Column]) -> None:
        self._name = column.name
        self._of_field = extrema(column, columns)
        self._named: tuple[Extrema, ...] = ()
        if self._of_field is None:
            ends = (extrema_of(name, columns) for name in sorted(names_in(column)))
            self._named = tuple(end for end in ends if end is not None)
        used = self._named if self._of_field is None else (self._of_field,)
        self.needs = (column.name, *(n for end in used for part in end for n in part))

    def within(
        self, lowest: Mapping[str, Floats], highest: Mapping[str, Floats], measure: float
    ) -> Floats:
        """The scale, where each column lies between these values (NaN: it has none yet)."""
        ends = lowest[self._name], highest[self._name]
        scale: Floats = np.fmax(_size(ends[0]), _size(ends[1]))
        if self._of_field is not None:
            least = np.fmin.reduce([lowest[n] for n in self._of_field.minima])
            greatest = np.fmax.reduce([highest[n] for n in self._of_field.maxima])
            for end in ends:
                scale = np.fmax(scale, largest_size(end, least, greatest, measure))
        elif self._named and measure:
            sizes = [
                np.maximum.reduce(
                    [
                        *(_size(lowest[n]) for n in end.minima),
                        *(_size(highest[n]) for n in end.maxima),
                    ]
                )
                for end in self._named
            ]
            scale = np.fmax(scale, measure * np.minimum.reduce(sizes))
        return scale


def reversals(series: SeriesView, columns: dict[str, Column], unit: float) -> tuple[Reversal, ...]:
    """The integrals that went the wrong way in a run; `unit` is that of rounding."""
    found = (_reversal(c, series, columns, unit) for c in monotone_columns(columns.values()))
    return tuple(reversal for reversal in found if reversal is not None)


def _reversal(
    column: Column, series: SeriesView, columns: dict[str, Column], unit: float
) -> Reversal | None:
    values = series[column.name]
    if not len(values) or column.monotone == "":
        return None
    falling = values if column.monotone == "decreasing" else -values
    falling = np.where(np.isfinite(falling), falling, np.inf)
    reached = np.minimum.accumulate(falling)
    scale = _scale(column, series, columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        beyond = np.where(np.isfinite(falling), falling - reached, 0.0)
        relative = np.where(beyond > 0, beyond / scale, 0.0)
    wrong = np.flatnonzero(beyond > ALLOWED * unit * scale)
    if not len(wrong):
        return None
    worst = int(wrong[np.argmax(relative[wrong])])
    start = int(np.argmin(falling[: worst + 1]))
    return Reversal(
        name=column.name,
        declared=column.monotone,
        step=int(series.step[worst]),
        value=float(values[worst]),
        from_step=int(series.step[start]),
        reached=float(values[start]),
        relative=float(relative[worst]),
        first_step=int(series.step[wrong[0]]),
        samples=len(wrong),
    )


def _scale(column: Column, series: SeriesView, columns: dict[str, Column]) -> Floats:
    """The scale at each sample, told by all up to it."""
    scale = Scale(column, columns)
    known = {name: _finite(series[name]) for name in scale.needs}
    return scale.within(
        {name: np.fmin.accumulate(values) for name, values in known.items()},
        {name: np.fmax.accumulate(values) for name, values in known.items()},
        measures(series, columns)[column.name],
    )


def _finite(values: Floats) -> Floats:
    found: Floats = np.where(np.isfinite(values), values, np.nan)
    return found


def _size(values: Floats) -> Floats:
    sizes: Floats = np.where(np.isfinite(values), np.abs(values), 0.0)
    return sizes
