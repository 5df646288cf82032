"""Ranks whose boxes move, and ranks that sample at different steps."""

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
    from ..model.record import Facts, Hash
    from ..model.series import Severity
    from ..parallel.comm import Comm

HEAD = 4
"""Words of a message before its boxes: sample, message, messages of this sample, axes."""


class DecompositionAt(NamedTuple):
    """Where all boxes are in a sample, and what is wrong with that, or nothing."""

    decomposition: Decomposition
    problem: str


class DecompositionTracker:
    """This rank's boxes as they move, and on rank 0 those of all ranks.

    A rank whose boxes have moved sends them to rank 0, beside the sample and without waiting. The
    sample itself has a checksum of where all boxes are: the boxes that the ranks have sent are
    those of the sample if their checksum is the same.

    Parameters
    ----------
    comm : Comm
        Carries the boxes; its posts carry nothing else.
    first : Decomposition
        What the ranks agreed on at the first sample.
    """

    def __init__(self, comm: Comm, first: Decomposition) -> None:
        self._comm = comm
        self._shape = first.global_shape
        # Masks are unknown here: overlaps were looked for when the ranks agreed.
        boxes = [
            tuple((patch, True) for patch in patches if prod(patch.shape))
            for patches in first.patches
        ]
        self._patches = tuple(patch for patch, _ in boxes[comm.rank])
        self._sent: LocalBoxes | None = None
        self._received = [deque([(0, b)]) for b in boxes] if comm.rank == 0 else []
        self._parts: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
        self._last: tuple[int, DecompositionAt] | None = None

    def send(self, number: int, boxes: LocalBoxes) -> None:
        """Send rank 0 this rank's boxes in sample `number`, if they have moved."""
        if boxes == self._sent:
            return
        self._sent = boxes
        patches = tuple(patch for patch, _ in boxes)
        if patches == self._patches:
            return
        self._patches = patches
        for message in _messages(number, boxes, len(self._shape)):
            self._comm.post(message)

    def at(self, number: int, checksum: int) -> DecompositionAt | None:
        """Where all boxes were in sample `number`; None if that is not known.

        Rank 0 calls it for each sample in turn.
        """
        for rank, message in self._comm.posted():
            self._take(rank, message)
        if self._last is not None and self._last[0] == checksum:
            return self._last[1]
        for received in self._received:
            while len(received) > 1 and received[1][0] <= number:
                received.popleft()
        boxes = [received[0][1] for received in self._received]
        decomposition = Decomposition(
            global_shape=self._shape,
            patches=tuple(tuple(patch for patch, _ in of_rank) for of_rank in boxes),
        )
        if decomposition_checksum(decomposition) != checksum:
            return None
        self._last = checksum, DecompositionAt(decomposition, _overlap(boxes))
        return self._last[1]

    def _take(self, rank: int, message: NDArray[np.int64]) -> None:
        number, _, pieces, axes = message[:HEAD].tolist()
        parts = self._parts.setdefault((rank, number), [])
        parts.append(message[HEAD:])
        if len(parts) < pieces:
            return
        rows = np.concatenate(self._parts.pop((rank, number))).reshape(-1, 2 + 2 * axes).tolist()
        boxes = tuple(
            (Patch(start=tuple(at[:axes]), shape=tuple(at[axes:]), level=level), bool(masked))
            for level, masked, *at in rows
        )
        self._received[rank].append((number, boxes))


def _messages(number: int, boxes: LocalBoxes, axes: int) -> Iterator[NDArray[np.int64]]:
    rows = [[p.level, masked, *p.start, *p.shape] for p, masked in boxes]
    most = (LONGEST_POST - HEAD) // (2 + 2 * axes)
    pieces = [rows[i : i + most] for i in range(0, len(rows), most)] or [[]]
    for i, piece in enumerate(pieces):
        words = [number, i, len(pieces), axes, *(word for row in piece for word in row)]
        yield np.array(words, np.int64)


def _overlap(boxes: Sequence[LocalBoxes]) -> str:
    """Which two ranks hold one cell, where no mask can make that right."""
    levels = {patch.level for of_rank in boxes for patch, _ in of_rank}
    masked = {patch.level for of_rank in boxes for patch, mask in of_rank if mask}
    for level in sorted(levels - masked):
        of_level = [
            (rank, patch.start, patch.shape)
            for rank, of_rank in enumerate(boxes)
            for patch, _ in of_rank
            if patch.level == level
        ]
        if (overlap := find_overlap(of_level)) is not None:
            first, second, cell = overlap
            return (
                f"ranks {first[0]} and {second[0]} both hold the cell {cell} of level {level}, "
                "which counts twice in every integral"
            )
    return ""


MOST_BOXES = 20_000
"""Boxes that are recorded in a job attempt, all its moves together: about a megabyte."""


class DecompositionEvents:
    """Events of the samples whose boxes are elsewhere than in the one before.

    Boxes move by refinement, and where the load is balanced again.

    Parameters
    ----------
    store : callable
        Stores a decomposition and returns its hash.
    """

    def __init__(self, store: Callable[[Decomposition], Hash]) -> None:
        self._store = store
        self._checksum: int | None = None
        self._recorded = True
        self._remaining = MOST_BOXES
        self._problem = ""
        self._level_reported = False

    def concerns(self, sample: ReducedSample) -> bool:
        """Whether the boxes of `sample` may give an event; cheap for those that never move."""
        return bool(sample.moved or sample.unseen) or self._checksum is not None

    def of(
        self, sample: ReducedSample, wall: float, boxes: DecompositionAt | None
    ) -> Iterator[Event]:
        """What `sample` is the first to show; `boxes` is where they are, if known."""
        if sample.places is not None:
            yield from self._moves(sample, wall, boxes)
        if sample.unseen and not self._level_reported:
            self._level_reported = True
            yield _event(
                "level_without_digests",
                f"a level of refinement has appeared, of {sample.unseen} cells: they count in "
                "integrals and maxima, and have no extrema and digests of their own before the "
                "next job attempt. To have them, give a box of no cells on that level at the "
                "first sample.",
                sample,
                wall,
                facts={"cells": sample.unseen},
            )

    def _moves(
        self, sample: ReducedSample, wall: float, boxes: DecompositionAt | None
    ) -> Iterator[Event]:
        checksum = sample.places if sample.moved else None
        unmoved = checksum == self._checksum
        if unmoved and (self._recorded or boxes is None or not self._remaining):
            return
        before, self._checksum = self._recorded, checksum
        self._recorded = boxes is not None and self._remaining > 0
        if not unmoved or before or self._recorded:
            yield self._move(sample, wall, boxes if self._recorded else None)
        problem = boxes.problem if boxes is not None else ""
        if problem and problem != self._problem:
            yield _event("cells_held_twice", problem, sample, wall, severity="warning")
        self._problem = problem

    def _move(self, sample: ReducedSample, wall: float, boxes: DecompositionAt | None) -> Event:
        text = "boxes were moved, cut anew or given to other ranks"
        if boxes is None:
            text += "; which rank holds a cell is not recorded from here on"
            return _event(DECOMPOSITION_CHANGED, text, sample, wall)
        count = sum(map(len, boxes.decomposition.patches))
        self._remaining = max(0, self._remaining - count)
        return _event(
            DECOMPOSITION_CHANGED,
            f"{text}: there are {count} of them from here on",
            sample,
            wall,
            facts={DECOMPOSITION: self._store(boxes.decomposition), "boxes": count},
        )


def _event(
    name: str,
    text: str,
    sample: ReducedSample,
    wall: float,
    *,
    severity: Severity = "note",
    facts: Facts | None = None,
) -> Event:
    return Event(
        name=name,
        severity=severity,
        step=sample.step,
        wall=wall,
        text=text,
        rank=-1,
        facts=facts or {},
    )


WORDS = 3
"""Of a sample: its number, its step, and how many samples of that step came right before."""

REMEMBERED = (LONGEST_POST - 1) // WORDS
"""Samples that a rank remembers, and sends."""

SampleTime = tuple[int, int]
"""A step, and how many samples of it came right before."""


class SampleRealigner:
    """Brings ranks together again that have taken different numbers of samples.

    Samples belong together by their order, which one rank's stray sample upsets. Rank 0 sees in a
    sample that not all ranks were at its step, and sends the others the steps of its last samples.
    A rank that finds the same steps further on among its own has taken samples that rank 0 has
    not, and leaves out as many; a rank that finds them earlier sends as many empty ones. No rank
    waits for any of it.

    Parameters
    ----------
    comm : Comm
        Carries the steps of rank 0.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._samples: deque[tuple[int, SampleTime]] = deque(maxlen=REMEMBERED)
        self._next = 0
        self._announced_at = -1
        self._shifted_at = 0

    def note(self, number: int, time: SampleTime) -> None:
        """This rank has sent its sample `number`."""
        self._samples.append((number, time))
        self._next = number + 1

    def announce(self, number: int) -> None:
        """In sample `number` the ranks were at different steps: say so, from rank 0."""
        # Samples on their way at the last announcement were different for the same reason.
        if number > self._announced_at and self._samples:
            self._announced_at = self._samples[-1][0]
            words = [number, *(word for n, time in self._samples for word in (n, *time))]
            self._comm.announce(np.array(words, np.int64))

    def shift(self, time: SampleTime) -> int:
        """By how many samples this rank is ahead of rank 0, if it has just heard of it.

        The sample to come, at `time`, is counted as taken.
        """
        ahead = 0
        for words in self._comm.announced():
            if words[0] >= self._shifted_at:
                ahead = self._ahead(words[1:].reshape(-1, WORDS).tolist(), time)
        if ahead:
            self._shifted_at = self._next
        return ahead

    def _ahead(self, of_rank_0: list[list[int]], time: SampleTime) -> int:
        numbers = {t: number for number, t in (*self._samples, (self._next, time))}
        shifts = [
            numbers[step, visit] - number
            for number, step, visit in reversed(of_rank_0)
            if (step, visit) in numbers
        ]
        # One alone may be a step that the driver numbered wrongly.
        return shifts[0] if len(shifts) > 1 and shifts[0] == shifts[1] else 0
