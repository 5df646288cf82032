"""Watches integrals that may change in one direction alone, while the run goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from ...compare.monotone import ALLOWED, Reversal, Scale, monotone_columns, rounding
from ...compare.where.scales import measures
from ...model.segment import Event

if TYPE_CHECKING:
    from ...compare.view import SeriesView
    from ...diagnostics.probe import Reading
    from ...model.series import Column, SeriesSchema


class Monotone:
    """Tells of each integral once in a job attempt, where it first goes the wrong way.

    Parameters
    ----------
    schema : SeriesSchema
        What the samples mean.
    """

    def __init__(self, schema: SeriesSchema) -> None:
        self._columns = {column.name: column for column in schema.columns}
        self._unit = rounding(schema.tiles)
        self._watched = [_Watched(c, self._columns) for c in monotone_columns(schema.columns)]

    def look(self, reading: Reading) -> tuple[Reversal, ...]:
        """The integrals that go the wrong way in `reading` for the first time."""
        found = []
        for watched in list(self._watched):
            if reversal := watched.look(reading, self._columns, self._unit):
                found.append(reversal)
                self._watched.remove(watched)
        return tuple(found)


def wrong_way(reversal: Reversal, wall: float) -> Event:
    """The event that tells of it."""
    return Event(
        name="monotone_violated",
        severity="warning",
        step=reversal.step,
        wall=wall,
        text=reversal.text,
        rank=-1,
        facts={
            "quantity": reversal.name,
            "declared": reversal.declared,
            "value": reversal.value,
            "reached": reversal.reached,
            "from_step": reversal.from_step,
            "relative": reversal.relative,
        },
    )


class _Watched:
    """One integral: the extreme that it has reached, and those that its scale is told by.

    Of these the first is its own.
    """

    def __init__(self, column: Column, columns: dict[str, Column]) -> None:
        self._column = column
        self._sign = 1.0 if column.monotone == "decreasing" else -1.0
        self._reached: tuple[float, int] | None = None
        self._scale = Scale(column, columns)
        at = {name: i for i, name in enumerate(columns)}
        self._at = np.array([at[name] for name in self._scale.needs], np.intp)
        self._lowest = np.full(len(self._at), np.inf)
        self._highest = -self._lowest

    def look(self, reading: Reading, columns: dict[str, Column], unit: float) -> Reversal | None:
        self._extend(reading)
        value = reading[self._column.name]
        if not math.isfinite(value):
            return None
        if self._reached is None or self._sign * value <= self._sign * self._reached[0]:
            self._reached = value, reading.step
            return None
        reached, since = self._reached
        distance = abs(value - reached)
        # A scale takes longer than a sample's other work: it is asked for where it may matter.
        own = max(abs(self._lowest[0]), abs(self._highest[0]))
        if not distance > ALLOWED * unit * own or self._column.monotone == "":
            return None
        scale = self._known_scale(reading, columns)
        if not distance > ALLOWED * unit * scale:
            return None
        return Reversal(
            name=self._column.name,
            declared=self._column.monotone,
            step=reading.step,
            value=value,
            from_step=since,
            reached=reached,
            relative=distance / scale,
            first_step=reading.step,
            samples=1,
        )

    def _extend(self, reading: Reading) -> None:
        """Keep the extremes of the columns that the scale is told by."""
        values = reading.values[self._at]
        finite = np.isfinite(values)
        np.minimum(self._lowest, values, out=self._lowest, where=finite)
        np.maximum(self._highest, values, out=self._highest, where=finite)

    def _known_scale(self, reading: Reading, columns: dict[str, Column]) -> float:
        row = {name: reading.values[i : i + 1] for i, name in enumerate(columns)}
        measure = measures(cast("SeriesView", row), columns)[self._column.name]
        ends = (np.where(np.isfinite(v), v, np.nan) for v in (self._lowest, self._highest))
        lowest, highest = (
            {name: end[i : i + 1] for i, name in enumerate(self._scale.needs)} for end in ends
        )
        return float(self._scale.within(lowest, highest, measure)[0])
