"""In which order the cells of a part are visited, and where in memory they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .views import type_name

PADDED_AXES = 4


@dataclass(frozen=True, eq=False)
class Walk:
    """The way through a box: its axes in the order of memory, cut at the edges of the tiles.

    `begin`, `end` and `tile`, int64 [4, most pieces], say for each axis (padded to four in
    front) where its pieces lie in the box and what they add to the tile number; `pieces` [4]
    counts them. `origin` is the linear global index of the box's first cell, and `steps` [4] are
    what one cell along each axis adds.
    """

    pieces: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    tile: NDArray[np.int64]
    origin: int
    steps: NDArray[np.int64]


def memory_order(array: NDArray[Any]) -> tuple[int, ...]:
    """The axes of `array` from the largest stride to the smallest; axes of one cell come first."""
    return tuple(
        sorted(
            range(array.ndim),
            key=lambda axis: (array.shape[axis] > 1, -abs(array.strides[axis])),
        )
    )


def plan_walk(
    start: Sequence[int],
    shape: Sequence[int],
    global_shape: Sequence[int],
    order: Sequence[int],
    edges: Sequence[Sequence[int]],
) -> Walk:
    """The way through the box at `start`, with its axes in the given order."""
    pad = PADDED_AXES - len(order)
    steps = np.zeros(PADDED_AXES, np.int64)
    cut: list[list[tuple[int, int, int]]] = [[(0, 1, 0)]] * pad
    for place, axis in enumerate(order):
        steps[pad + place] = prod(global_shape[axis + 1 :])
        stride = prod(len(e) - 1 for e in edges[axis + 1 :])
        cut.append(_pieces(edges[axis], start[axis], start[axis] + shape[axis], stride))
    table = np.zeros((3, PADDED_AXES, max(1, *map(len, cut))), np.int64)
    for axis, pieces in enumerate(cut):
        for i, piece in enumerate(pieces):
            table[:, axis, i] = piece
    return Walk(
        pieces=np.array([len(pieces) for pieces in cut], np.int64),
        begin=table[0],
        end=table[1],
        tile=table[2],
        origin=sum(s * prod(global_shape[axis + 1 :]) for axis, s in enumerate(start)),
        steps=steps,
    )


def _pieces(edges: Sequence[int], low: int, high: int, stride: int) -> list[tuple[int, int, int]]:
    """Local begin and end of each tile between two global indices, and ``tile * stride``."""
    pieces = []
    for i in range(len(edges) - 1):
        begin, end = max(edges[i], low), min(edges[i + 1], high)
        if begin < end:
            pieces.append((begin - low, end - low, i * stride))
    return pieces


def view_table(
    arrays: Sequence[NDArray[Any]], order: Sequence[int], codes: Mapping[str, int]
) -> NDArray[np.int64]:
    """For each array its address, type code, whether its bytes are swapped, and its strides."""
    views = np.zeros((len(arrays), 3 + PADDED_AXES), np.int64)
    pad = PADDED_AXES - len(order)
    for row, array in zip(views, arrays, strict=True):
        address, strides = array.__array_interface__["data"][0], array.strides
        row[:3] = address, codes[type_name(array.dtype)], not array.dtype.isnative
        row[3 + pad :] = [strides[axis] for axis in order]
    return views
