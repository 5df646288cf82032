"""Whether the boxes of all ranks cover the global index space once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ...errors import SetupError

Box = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Rank, start and shape."""

MOST_PAINTED = 4_000_000


def check_coverage(global_shape: Sequence[int], boxes: Sequence[Box], *, complete: bool) -> None:
    """Raise where two boxes overlap or, if the cover must be complete, where a cell is missing.

    Raises
    ------
    SetupError
        Naming the two ranks and a cell that both hold, or the first missing cell.
    """
    filled = [box for box in boxes if prod(box[2])]
    overlap = find_overlap(filled)
    if overlap is not None:
        first, second, cell = overlap
        raise SetupError(
            "Grid.start",
            _boxes_text((first, second)),
            f"ranks {first[0]} and {second[0]} both hold the cell {cell}",
            mend="Check Grid.start and Grid.ghost: ghost layers are not part of the box.",
        )
    held = sum(prod(shape) for _, _, shape in filled)
    if complete and held != prod(global_shape):
        cell = first_missing(global_shape, filled)
        raise SetupError(
            "Grid.global_shape",
            tuple(global_shape),
            f"all ranks together hold {held} of {prod(global_shape)} cells; no rank holds {cell}",
            mend="Check Grid.start, Grid.ghost and Grid.global_shape on every rank.",
        )


def find_overlap(boxes: Sequence[Box]) -> tuple[Box, Box, tuple[int, ...]] | None:
    """Two boxes that share a cell, and that cell; None if there are none.

    Boxes are swept along the first axis and compared with those that the sweep is inside of.
    """
    order = sorted(range(len(boxes)), key=lambda i: boxes[i][1])
    active: list[int] = []
    for i in order:
        start, shape = boxes[i][1], boxes[i][2]
        active = [j for j in active if boxes[j][1][0] + boxes[j][2][0] > start[0]]
        for j in active:
            other, extent = boxes[j][1], boxes[j][2]
            if all(
                a < b + m and b < a + n
                for a, n, b, m in zip(start, shape, other, extent, strict=True)
            ):
                cell = tuple(max(a, b) for a, b in zip(start, other, strict=True))
                pair = sorted((boxes[i], boxes[j]))
                return pair[0], pair[1], cell
        active.append(i)
    return None


def first_missing(global_shape: Sequence[int], boxes: Sequence[Box]) -> tuple[int, ...]:
    """The first cell, in C order, that no box holds.

    The boxes' edges cut space into a coarse grid; a coarse cell is held wholly or not at all.
    """
    edges = []
    for axis, n in enumerate(global_shape):
        cuts = {0, n}
        for _, start, shape in boxes:
            cuts |= {start[axis], start[axis] + shape[axis]}
        edges.append(sorted(cuts))
    if prod(len(e) - 1 for e in edges) > MOST_PAINTED:
        return _first_missing_slowly(global_shape, boxes)
    held = np.zeros([len(e) - 1 for e in edges], dtype=bool)
    places = [{cut: i for i, cut in enumerate(e)} for e in edges]
    for _, start, shape in boxes:
        held[tuple(slice(p[b], p[b + n]) for p, b, n in zip(places, start, shape, strict=True))] = (
            True
        )
    where = np.unravel_index(int(np.argmin(held)), held.shape)
    return tuple(e[int(i)] for e, i in zip(edges, where, strict=True))


def _first_missing_slowly(global_shape: Sequence[int], boxes: Sequence[Box]) -> tuple[int, ...]:
    cell: tuple[int, ...] = ()
    inside = list(boxes)
    for axis, n in enumerate(global_shape):
        # The first plane along this axis that the boxes do not fill completely.
        cuts = sorted(
            {0, *(b[1][axis] for b in inside), *(b[1][axis] + b[2][axis] for b in inside)}
        )
        plane_cells = prod(global_shape[axis + 1 :])
        for cut in cuts:
            here = [b for b in inside if b[1][axis] <= cut < b[1][axis] + b[2][axis]]
            if cut < n and sum(prod(b[2][axis + 1 :]) for b in here) < plane_cells:
                cell, inside = (*cell, cut), here
                break
    return cell


def _boxes_text(boxes: Sequence[Box]) -> str:
    return "; ".join(
        f"rank {rank}: " + " x ".join(f"{b}:{b + n}" for b, n in zip(start, shape, strict=True))
        for rank, start, shape in boxes
    )
