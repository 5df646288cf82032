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

from ...diagnostics.domain.coverage import find_overlap
from ...diagnostics.domain.marks import places_mark
from ...model.segment import Decomposition, Patch
from ...parallel.comm import LONGEST_POST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...diagnostics.probe import Held
    from ...parallel.comm import Comm

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

    def tell(self, number: int, held: Held) -> None:
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
        if places_mark(decomposition) != mark:
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


def _messages(number: int, held: Held, axes: int) -> Iterator[NDArray[np.int64]]:
    rows = [[p.level, masked, *p.start, *p.shape] for p, masked in held]
    most = (LONGEST_POST - HEAD) // (2 + 2 * axes)
    cuts = [rows[i : i + most] for i in range(0, len(rows), most)] or [[]]
    for piece, cut in enumerate(cuts):
        words = [number, piece, len(cuts), axes, *(word for row in cut for word in row)]
        yield np.array(words, np.int64)


def _overlap(boxes: Sequence[Held]) -> str:
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
