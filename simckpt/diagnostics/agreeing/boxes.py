"""What the boxes of all ranks have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod

from ...errors import SetupError
from .offer import PartOffer
from .unison import same_width


def global_shapes(parts: Sequence[tuple[int, PartOffer]]) -> dict[int, tuple[int, ...]]:
    """The shape of each level's index space, on which the ranks must agree."""
    shapes: dict[int, tuple[int, ...]] = {}
    told: dict[int, int] = {}
    for rank, part in parts:
        first = shapes.setdefault(part.level, part.global_shape)
        told.setdefault(part.level, rank)
        if part.global_shape != first:
            raise SetupError(
                "Grid.global_shape",
                part.global_shape,
                f"on rank {rank} is not what rank {told[part.level]} says, {first}",
                mend="Give the shape of the whole grid, the same on every rank.",
            )
    if len({len(shape) for shape in shapes.values()}) > 1:
        raise SetupError("Grid.global_shape", shapes, "has levels with different numbers of axes")
    return dict(sorted(shapes.items()))


def of_one_volume(parts: Sequence[tuple[int, PartOffer]]) -> bool:
    """Whether all cells are of one volume."""
    volumes = {part.volume for _, part in parts}
    return len(volumes) == 1 and None not in volumes


def even_axes(parts: Sequence[tuple[int, PartOffer]]) -> tuple[bool, ...]:
    """Whether the cells of each level are of one width, along each axis."""
    first: dict[int, PartOffer] = {}
    even = [True] * len(parts[0][1].widths) if parts else []
    for _, part in parts:
        known = first.setdefault(part.level, part)
        for axis, (there, here) in enumerate(zip(known.widths, part.widths, strict=True)):
            if there is None or here is None or not same_width(there, here):
                even[axis] = False
    return tuple(even)


def masks_ghosts(parts: Sequence[PartOffer]) -> bool:
    """Whether it is known which ghost cells count: a single box has none of another's."""
    single = single_boxes(parts)
    return all(p.masks_ghosts or p.level in single for p in parts if prod(p.shape))


def single_boxes(parts: Sequence[PartOffer]) -> frozenset[int]:
    """The levels that are one box."""
    boxes = Counter(part.level for part in parts if prod(part.shape))
    return frozenset(level for level, count in boxes.items() if count == 1)


def ghost_layers(parts: Sequence[tuple[int, PartOffer]]) -> tuple[int, ...]:
    """Ghost layers along each axis that every box has on both sides."""
    layers = [[min(pair) for pair in part.ghost] for _, part in parts]
    return tuple(min(axis) for axis in zip(*layers, strict=True))
