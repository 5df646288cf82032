"""How the global index space of a field is cut into tiles; the global shape alone decides."""

from __future__ import annotations

from collections.abc import Sequence

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
    run = SHORTEST_RUN if _product(global_shape) <= SMALL_FIELD else LONG_RUN
    counts = [1] * len(global_shape)
    last = len(global_shape) - 1
    while 2 * _product(counts) <= MOST_TILES:
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


def _product(counts: Sequence[int]) -> int:
    product = 1
    for count in counts:
        product *= count
    return product
