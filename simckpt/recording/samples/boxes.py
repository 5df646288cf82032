"""Boxes that move while a run goes on: refinement, and load that is balanced anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.segment import DECOMPOSITION_CHANGED, Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...diagnostics.probe import Reading


class Boxes:
    """Tells once in a job attempt that the recorded decomposition holds no longer.

    Refinement may move boxes every few steps: where they lie later is not recorded, so that the
    first time says all that can be said.
    """

    def __init__(self) -> None:
        self._moved = False
        self._unseen = False

    def events(self, reading: Reading, wall: float) -> Iterator[Event]:
        """What `reading` is the first to show."""
        if reading.moved and not self._moved:
            self._moved = True
            yield Event(
                name=DECOMPOSITION_CHANGED,
                severity="note",
                step=reading.step,
                wall=wall,
                text="boxes were moved, cut anew or given to other ranks since the first sample; "
                "which rank holds a cell is not recorded from here on",
                rank=-1,
            )
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
