"""Where on this rank a field is smallest and largest.

The sweep tells each tile's extrema; the cell is looked for only in the tiles that have the value,
block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..devices.arrays import DeviceArray

if TYPE_CHECKING:
    from ..local import Part
    from ..quantities.channels import Channel
    from .views import Readable

BLOCK = 1 << 16
"""Cells that are compared at a time."""


class Found(NamedTuple):
    """A value, and the lowest linear global index (C order) or id of the cells that have it."""

    value: float
    cell: int


class Extremes:
    """The places of this rank's extrema.

    Parameters
    ----------
    wanted : iterable of str
        The fields to look at; others are passed over.
    """

    def __init__(self, wanted: frozenset[str] = frozenset()) -> None:
        self._wanted = wanted
        self._least: dict[tuple[str, int], Found] = {}
        self._largest: dict[tuple[str, int], Found] = {}

    def look(
        self,
        part: Part,
        channel: Channel,
        smallest: NDArray[np.float64],
        largest: NDArray[np.float64],
    ) -> None:
        """Take in one part, with its extrema in each tile of the channel."""
        if channel.field not in self._wanted:
            return
        key = channel.field, channel.space
        for best, tiles, sign in ((self._least, -smallest, -1.0), (self._largest, largest, 1.0)):
            top = float(tiles.max())
            known = best.get(key)
            if not isfinite(top) or (known is not None and sign * known.value > top):
                continue
            cell = _first_cell(part, channel, sign * top, np.flatnonzero(tiles == top))
            if known is None or sign * known.value < top or cell < known.cell:
                best[key] = Found(sign * top, cell)

    def least(self, field: str, space: int) -> Found | None:
        """The smallest finite value on this rank; None if it holds none."""
        return self._least.get((field, space))

    def largest(self, field: str, space: int) -> Found | None:
        """The largest finite value on this rank; None if it holds none."""
        return self._largest.get((field, space))


def _first_cell(part: Part, channel: Channel, value: float, tiles: NDArray[Any]) -> int:
    array = part.arrays[channel.field]
    if part.ids is not None:
        cells = [
            int(part.ids[begin : begin + BLOCK][hit].min())
            for begin in range(0, array.size, BLOCK)
            if (hit := _on_host(array[begin : begin + BLOCK]) == value).any()
        ]
    else:
        bounds = channel.field_tiles().bounds
        cells = [c for t in tiles.tolist() for c in _in_box(part, array, value, bounds(t))]
    if not cells:
        raise LookupError(f"no cell of {channel.label} has its extremum {value!r}")
    return min(cells)


def _on_host(block: Readable) -> NDArray[Any]:
    return block.copied() if isinstance(block, DeviceArray) else block


def _in_box(
    part: Part, array: Readable, value: float, bounds: tuple[tuple[int, int], ...]
) -> Iterator[int]:
    """The first cell in C order that has `value`, between these global bounds."""
    low = [max(b, s) - s for (b, _), s in zip(bounds, part.start, strict=True)]
    high = [min(e, s + n) - s for (_, e), s, n in zip(bounds, part.start, part.shape, strict=True)]
    if any(b >= e for b, e in zip(low, high, strict=True)):
        return
    rows = max(1, BLOCK // max(1, prod(e - b for b, e in zip(low[1:], high[1:], strict=True))))
    for begin in range(low[0], high[0], rows):
        block = (
            slice(begin, min(begin + rows, high[0])),
            *(slice(b, e) for b, e in zip(low[1:], high[1:], strict=True)),
        )
        hit = _on_host(array[block]) == value
        if part.where is not None:
            hit &= part.where[block]
        if hit.any():
            inside = np.unravel_index(int(hit.argmax()), hit.shape)
            corner = (begin, *low[1:])
            at = [int(i) + c + s for i, c, s in zip(inside, corner, part.start, strict=True)]
            cell = 0
            for index, cells in zip(at, part.global_shape, strict=True):
                cell = cell * cells + index
            yield cell
            return
