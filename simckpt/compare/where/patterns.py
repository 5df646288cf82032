"""Which figure the differing tiles of a field form.

A figure is a set of tiles that a fault would mark: the tiles of one rank, those at the borders
between ranks, those at the domain's edge, a plane, a box. It is named when every differing tile
lies in it and they fill most of it; figures that cover nearly the whole field explain nothing
and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from ...model.environment import Node
from ...model.record import Record
from ...model.segment import Decomposition
from ...model.series import FieldTiles
from ..view import Ints, Mask
from .borders import border_figures

Figure: TypeAlias = Literal[
    "one tile",
    "one rank",
    "one node",
    "rank borders",
    "domain edge",
    "plane",
    "box",
    "scattered",
    "everywhere",
]

EVERYWHERE = 0.9
"""Part of the tiles from which on a difference counts as being everywhere."""
FILLED = 0.6
"""Part of a figure's tiles that must differ for it to be named."""
UNLIKELY = 1e-2
"""Chance that as many tiles, thrown at random, would all lie where they do, to believe in it."""
WIDE = 0.75
"""Figures that hold more than this part of all tiles say nothing."""


class Layout(Record, frozen=True, kw_only=True):
    """How one run spread a field over ranks and nodes."""

    run: str
    decomposition: Decomposition | None = None
    nodes: tuple[Node, ...] = ()

    def fits(self, tiles: FieldTiles) -> bool:
        """Whether the decomposition is one of this field's index space, by patches."""
        return (
            self.decomposition is not None
            and self.decomposition.global_shape == tiles.global_shape
            and any(self.decomposition.patches)
        )


class Pattern(Record, frozen=True, kw_only=True):
    """The figure, in one phrase, and the rank it names (None unless it is one rank's)."""

    figure: Figure
    text: str
    rank: int | None = None


def pattern(
    differing: Mask, tiles: FieldTiles, layouts: tuple[Layout, ...] = (), steps: int = 1
) -> Pattern:
    """The narrowest figure that explains the differing tiles (bool, shape ``tiles.shape``).

    They are what a difference has become in at most so many `steps`.
    """
    count, total = int(np.count_nonzero(differing)), tiles.size
    if count >= EVERYWHERE * total:
        where = "everywhere" if total > 1 else "in the only tile"
        return Pattern(figure="everywhere", text=where)
    if count == 1:
        return Pattern(figure="one tile", text="in one tile")
    for candidate, members in _figures(differing, tiles, layouts, steps):
        held = int(np.count_nonzero(members))
        inside = not np.any(differing & ~members)
        if held and held <= WIDE * total and inside and count >= FILLED * held:
            return candidate
    for candidate, members in _lines(differing, tiles, layouts):
        chance = (np.count_nonzero(members) / total) ** count
        if not np.any(differing & ~members) and chance <= UNLIKELY:
            return candidate
    return Pattern(figure="scattered", text="in scattered tiles")


def ranks_holding(
    decomposition: Decomposition | None, box: tuple[tuple[int, int], ...]
) -> tuple[int, ...]:
    """Ranks with a patch (of the base level) that shares an index with `box`."""
    if decomposition is None or len(box) != len(decomposition.global_shape):
        return ()
    return tuple(
        rank
        for rank, patches in enumerate(decomposition.patches)
        if any(
            p.level == 0
            and all(
                start < high and low < start + n
                for start, n, (low, high) in zip(p.start, p.shape, box, strict=True)
            )
            for p in patches
        )
    )


def _figures(
    differing: Mask, tiles: FieldTiles, layouts: tuple[Layout, ...], steps: int
) -> Iterator[tuple[Pattern, Mask]]:
    for layout in layouts:
        if layout.fits(tiles):
            yield from _rank_figures(differing, tiles, layout, steps)
    yield from _planes(differing, tiles)
    yield Pattern(figure="domain edge", text="at the edge of the domain"), _domain_edge(tiles)
    box = np.zeros(tiles.shape, dtype=bool)
    found = np.nonzero(differing)
    spans = [_span(index, n) for index, n in zip(found, tiles.shape, strict=True)]
    if any(not np.isin(span, index).all() for span, index in zip(spans, found, strict=True)):
        # Whole planes of it agree: these are several places.
        return
    box[np.ix_(*spans)] = True
    yield Pattern(figure="box", text="in one block of neighbouring tiles"), box


def _lines(
    differing: Mask, tiles: FieldTiles, layouts: tuple[Layout, ...]
) -> Iterator[tuple[Pattern, Mask]]:
    """Figures that a fault may mark in part only, where the state shows it."""
    for layout in layouts:
        if layout.fits(tiles):
            for candidate, members in _rank_figures(differing, tiles, layout, 1):
                if candidate.figure == "rank borders":
                    yield candidate, members
    yield Pattern(figure="domain edge", text="at the edge of the domain"), _domain_edge(tiles)


def _rank_figures(
    differing: Mask, tiles: FieldTiles, layout: Layout, steps: int
) -> Iterator[tuple[Pattern, Mask]]:
    decomposition = layout.decomposition
    if decomposition is None or len(decomposition.patches) < 2:
        return
    # Whoever holds all differing tiles holds the first of them.
    suspects = ranks_holding(decomposition, tiles.bounds(int(np.argmax(differing.ravel()))))
    for rank in suspects:
        text = f"in the tiles of rank {rank} of {layout.run}"
        members = _tiles_of_ranks(tiles, decomposition, (rank,))
        yield Pattern(figure="one rank", text=text, rank=rank), members
    if len(layout.nodes) > 1:
        for node in layout.nodes:
            if not set(suspects).isdisjoint(node.ranks):
                text = f"in the tiles of node {node.host} of {layout.run}"
                members = _tiles_of_ranks(tiles, decomposition, node.ranks)
                yield Pattern(figure="one node", text=text), members
    for reach in dict.fromkeys((1, steps)):
        for text, members in border_figures(tiles, decomposition, reach):
            yield Pattern(figure="rank borders", text=f"{text} of {layout.run}"), members


def _tiles_of_ranks(
    tiles: FieldTiles, decomposition: Decomposition, ranks: tuple[int, ...]
) -> Mask:
    members = np.zeros(tiles.shape, dtype=bool)
    for patch in (p for r in ranks for p in decomposition.patches[r]):
        if patch.level == 0:
            axes = [
                np.flatnonzero((np.array(e[:-1]) < start + n) & (np.array(e[1:]) > start))
                for e, start, n in zip(tiles.edges, patch.start, patch.shape, strict=True)
            ]
            members[np.ix_(*axes)] = True
    return members


def _planes(differing: Mask, tiles: FieldTiles) -> Iterator[tuple[Pattern, Mask]]:
    if len(tiles.shape) < 2:
        return
    for axis, index in enumerate(np.nonzero(differing)):
        if index.min() == index.max() and tiles.shape[axis] > 1:
            members = np.zeros(tiles.shape, dtype=bool)
            cut: list[slice | int] = [slice(None)] * len(tiles.shape)
            cut[axis] = int(index[0])
            members[tuple(cut)] = True
            low, high = tiles.edges[axis][index[0]], tiles.edges[axis][index[0] + 1]
            text = f"in the plane of tiles with index {low}:{high} of axis {axis}"
            yield Pattern(figure="plane", text=text), members


def _span(index: Ints, n: int) -> Ints:
    """The shortest run of tiles along one axis that holds all of `index`, around the end too."""
    used = np.flatnonzero(np.bincount(index, minlength=n))
    gaps = np.diff(np.append(used, used[0] + n))
    widest = int(np.argmax(gaps))
    start = int(used[(widest + 1) % len(used)])
    return np.sort((start + np.arange(n - int(gaps[widest]) + 1)) % n)


def _domain_edge(tiles: FieldTiles) -> Mask:
    members = np.zeros(tiles.shape, dtype=bool)
    for axis in range(len(tiles.shape)):
        first: list[slice | int] = [slice(None)] * len(tiles.shape)
        last = list(first)
        first[axis], last[axis] = 0, -1
        members[tuple(first)] = True
        members[tuple(last)] = True
    return members
