"""Integrals that may change in one direction alone, and where they went the other way.

An entropy that must decrease is declared ``Conserved("...", monotone="decreasing")``. Rounding
moves it both ways all the same, and a steady state nothing else. So what counts is its distance
from the extreme that it had reached, and only beyond `ALLOWED` units of rounding of its scale:
2.3e-13 of it for float64 fields, 1.2e-4 for float32. In 20,000 steps of explicit schemes for
heat conduction and Burgers' equation rounding moved the integral of the square by at most 14.

The scale is the largest magnitude of the integral so far. Where that is the small rest of large
contributions, as the entropy of a gas whose reference state is the initial one, it is at least
the domain's volume times the largest value of the smallest field in the expression.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from ..model.record import Record
from ..model.series import Column, FieldTiles
from .view import Floats, SeriesView
from .where.scales import domain_volume, names_in

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


def magnitude(column: Column, series: SeriesView, columns: dict[str, Column]) -> Floats:
    """What the column's rounding errors are relative to, in each sample by itself."""
    own = _size(series[column.name])
    named = [n for n in names_in(column) if f"{n}.min" in columns]
    volume = domain_volume(series, columns) if named else 0.0
    if not volume:
        return own
    sizes = [np.maximum(_size(series[f"{n}.min"]), _size(series[f"{n}.max"])) for n in named]
    scale: Floats = np.maximum(own, volume * np.minimum.reduce(sizes))
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
    scale = np.maximum.accumulate(magnitude(column, series, columns))
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


def _size(values: Floats) -> Floats:
    sizes: Floats = np.where(np.isfinite(values), np.abs(values), 0.0)
    return sizes
