"""Where on this rank a field is smallest and largest.

The sweep tells each tile's extrema; the cell is looked for only in the tiles that have the value,
block by block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .devices.arrays import DeviceArray
from .local_parts import Part
from .quantities.base import Channel
from .readable import Readable
from .state import Extremes, Extremum

if TYPE_CHECKING:
    from .kernels.sweep import Totals

BLOCK = 1 << 16
"""Cells that are compared at a time."""


def locate(
    extremes: Extremes,
    fields: Collection[str],
    part: Part,
    channels: Sequence[Channel],
    totals: Totals,
) -> None:
    """Add the extrema of these fields in one part, of which `totals` has those of each tile."""
    for row, channel in enumerate(channels):
        if channel.field not in fields:
            continue
        key, tiles = (channel.field, channel.space), slice(channel.tiles)
        for best, tops, sign in (
            (extremes.smallest, -totals.smallest[row, tiles], -1.0),
            (extremes.largest, totals.largest[row, tiles], 1.0),
        ):
            top = float(tops.max())
            previous = best.get(key)
            if not isfinite(top) or (previous is not None and sign * previous.value > top):
                continue
            cell = _first_cell(part, channel, sign * top, np.flatnonzero(tops == top))
            if previous is None or sign * previous.value < top or cell < previous.cell:
                best[key] = Extremum(sign * top, cell)


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
