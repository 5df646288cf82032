"""Whether all ranks together hold each id or cell once.

At the first sample boxes are compared. In each sample checksums are: a cell has a number modulo
2**64, and a set of cells the sum of theirs, in any order. The sum over the index space is known,
so it shows a cell that is held twice in the place of another. The number of a cell of a grid is a
product over the axes of the difference of a mixed word at its two edges: these differences
telescope, so that the number of a box needs its corners alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SetupError
from ..model.series import Decomposition

LARGEST = 1 << 27
"""Ids up to which they are checked by a sum over all of them."""

_BLOCK = 1 << 16


def ids_checksum(ids: NDArray[Any]) -> int:
    """A number that adds up, modulo 2**64, to `expected_checksum` if each id is held once."""
    total = 0
    for begin in range(0, ids.size, _BLOCK):
        total += int(_mixed(ids[begin : begin + _BLOCK]).sum(dtype=np.uint64))
    return total % 2**64


def expected_checksum(total: int) -> int:
    """What the checksums of all ranks add up to if ids 0 ... total-1 are held once each."""
    blocks = (np.arange(i, min(i + _BLOCK, total)) for i in range(0, total, _BLOCK))
    return sum(map(ids_checksum, blocks)) % 2**64


def box_checksum(start: Sequence[int], shape: Sequence[int]) -> int:
    """The sum, modulo 2**64, of the numbers of all cells of a box."""
    number = 1
    for axis, (begin, cells) in enumerate(zip(start, shape, strict=True)):
        number *= _edge(axis, begin + cells) - _edge(axis, begin)
    return number % 2**64


def placement_checksum(rank: int, level: int, start: Sequence[int], shape: Sequence[int]) -> int:
    """A number modulo 2**64 that depends on where a box lies, and on which rank holds it.

    Added up over all boxes it changes with any of them, cut or moved between ranks. It is compared
    within a job only, where hashes of integers are the same in all processes.
    """
    return hash((rank, level, *start, *shape)) % 2**64


def decomposition_checksum(decomposition: Decomposition) -> int:
    """The sum of the placements of all boxes; a box without cells has none."""
    checksums = (
        placement_checksum(rank, patch.level, patch.start, patch.shape)
        for rank, patches in enumerate(decomposition.patches)
        for patch in patches
        if prod(patch.shape)
    )
    return sum(checksums) % 2**64


def _edge(axis: int, at: int) -> int:
    word = (at * 4 + axis + 1) % 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        word ^= word >> 33
        word = word * factor % 2**64
    return word ^ (word >> 33)


def _mixed(ids: NDArray[Any]) -> NDArray[np.uint64]:
    # The finalizer of MurmurHash3: sums of mixed ids tell sets of ids apart.
    z = ids.astype(np.uint64)
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xFF51AFD7ED558CCD)
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xC4CEB9FE1A85EC53)
    z ^= z >> np.uint64(33)
    return z


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
    count = sum(prod(shape) for _, _, shape in filled)
    if complete and count != prod(global_shape):
        cell = first_missing(global_shape, filled)
        raise SetupError(
            "Grid.global_shape",
            tuple(global_shape),
            f"all ranks together hold {count} of {prod(global_shape)} cells; no rank holds {cell}",
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
    covered = np.zeros([len(e) - 1 for e in edges], dtype=bool)
    places = [{cut: i for i, cut in enumerate(e)} for e in edges]
    for _, start, shape in boxes:
        cut = (slice(p[b], p[b + n]) for p, b, n in zip(places, start, shape, strict=True))
        covered[tuple(cut)] = True
    where = np.unravel_index(int(np.argmin(covered)), covered.shape)
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
