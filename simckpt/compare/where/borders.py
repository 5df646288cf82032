"""The tiles that a fault in the exchange between ranks marks.

Halos are copied axis by axis and side by side, so a fault may concern one axis or one side of all
patches only. Whether the domain is periodic is not recorded: each figure is tried with and without
the borders around the end of the axes that were cut. Between two samples what a wrong halo
brings travels on by a cell a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from ...model.segment import Decomposition, Patch
from ...model.series import FieldTiles
from ..view import Ints, Mask

SIDES = ((1, 1), (1, 0), (0, 1))
"""Whether the lower and the upper side of each patch is concerned."""
CROWDED = 0.75
"""Borders that touch more than this part of all tiles say nothing."""


def border_figures(
    tiles: FieldTiles, decomposition: Decomposition, reach: int
) -> Iterator[tuple[str, Mask]]:
    """What a fault of the halos would mark, as a phrase, and the tiles; the narrower first."""
    patches = [p for held in decomposition.patches for p in held if p.level == 0]
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
            _mark(members, tiles, patch, axis, (-back, reach), around, upper=False)
        if sides[1]:
            _mark(members, tiles, patch, axis, (-reach, back), around, upper=True)
    return members


def _mark(
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
    near = np.arange(border + max(cells[0], -n), border + min(cells[1], n))
    near = near % n if around else near[(near >= 0) & (near < n)]
    index: list[Ints] = []
    for k, edges in enumerate(tiles.edges):
        low, high = patch.start[k], patch.start[k] + patch.shape[k]
        if k == axis:
            index.append(np.unique(np.searchsorted(edges, near, side="right") - 1))
        else:
            first = int(np.searchsorted(edges, low, side="right")) - 1
            index.append(np.arange(first, int(np.searchsorted(edges, high, side="left"))))
    members[np.ix_(*index)] = True
