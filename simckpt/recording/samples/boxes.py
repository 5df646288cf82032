"""Boxes that move while a run goes on: refinement, and load that is balanced anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.segment import DECOMPOSITION, DECOMPOSITION_CHANGED, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...diagnostics.probe import Reading
    from ...model.record import Hash
    from ...model.segment import Decomposition
    from .placements import Placed

MOST_BOXES = 20_000
"""Boxes that are recorded in a job attempt, all its moves together: about a megabyte."""


class Boxes:
    """Tells of each sample whose boxes lie elsewhere than in the one before.

    Parameters
    ----------
    store : callable
        Stores a decomposition and returns its hash.
    """

    def __init__(self, store: Callable[[Decomposition], Hash]) -> None:
        self._store = store
        self._places: int | None = None
        self._known = True
        self._left = MOST_BOXES
        self._problem = ""
        self._unseen = False

    def events(self, reading: Reading, wall: float, placed: Placed | None) -> Iterator[Event]:
        """What `reading` is the first to show; `placed` is where its boxes lie, if known."""
        if reading.places is not None:
            yield from self._moves(reading, wall, placed)
        if reading.unseen and not self._unseen:
            self._unseen = True
            yield Event(
                name="level_without_digests",
                severity="note",
                step=reading.step,
                wall=wall,
                text=f"a level of refinement has appeared, of {reading.unseen} cells: they count "
                "in integrals and maxima, and have no extrema and digests of their own before "
                "the next job attempt. To have them, give a box of no cells on that level at the "
                "first sample.",
                rank=-1,
                facts={"cells": reading.unseen},
            )

    def _moves(self, reading: Reading, wall: float, placed: Placed | None) -> Iterator[Event]:
        places = reading.places if reading.moved else None
        stays = places == self._places
        if stays and (self._known or placed is None or not self._left):
            return
        was_known, self._places = self._known, places
        self._known = placed is not None and self._left > 0
        if not stays or was_known or self._known:
            yield self._move(reading, wall, placed if self._known else None)
        problem = placed.problem if placed is not None else ""
        if problem and problem != self._problem:
            yield Event(
                name="cells_held_twice",
                severity="warning",
                step=reading.step,
                wall=wall,
                text=problem,
                rank=-1,
            )
        self._problem = problem

    def _move(self, reading: Reading, wall: float, placed: Placed | None) -> Event:
        text = "boxes were moved, cut anew or given to other ranks"
        facts = {}
        if placed is not None:
            boxes = sum(map(len, placed.decomposition.patches))
            self._left = max(0, self._left - boxes)
            facts = {DECOMPOSITION: self._store(placed.decomposition), "boxes": boxes}
            text += f": there are {boxes} of them from here on"
        else:
            text += "; which rank holds a cell is not recorded from here on"
        return Event(
            name=DECOMPOSITION_CHANGED,
            severity="note",
            step=reading.step,
            wall=wall,
            text=text,
            rank=-1,
            facts=facts,
        )
