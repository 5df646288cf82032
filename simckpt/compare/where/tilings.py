"""Digests of a field that two runs cut into other tiles, over the tiles that both have in common.

The digest of a tile is a sum over its cells, modulo 2**64. So the digests of tiles that make up a
larger one add up to its digest, and two tilings of one index space always share a coarser one: that
of the edges they have in common, the whole field if there are no others.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from ...model.series import FieldTiles
from ..view import DigestView, Ints, Words


class Coarser:
    """Digests summed over the tiles that lie between `edges`, a part of the view's own edges."""

    def __init__(self, digests: DigestView, edges: tuple[tuple[int, ...], ...]) -> None:
        self._digests = digests
        self._starts = [
            np.searchsorted(np.array(fine), np.array(coarse[:-1]))
            for fine, coarse in zip(digests.tiles.edges, edges, strict=True)
        ]
        self.tiles: FieldTiles = replace(digests.tiles, edges=edges)

    @property
    def step(self) -> Ints:
        return self._digests.step

    def rows(self, start: int, stop: int) -> Words:
        """The sums of rows `start` to `stop`, uint64 ``[stop - start, *tiles.shape]``."""
        words = self._digests.rows(start, stop)
        for axis, starts in enumerate(self._starts, start=1):
            words = np.add.reduceat(words, starts, axis=axis)
        return words


def in_common_tiles(one: DigestView, two: DigestView) -> tuple[DigestView, DigestView]:
    """Both over the same tiles: as they are, or over the finest that they have in common.

    They must be digests of one index space.
    """
    if one.tiles.edges == two.tiles.edges:
        return one, two
    edges = tuple(
        tuple(sorted({*a} & {*b})) for a, b in zip(one.tiles.edges, two.tiles.edges, strict=True)
    )
    return Coarser(one, edges), Coarser(two, edges)
