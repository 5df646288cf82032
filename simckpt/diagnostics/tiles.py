"""How the global index space of a field is cut into tiles; the global shape alone decides."""

from __future__ import annotations

from collections.abc import Sequence

MOST_TILES = 64
SHORTEST_RUN = 128
"""Cells along the last axis that a tile keeps, so that gathering stays at memory speed."""

SHORTEST_SIDE = 8


def tile_edges(global_shape: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Edges of the tiles along each axis: at most 64 tiles, their counts powers of two.

    The longest side is halved again and again; along the last axis of a grid of two or more axes
    tiles stay 128 cells long, along the others 8.

    Examples
    --------
    >>> [len(edges) - 1 for edges in tile_edges((512, 512))]
    [16, 4]
    >>> [len(edges) - 1 for edges in tile_edges((256, 256, 256))]
    [8, 4, 2]
    """
    counts = [1] * len(global_shape)
    last = len(global_shape) - 1
    while 2 * _product(counts) <= MOST_TILES:
        sides = []
        for axis, (n, count) in enumerate(zip(global_shape, counts, strict=True)):
            shortest = SHORTEST_RUN if axis == last and last > 0 else SHORTEST_SIDE
            if n // (2 * count) >= shortest:
                sides.append((n / count, -axis, axis))
        if not sides:
            break
        counts[max(sides)[2]] *= 2
    return tuple(
        tuple(i * n // count for i in range(count + 1))
        for n, count in zip(global_shape, counts, strict=True)
    )


def _product(counts: Sequence[int]) -> int:
    product = 1
    for count in counts:
        product *= count
    return product
