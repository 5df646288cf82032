"""How an index space is cut into tiles, and in which order a sweep visits the cells of a box.

The global shape alone decides about the tiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .readable import type_name

MOST_TILES = 64
SMALL_FIELD = 1 << 18
SHORTEST_RUN = 32
"""Cells along the last axis that a tile of a small field keeps."""

LONG_RUN = 128
"""The same for larger fields, so that gathering stays at memory speed."""

SHORTEST_SIDE = 8


def tile_edges(global_shape: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Edges of the tiles along each axis: at most 64 tiles, their counts powers of two.

    The longest side is halved again and again, to 8 cells and no further. Along the last axis of
    a grid of two or more axes it ends at 128 cells, in fields of up to 2**18 cells at 32: there
    a tile's place matters more than the microseconds.

    Examples
    --------
    >>> [len(edges) - 1 for edges in tile_edges((512, 512))]
    [8, 8]
    >>> [len(edges) - 1 for edges in tile_edges((2048, 2048))]
    [8, 8]
    """
    run = SHORTEST_RUN if prod(global_shape) <= SMALL_FIELD else LONG_RUN
    counts = [1] * len(global_shape)
    last = len(global_shape) - 1
    while 2 * prod(counts) <= MOST_TILES:
        sides = []
        for axis, (n, count) in enumerate(zip(global_shape, counts, strict=True)):
            shortest = run if axis == last and last > 0 else SHORTEST_SIDE
            if n // (2 * count) >= shortest:
                sides.append((n / count, -axis, axis))
        if not sides:
            break
        counts[max(sides)[2]] *= 2
    return tuple(
        tuple(i * n // count for i in range(count + 1))
        for n, count in zip(global_shape, counts, strict=True)
    )


PADDED_AXES = 4


class Walk(NamedTuple):
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
