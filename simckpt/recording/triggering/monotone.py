"""Watches integrals that may change in one direction alone, while the run goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from ...compare.monotone import ALLOWED, Reversal, magnitude, monotone_columns, rounding
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
        self._watched = [_Watched(c) for c in monotone_columns(schema.columns)]

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
    """One integral: the extreme that it has reached, and its scale so far."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._sign = 1.0 if column.monotone == "decreasing" else -1.0
        self._reached: tuple[float, int] | None = None
        self._scale = 0.0

    def look(self, reading: Reading, columns: dict[str, Column], unit: float) -> Reversal | None:
        value = reading[self._column.name]
        if not math.isfinite(value):
            return None
        self._scale = max(self._scale, abs(value))
        if self._reached is None or self._sign * value <= self._sign * self._reached[0]:
            self._reached = value, reading.step
            return None
        reached, since = self._reached
        distance = abs(value - reached)
        # A scale takes longer than a sample's other work: it is asked for where it may matter.
        if distance > ALLOWED * unit * self._scale:
            row = {name: reading.values[i : i + 1] for i, name in enumerate(columns)}
            now = magnitude(self._column, cast("SeriesView", row), columns)
            self._scale = max(self._scale, float(now[0]))
        if not distance > ALLOWED * unit * self._scale or self._column.monotone == "":
            return None
        return Reversal(
            name=self._column.name,
            declared=self._column.monotone,
            step=reading.step,
            value=value,
            from_step=since,
            reached=reached,
            relative=distance / self._scale,
            first_step=reading.step,
            samples=1,
        )
