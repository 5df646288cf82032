"""Checks of each sample whose outcome is an event: values that are not finite, and integrals
that change in the direction that was not declared.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, cast

import numpy as np

from ..compare.health import ALLOWED, Reversal, Scale, monotone_columns, rounding
from ..compare.scales import measures, scales
from ..model.series import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..compare.run_view import SeriesView
    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.record import Facts
    from ..model.series import Column, FieldTiles, SeriesSchema

_NON_FINITE = {"nan": "NaN", "posinf": "+Inf", "neginf": "-Inf"}


def magnitudes(sample: ReducedSample, schema: SeriesSchema) -> dict[str, float]:
    """The scale that the rounding errors of each column are relative to; 0 where it is unknown."""
    columns = {column.name: column for column in schema.columns}
    return scales(_row(sample, columns), columns)


def _row(sample: ReducedSample, columns: dict[str, Column]) -> SeriesView:
    row = {name: sample.values[i : i + 1] for i, name in enumerate(columns)}
    return cast("SeriesView", row)


class NonFiniteCheck:
    """Finds the first cell of each field that is not finite, once in a job attempt."""

    def __init__(self) -> None:
        self._fields: set[str] = set()
        self._last_sound: ReducedSample | None = None

    def events(self, sample: ReducedSample, wall: float) -> Iterator[Event]:
        """One for each field that is not finite in `sample` for the first time."""
        for field, index in sample.origins.items():
            if field not in self._fields:
                self._fields.add(field)
                yield self._event(sample, wall, field, index)
        if not sample.faults:
            self._last_sound = sample

    def _event(
        self, sample: ReducedSample, wall: float, field: str, index: tuple[int, ...]
    ) -> Event:
        values = {kind: sample[f"{field}.{kind}"] for kind in _NON_FINITE}
        counts = {kind: int(n) for kind, n in values.items() if math.isfinite(n)}
        tile = _tile(next(t for t in sample.schema.tiles if t.field == field), index)
        facts: Facts = {"field": field, "index": list(index), "tile": list(tile), **counts}
        summary = ", ".join(f"{n} {_NON_FINITE[kind]}" for kind, n in counts.items() if n)
        text = f"{field} is not finite for the first time{': ' if summary else ''}{summary}; "
        if field.startswith("particles."):
            text += f"the first is the particle with the id {index[0]}"
        else:
            cell, tile_text = (", ".join(map(str, numbers)) for numbers in (index, tile))
            text += f"the first cell is ({cell}), in tile ({tile_text})"
        before = self._last_sound
        if before is not None:
            low, high = before[f"{field}.min"], before[f"{field}.max"]
            if math.isfinite(low) and math.isfinite(high):
                facts["last_finite"] = {"step": before.step, "min": low, "max": high}
                text += f"; it was in {low:.6g} ... {high:.6g} at step {before.step}"
        return Event(
            name="non_finite",
            severity="error",
            step=sample.step,
            wall=wall,
            text=text,
            facts=facts,
            rank=-1,
        )


def _tile(tiles: FieldTiles, index: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(bisect_right(e, i) - 1 for e, i in zip(tiles.edges, index, strict=True))


class MonotoneCheck:
    """Finds where integrals declared as monotone first go the wrong way, once in a job attempt.

    Parameters
    ----------
    schema : SeriesSchema
        What the samples mean.
    """

    def __init__(self, schema: SeriesSchema) -> None:
        self._columns = {column.name: column for column in schema.columns}
        self._allowed = ALLOWED * rounding(schema.tiles)
        self._integrals = [
            _MonotoneIntegral(c, self._columns) for c in monotone_columns(schema.columns)
        ]

    def check(self, sample: ReducedSample) -> tuple[Reversal, ...]:
        """The integrals that go the wrong way in `sample` for the first time."""
        if not self._integrals:
            return ()
        results = [(i, i.check(sample, self._allowed)) for i in self._integrals]
        self._integrals = [integral for integral, reversal in results if reversal is None]
        return tuple(reversal for _, reversal in results if reversal is not None)


def reversal_event(reversal: Reversal, wall: float) -> Event:
    """The event of an integral that went the wrong way."""
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


class _MonotoneIntegral:
    """The extreme that one integral has reached, and those that its scale follows from."""

    def __init__(self, column: Column, columns: dict[str, Column]) -> None:
        self._column = column
        self._columns = columns
        self._sign = 1.0 if column.monotone == "decreasing" else -1.0
        self._extreme: tuple[float, int] | None = None
        # The first column that the scale needs is the integral's own.
        self._scale = Scale(column, columns)
        at = {name: i for i, name in enumerate(columns)}
        self._at = np.array([at[name] for name in self._scale.needs], np.intp)
        self._lowest = np.full(len(self._at), np.inf)
        self._highest = -self._lowest

    def check(self, sample: ReducedSample, allowed: float) -> Reversal | None:
        values = sample.values[self._at]
        finite = np.isfinite(values)
        np.minimum(self._lowest, values, out=self._lowest, where=finite)
        np.maximum(self._highest, values, out=self._highest, where=finite)
        value = float(values[0])
        if not finite[0] or self._column.monotone == "":
            return None
        if self._extreme is None or self._sign * value <= self._sign * self._extreme[0]:
            self._extreme = value, sample.step
            return None
        reached, since = self._extreme
        distance = abs(value - reached)
        # The scale is computed only where it may matter: it costs more than the rest of a sample.
        if not distance > allowed * max(abs(self._lowest[0]), abs(self._highest[0])):
            return None
        scale = self._current_scale(sample)
        if not distance > allowed * scale:
            return None
        return Reversal(
            name=self._column.name,
            declared=self._column.monotone,
            step=sample.step,
            value=value,
            from_step=since,
            reached=reached,
            relative=distance / scale,
            first_step=sample.step,
            samples=1,
        )

    def _current_scale(self, sample: ReducedSample) -> float:
        measure = measures(_row(sample, self._columns), self._columns)[self._column.name]
        lowest, highest = (
            {
                name: end[i : i + 1] if np.isfinite(end[i]) else np.full(1, np.nan)
                for i, name in enumerate(self._scale.needs)
            }
            for end in (self._lowest, self._highest)
        )
        return float(self._scale.within(lowest, highest, measure)[0])
