"""Where the boxes of all ranks lie, from sample to sample.

A rank whose boxes have moved says so to rank 0, beside the sample and without waiting. The sample
itself carries a sum that tells where all boxes lie: what the ranks have said holds for it if it
adds up to that.
"""

from __future__ import annotations

from collections import deque
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..diagnostics.coverage import decomposition_checksum, find_overlap
from ..model.series import DECOMPOSITION, DECOMPOSITION_CHANGED, Decomposition, Event, Patch
from ..parallel.comm import LONGEST_POST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from ..diagnostics.rank_sampler import LocalBoxes
    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.record import Hash
    from ..model.series import Decomposition
    from ..parallel.comm import Comm

HEAD = 4
"""Words of a message before its boxes: sample, message, messages of this sample, axes."""


class Placed(NamedTuple):
    """Where all boxes lie in a sample, and what is wrong with that, or nothing."""

    decomposition: Decomposition
    problem: str


class Placements:
    """This rank's boxes as they move, and on rank 0 those of all ranks.

    Parameters
    ----------
    comm : Comm
        Carries what the ranks say; its posts carry nothing else.
    first : Decomposition
        What the ranks agreed on at the first sample.
    """

    def __init__(self, comm: Comm, first: Decomposition) -> None:
        self._comm = comm
        self._shape = first.global_shape
        # No mask is known here: overlaps were looked for when the ranks agreed.
        boxes = [tuple((p, True) for p in held if prod(p.shape)) for held in first.patches]
        self._mine = tuple(patch for patch, _ in boxes[comm.rank])
        self._said = [deque([(0, held)]) for held in boxes] if comm.rank == 0 else []
        self._parts: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
        self._last: tuple[int, Placed] | None = None

    def tell(self, number: int, held: LocalBoxes) -> None:
        """Say where this rank's boxes lie in sample `number`, if that has changed."""
        mine = tuple(patch for patch, _ in held)
        if mine == self._mine:
            return
        self._mine = mine
        for message in _messages(number, held, len(self._shape)):
            self._comm.post(message)

    def at(self, number: int, mark: int) -> Placed | None:
        """Where all boxes lay in sample `number`, whose sum is `mark`; None if that is not known.

        Rank 0 asks for each sample in turn.
        """
        for rank, message in self._comm.posted():
            self._take(rank, message)
        if self._last is not None and self._last[0] == mark:
            return self._last[1]
        for said in self._said:
            while len(said) > 1 and said[1][0] <= number:
                said.popleft()
        boxes = [said[0][1] for said in self._said]
        decomposition = Decomposition(
            global_shape=self._shape,
            patches=tuple(tuple(patch for patch, _ in held) for held in boxes),
        )
        if decomposition_checksum(decomposition) != mark:
            return None
        self._last = mark, Placed(decomposition, _overlap(boxes))
        return self._last[1]

    def _take(self, rank: int, message: NDArray[np.int64]) -> None:
        number, _, pieces, axes = message[:HEAD].tolist()
        parts = self._parts.setdefault((rank, number), [])
        parts.append(message[HEAD:])
        if len(parts) < pieces:
            return
        rows = np.concatenate(self._parts.pop((rank, number))).reshape(-1, 2 + 2 * axes).tolist()
        held = tuple(
            (Patch(start=tuple(at[:axes]), shape=tuple(at[axes:]), level=level), bool(masked))
            for level, masked, *at in rows
        )
        self._said[rank].append((number, held))


def _messages(number: int, held: LocalBoxes, axes: int) -> Iterator[NDArray[np.int64]]:
    rows = [[p.level, masked, *p.start, *p.shape] for p, masked in held]
    most = (LONGEST_POST - HEAD) // (2 + 2 * axes)
    cuts = [rows[i : i + most] for i in range(0, len(rows), most)] or [[]]
    for piece, cut in enumerate(cuts):
        words = [number, piece, len(cuts), axes, *(word for row in cut for word in row)]
        yield np.array(words, np.int64)


def _overlap(boxes: Sequence[LocalBoxes]) -> str:
    """Which two ranks hold one cell, where no mask can make that right."""
    levels = {patch.level for held in boxes for patch, _ in held}
    masked = {patch.level for held in boxes for patch, mask in held if mask}
    for level in sorted(levels - masked):
        here = [
            (rank, patch.start, patch.shape)
            for rank, held in enumerate(boxes)
            for patch, _ in held
            if patch.level == level
        ]
        if (found := find_overlap(here)) is not None:
            first, second, cell = found
            return (
                f"ranks {first[0]} and {second[0]} both hold the cell {cell} of level {level}, "
                "which counts twice in every integral"
            )
    return ""


# Boxes that move while a run goes on: refinement, and load that is balanced anew.


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

    def events(self, reading: ReducedSample, wall: float, placed: Placed | None) -> Iterator[Event]:
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

    def _moves(self, reading: ReducedSample, wall: float, placed: Placed | None) -> Iterator[Event]:
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

    def _move(self, reading: ReducedSample, wall: float, placed: Placed | None) -> Event:
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


# Samples that belong together: they pair by their order, which one rank's stray sample upsets.
#
# Rank 0 sees in a sample that not all ranks were at its step. It then tells the others at which
# steps it took its last samples. A rank that finds the same steps further on among its own has
# taken samples that rank 0 has not, and leaves out as many; a rank that finds them earlier sends
# as many empty ones. No rank waits for any of it.


WORDS = 3
"""Of a sample: its number, its step, and how many samples of that step came right before."""

REMEMBERED = (LONGEST_POST - 1) // WORDS
"""Samples that a rank remembers, and tells."""

Moment = tuple[int, int]
"""A step, and how many samples of it came right before."""


class Pairing:
    """This rank's side of it.

    Parameters
    ----------
    comm : Comm
        Carries what rank 0 has to say.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._taken: deque[tuple[int, Moment]] = deque(maxlen=REMEMBERED)
        self._next = 0
        self._told_at = -1
        self._shifted_at = 0

    def sent(self, number: int, moment: Moment) -> None:
        """This rank has sent its sample `number`, taken at this moment."""
        self._taken.append((number, moment))
        self._next = number + 1

    def apart(self, number: int) -> None:
        """In sample `number` the ranks were at different steps: say so, from rank 0."""
        # Samples on their way when it was last said were apart for the same reason.
        if number > self._told_at and self._taken:
            self._told_at = self._taken[-1][0]
            words = [number, *(word for n, moment in self._taken for word in (n, *moment))]
            self._comm.announce(np.array(words, np.int64))

    def shift(self, moment: Moment) -> int:
        """By how many samples this rank is ahead of rank 0, where it has just heard of it.

        The sample to come, at this moment, is counted as taken.
        """
        ahead = 0
        for words in self._comm.announced():
            if words[0] >= self._shifted_at:
                ahead = self._ahead(words[1:].reshape(-1, WORDS).tolist(), moment)
        if ahead:
            self._shifted_at = self._next
        return ahead

    def _ahead(self, theirs: list[list[int]], moment: Moment) -> int:
        mine = {taken: number for number, taken in (*self._taken, (self._next, moment))}
        shifts = [
            mine[step, visit] - number
            for number, step, visit in reversed(theirs)
            if (step, visit) in mine
        ]
        # One alone may be a step that was told wrong.
        return shifts[0] if len(shifts) > 1 and shifts[0] == shifts[1] else 0
