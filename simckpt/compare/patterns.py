"""Which pattern the differing tiles of a field form.

A pattern is a set of tiles that a fault would mark: the tiles of one rank, those at the borders
between ranks, those at the domain's boundary, a plane, a box. It is named when every differing tile
lies in it and they fill most of it; patterns that cover nearly the whole field explain nothing
and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import log2
from typing import Literal, TypeAlias

import numpy as np

from ..model.documents import Node
from ..model.record import Record
from ..model.series import Decomposition, FieldTiles, Patch
from .run_view import Floats, Ints, Mask

# The tiles that a fault in the exchange between ranks marks.
#
# Halos are copied axis by axis and side by side, so a fault may concern one axis or one side of all
# patches only. Whether the domain is periodic is not recorded: each pattern is tried with and
# without the borders around the end of the axes that were cut. Between two samples what a wrong
# halo brings travels on by a cell a step.


SIDES = ((1, 1), (1, 0), (0, 1))
"""Whether the lower and the upper side of each patch is concerned."""
CROWDED = 0.75
"""Borders that touch more than this part of all tiles say nothing."""


def border_patterns(
    tiles: FieldTiles, decomposition: Decomposition, reach: int
) -> Iterator[tuple[str, Mask]]:
    """What a fault of the halos would mark, as a phrase, and the tiles; the narrower first."""
    patches = [p for rank_patches in decomposition.patches for p in rank_patches if p.level == 0]
    cut = [k for k in range(len(tiles.shape)) if len({p.start[k] for p in patches}) > 1]
    if not cut:
        return
    axes = [tuple(cut)] + [(k,) for k in cut if len(cut) > 1]
    every = tuple(range(len(tiles.shape)))
    # What fills the halos mostly closes the axes that were not cut as well.
    tried = [*product((False, True), axes), *([(True, every)] if len(every) > len(cut) else [])]
    for around, concerned in tried:
        if np.mean(_members(tiles, patches, concerned, (1, 1), 0, 1, around)) > CROWDED:
            continue
        borders = {(k, p.start[k]) for p in patches for k in concerned if p.start[k] or around}
        for lower, upper in SIDES:
            one_sided = lower + upper == 1
            if one_sided and len(borders) < 2:
                # One side of one border is any plane.
                continue
            side = f"{'lower' if lower else 'upper'} side of the " if one_sided else ""
            for back in dict.fromkeys((0, reach - 1) if one_sided else (reach - 1,)):
                members = _members(tiles, patches, concerned, (lower, upper), back, reach, around)
                yield f"along the {side}borders between the ranks", members


def _members(
    tiles: FieldTiles,
    patches: Sequence[Patch],
    axes: Sequence[int],
    sides: tuple[int, int],
    back: int,
    reach: int,
    around: bool,
) -> Mask:
    """Tiles with a cell up to `reach` inside these sides of a patch, or up to `back` outside."""
    members = np.zeros(tiles.shape, dtype=bool)
    for patch, axis in product(patches, axes):
        if sides[0]:
            _add_tiles(members, tiles, patch, axis, (-back, reach), around, upper=False)
        if sides[1]:
            _add_tiles(members, tiles, patch, axis, (-reach, back), around, upper=True)
    return members


def _add_tiles(
    members: Mask,
    tiles: FieldTiles,
    patch: Patch,
    axis: int,
    cells: tuple[int, int],
    around: bool,
    *,
    upper: bool,
) -> None:
    """Mark the tiles that hold cells at this side of the patch."""
    n = tiles.global_shape[axis]
    border = patch.start[axis] + (patch.shape[axis] if upper else 0)
    if not around and border in (0, n):
        return
    cells_near = np.arange(border + max(cells[0], -n), border + min(cells[1], n))
    cells_near = cells_near % n if around else cells_near[(cells_near >= 0) & (cells_near < n)]
    index: list[Ints] = []
    for k, edges in enumerate(tiles.edges):
        low, high = patch.start[k], patch.start[k] + patch.shape[k]
        if k == axis:
            index.append(np.unique(np.searchsorted(edges, cells_near, side="right") - 1))
        else:
            first = int(np.searchsorted(edges, low, side="right")) - 1
            index.append(np.arange(first, int(np.searchsorted(edges, high, side="left"))))
    members[np.ix_(*index)] = True


TilePattern: TypeAlias = Literal[
    "one tile",
    "one rank",
    "one node",
    "rank borders",
    "domain boundary",
    "plane",
    "box",
    "scattered",
    "everywhere",
]

EVERYWHERE = 0.9
"""Part of the tiles from which on a difference counts as being everywhere."""
FILLED = 0.6
"""Part of a pattern's tiles that must differ for it to be named."""
UNLIKELY = 1e-2
"""Chance that as many tiles, thrown at random, would all lie where they do, to believe in it."""
WIDE = 0.75
"""Figures that hold more than this part of all tiles say nothing."""


class RankLayout(Record, frozen=True, kw_only=True):
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
    """The pattern, in one phrase, and the rank it names (None unless it is one rank's)."""

    pattern: TilePattern
    text: str
    rank: int | None = None


def pattern(
    differing: Mask, tiles: FieldTiles, layouts: tuple[RankLayout, ...] = (), steps: int = 1
) -> Pattern:
    """The narrowest pattern that explains the differing tiles (bool, shape ``tiles.shape``).

    They are what a difference has become in at most so many `steps`.
    """
    count, total = int(np.count_nonzero(differing)), tiles.size
    if count >= EVERYWHERE * total:
        where = "everywhere" if total > 1 else "in the only tile"
        return Pattern(pattern="everywhere", text=where)
    if count == 1:
        return Pattern(pattern="one tile", text="in one tile")
    for candidate, members in _patterns(differing, tiles, layouts, steps):
        size = int(np.count_nonzero(members))
        inside = not np.any(differing & ~members)
        if size and size <= WIDE * total and inside and count >= FILLED * size:
            return candidate
    for candidate, members in _lines(differing, tiles, layouts):
        chance = (np.count_nonzero(members) / total) ** count
        if not np.any(differing & ~members) and chance <= UNLIKELY:
            return candidate
    return Pattern(pattern="scattered", text="in scattered tiles")


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


def _patterns(
    differing: Mask, tiles: FieldTiles, layouts: tuple[RankLayout, ...], steps: int
) -> Iterator[tuple[Pattern, Mask]]:
    for layout in layouts:
        if layout.fits(tiles):
            yield from _rank_patterns(differing, tiles, layout, steps)
    yield from _planes(differing, tiles)
    yield (
        Pattern(pattern="domain boundary", text="at the boundary of the domain"),
        _domain_boundary(tiles),
    )
    box = np.zeros(tiles.shape, dtype=bool)
    indices = np.nonzero(differing)
    spans = [_span(index, n) for index, n in zip(indices, tiles.shape, strict=True)]
    if any(not np.isin(span, index).all() for span, index in zip(spans, indices, strict=True)):
        # Whole planes of it agree: these are several places.
        return
    box[np.ix_(*spans)] = True
    yield Pattern(pattern="box", text="in one block of neighbouring tiles"), box


def _lines(
    differing: Mask, tiles: FieldTiles, layouts: tuple[RankLayout, ...]
) -> Iterator[tuple[Pattern, Mask]]:
    """Patterns that a fault may mark in part only, where the state shows it."""
    for layout in layouts:
        if layout.fits(tiles):
            for candidate, members in _rank_patterns(differing, tiles, layout, 1):
                if candidate.pattern == "rank borders":
                    yield candidate, members
    yield (
        Pattern(pattern="domain boundary", text="at the boundary of the domain"),
        _domain_boundary(tiles),
    )


def _rank_patterns(
    differing: Mask, tiles: FieldTiles, layout: RankLayout, steps: int
) -> Iterator[tuple[Pattern, Mask]]:
    decomposition = layout.decomposition
    if decomposition is None or len(decomposition.patches) < 2:
        return
    # Whoever holds all differing tiles holds the first of them.
    suspects = ranks_holding(decomposition, tiles.bounds(int(np.argmax(differing.ravel()))))
    for rank in suspects:
        text = f"in the tiles of rank {rank} of {layout.run}"
        members = _tiles_of_ranks(tiles, decomposition, (rank,))
        yield Pattern(pattern="one rank", text=text, rank=rank), members
    if len(layout.nodes) > 1:
        for node in layout.nodes:
            if not set(suspects).isdisjoint(node.ranks):
                text = f"in the tiles of node {node.host} of {layout.run}"
                members = _tiles_of_ranks(tiles, decomposition, node.ranks)
                yield Pattern(pattern="one node", text=text), members
    for reach in dict.fromkeys((1, steps)):
        for text, members in border_patterns(tiles, decomposition, reach):
            yield Pattern(pattern="rank borders", text=f"{text} of {layout.run}"), members


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
            yield Pattern(pattern="plane", text=text), members


def _span(index: Ints, n: int) -> Ints:
    """The shortest run of tiles along one axis that holds all of `index`, around the end too."""
    used = np.flatnonzero(np.bincount(index, minlength=n))
    gaps = np.diff(np.append(used, used[0] + n))
    widest = int(np.argmax(gaps))
    start = int(used[(widest + 1) % len(used)])
    return np.sort((start + np.arange(n - int(gaps[widest]) + 1)) % n)


def _domain_boundary(tiles: FieldTiles) -> Mask:
    members = np.zeros(tiles.shape, dtype=bool)
    for axis in range(len(tiles.shape)):
        first: list[slice | int] = [slice(None)] * len(tiles.shape)
        last = list(first)
        first[axis], last[axis] = 0, -1
        members[tuple(first)] = True
        members[tuple(last)] = True
    return members


# How a difference goes on from where it began: over the tiles, and in size.
#
# A fault in one place is carried on by the solution, so that the next sample finds it in the same
# tiles and their neighbours. Rounding is everywhere at work: what it marks first is chance, and the
# next sample finds it in tiles that have nothing to do with the first ones.
#
# Rounding errors grow by what the solution does to any small perturbation. A system whose errors
# doubled in each step would not be resolved by its steps, so that a difference which rises out of
# roundoff level faster than that was never one of rounding.


ULPS = 16
"""Units of precision that one step may leave, to begin with."""


class Propagation(Record, frozen=True, kw_only=True):
    """How the differing tiles of a field lie, and those of the next sample.

    Parameters
    ----------
    at_boundary : bool
        All lie at the boundary of the domain, which has tiles that do not.
    connected : bool
        Those of the next sample are the same and neighbours of them, or all there are.
    """

    at_boundary: bool = False
    connected: bool = True


def propagation(first: Mask, following: Mask) -> Propagation:
    """The way of a difference from one sample to the next one."""
    inner = first[tuple(slice(1, -1) for _ in first.shape)]
    reached = _grown(first)
    outside = following & ~reached
    # What every tile takes part in at once, as an implicit solve, says nothing of the location.
    return Propagation(
        at_boundary=bool(inner.size and not inner.any()),
        connected=not outside.any() or bool(following.all()),
    )


def outgrows(curve: Floats, steps: Ints, at: int, epsilon: float, roundoff: float) -> float | None:
    """The size at which a difference leaves roundoff level, if rounding errors grow no such way.

    Parameters
    ----------
    curve : array
        Relative differences at the matching samples.
    steps : array of int
        Their steps.
    at : int
        The sample at which the runs diverge.
    epsilon, roundoff : float
        The unit of precision, and the largest relative difference that counts as roundoff.

    Returns
    -------
    float or None
        None if it never leaves roundoff level, or slowly enough for rounding errors.
    """
    above = np.flatnonzero(curve[at:] > roundoff)
    if not len(above):
        return None
    crossing = at + int(above[0])
    elapsed = float(steps[crossing] - steps[max(at - 1, 0)])
    size = float(curve[crossing])
    return size if log2(size / (ULPS * epsilon)) > elapsed else None


def _grown(mask: Mask) -> Mask:
    """The tiles and their neighbours, around the ends of the domain too."""
    grown = mask.copy()
    for axis in range(mask.ndim):
        grown |= np.roll(grown, 1, axis) | np.roll(grown, -1, axis)
    return grown
