"""Where fields cease to be finite: the first cell, its tile, and how large values were before."""

from __future__ import annotations

from bisect import bisect_right
from math import isfinite
from typing import TYPE_CHECKING

from ...model.segment import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...diagnostics.probe import Reading
    from ...model.record import Facts
    from ...model.series import FieldTiles

KINDS = {"nan": "NaN", "posinf": "+Inf", "neginf": "-Inf"}


class Origins:
    """Tells of each field once, when it is not finite for the first time in a job attempt."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._before: Reading | None = None

    def events(self, reading: Reading, wall: float) -> Iterator[Event]:
        """The fields that are not finite in `reading` and were till then."""
        for field, index in reading.origins.items():
            if field not in self._told:
                self._told.add(field)
                yield self._event(reading, wall, field, index)
        if not reading.faults:
            self._before = reading

    def _event(self, reading: Reading, wall: float, field: str, index: tuple[int, ...]) -> Event:
        found = {kind: reading[f"{field}.{kind}"] for kind in KINDS}
        counts = {kind: int(n) for kind, n in found.items() if isfinite(n)}
        tile = _tile(next(t for t in reading.schema.tiles if t.field == field), index)
        facts: Facts = {"field": field, "index": list(index), "tile": list(tile), **counts}
        told = ", ".join(f"{n} {KINDS[kind]}" for kind, n in counts.items() if n)
        text = f"{field} is not finite for the first time{': ' if told else ''}{told}; "
        if field.startswith("particles."):
            text += f"the first is the particle with the id {index[0]}"
        else:
            text += f"the first cell is ({_listed(index)}), in tile ({_listed(tile)})"
        if self._before is not None:
            low, high = self._before[f"{field}.min"], self._before[f"{field}.max"]
            if isfinite(low) and isfinite(high):
                facts["last_finite"] = {"step": self._before.step, "min": low, "max": high}
                text += f"; it was in {low:.6g} ... {high:.6g} at step {self._before.step}"
        return Event(
            name="non_finite",
            severity="error",
            step=reading.step,
            wall=wall,
            text=text,
            facts=facts,
            rank=-1,
        )


def _tile(tiles: FieldTiles, index: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(bisect_right(e, i) - 1 for e, i in zip(tiles.edges, index, strict=True))


def _listed(index: tuple[int, ...]) -> str:
    return ", ".join(map(str, index))
