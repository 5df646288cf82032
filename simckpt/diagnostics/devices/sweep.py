"""A part whose fields lie on a device, measured there: the twin of the kernels' sweep.

Block by block, tile by tile: a temporary is of a block's size. What comes back to the host are
counts, extrema and integers, which go into the same accumulators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf, prod
from typing import Any

import numpy as np

from ..domain.walk import plan_walk
from ..local import MASK, Part, PartPlan
from ..lowering import Leaf
from ..quantities.channels import Channel
from .arrays import COPIED_BLOCK, DeviceArray, cuts, reducible
from .sums import Arithmetic

BLOCK = 1 << 18
"""Cells of a block, at most, unless a row is longer: what a device wants to be busy."""

_NAMES = {"power": "pow", "arctan2": "atan2", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}


def on_device(part: Part) -> bool:
    """Whether any field of the part lies on a device."""
    return any(isinstance(array, DeviceArray) for array in part.arrays.values())


def reduced_there(part: Part) -> bool:
    """Whether all fields of the part that lie on a device can be reduced there, on one device."""
    there = [array for array in part.arrays.values() if isinstance(array, DeviceArray)]
    return all(map(reducible, there)) and len({(id(a.library), str(a.device)) for a in there}) == 1


def host_blocks(part: Part) -> Iterator[Part]:
    """The part in blocks whose fields have been copied to the host, one block at a time."""
    for cut in cuts(part.shape, COPIED_BLOCK):
        box = tuple(slice(a, b) for a, b in cut)
        full = tuple(
            slice(a, b + low + high)
            for (a, b), (low, high) in zip(cut, part.ghost or ((0, 0),) * len(cut), strict=True)
        )
        ghosted = {name: _on_host(array[full]) for name, array in part.ghosted.items()}
        inner = tuple(
            slice(low, low + b - a)
            for (a, b), (low, _) in zip(cut, part.ghost or ((0, 0),) * len(cut), strict=True)
        )
        yield replace(
            part,
            start=tuple(s + a for s, (a, _) in zip(part.start, cut, strict=True)),
            shape=tuple(b - a for a, b in cut),
            arrays={
                name: ghosted[name][inner] if name in ghosted else _on_host(array[box])
                for name, array in part.arrays.items()
            },
            ghosted=ghosted,
            widths=tuple(
                w if isinstance(w, float) else w[a:b]
                for w, (a, b) in zip(part.widths, cut, strict=True)
            ),
            widths_around=tuple(
                w[a : b + 2] if isinstance(w, np.ndarray) else w
                for w, (a, b) in zip(part.widths_around, cut, strict=True)
            ),
            volume=part.volume if isinstance(part.volume, float) else part.volume[box],
            where=None if part.where is None else part.where[box],
            where_around=None if part.where is None else part.around[full],
            prepared={},
        )


def _on_host(array: Any) -> Any:
    return array.copied() if isinstance(array, DeviceArray) else array


class DeviceSweep:
    """Measures one part on its device.

    Parameters
    ----------
    part : Part
        Its fields, of which at least one lies on the device.
    plan : PartPlan
        What to compute.
    channels : sequence of Channel
        Those of the plan, in its order.
    totals : Totals
        Accumulators, blank; they receive the findings.
    """

    def __init__(
        self, part: Part, plan: PartPlan, channels: Sequence[Channel], totals: Any
    ) -> None:
        self._part = part
        self._plan = plan
        self._channels = channels
        self._totals = totals
        first = next(a for a in part.arrays.values() if isinstance(a, DeviceArray))
        self._math = Arithmetic(first.library, first.device)
        self._limbs = [[0] * channel.tiles for channel in channels]
        self._sums = [0] * len(plan.sums)

    def run(self, edges: Sequence[Sequence[int]]) -> None:
        """Measure the part; its index space is cut into tiles at `edges`."""
        part = self._part
        order = tuple(range(len(part.shape)))
        walk = plan_walk(part.start, part.shape, part.global_shape, order, edges)
        pad = len(walk.pieces) - len(order)
        for piece in np.ndindex(*walk.pieces.tolist()):
            tile = sum(int(walk.tile[axis, p]) for axis, p in enumerate(piece))
            begin = [int(walk.begin[axis, p]) for axis, p in enumerate(piece)][pad:]
            end = [int(walk.end[axis, p]) for axis, p in enumerate(piece)][pad:]
            for cut in cuts([b - a for a, b in zip(begin, end, strict=True)], BLOCK):
                box = tuple(slice(o + a, o + b) for o, (a, b) in zip(begin, cut, strict=True))
                with np.errstate(all="ignore"):  # some libraries are NumPy beneath
                    self._block(tile, box)
        for row, totals in enumerate(self._limbs):
            for tile, total in enumerate(totals):
                _fill(self._totals.limbs[row, tile], total)
        for row, total in enumerate(self._sums):
            _fill(self._totals.sum_limbs[row], total)

    def _block(self, tile: int, box: tuple[slice, ...]) -> None:
        xp = self._math.xp
        shape = tuple(cut.stop - cut.start for cut in box)
        program = self._plan.program
        raw = [self._raw(leaf, box) for leaf in program.leaves]
        counted = raw[program.leaves.index(MASK)] if MASK in program.leaves else None
        count = prod(shape) if counted is None else int(xp.sum(xp.astype(counted, xp.int64)))
        if not count:
            return
        cells = self._cells(box)
        places: list[Any] = [xp.astype(x, xp.float64) for x in raw]
        places += [self._math.scalar(value) for value in program.constants]
        places += [None] * (program.buffers - len(places))
        for row, channel in enumerate(self._channels):
            self._field(row, channel, tile, places[row], raw[row], cells, counted)
        for name, out, *operands in program.operations:
            places[out] = self._apply(name, [places[i] for i in operands if i >= 0])
        for row, (_, buffer, weights) in enumerate(self._plan.sums):
            values = xp.broadcast_to(places[buffer], shape)
            if weights < 0:
                self._sums[row] += self._total(values, counted, self._totals.sum_counts[row])
            else:
                product, error = self._math.product(values, xp.broadcast_to(places[weights], shape))
                self._sums[row] += self._total(product, counted, self._totals.sum_counts[row])
                self._sums[row] += self._total(error, counted, np.zeros(3, np.int64))
        for row, (_, buffer) in enumerate(self._plan.maxima):
            values = xp.broadcast_to(places[buffer], shape)
            odd = xp.isnan(values)
            if counted is not None:
                odd = odd & counted
            self._totals.missing[row] += self._count(odd)
            kept = ~xp.isnan(values) if counted is None else counted & ~xp.isnan(values)
            top = float(xp.max(xp.where(kept, values, self._math.scalar(-inf))))
            self._totals.top[row] = max(self._totals.top[row], top)
        self._totals.cells[0] += count

    def _field(
        self,
        row: int,
        channel: Channel,
        tile: int,
        values: Any,
        raw: Any,
        cells: Any,
        counted: Any,
    ) -> None:
        xp, totals = self._math.xp, self._totals
        finite = xp.isfinite(values)
        odd = ~finite
        if counted is not None:
            finite, odd = finite & counted, odd & counted
        size = int(channel.kind[1:])
        if channel.kind[0] == "f":
            words = self._math.float_bits(raw, size)
        else:
            words = xp.astype(raw, xp.int64) & ((1 << (8 * size)) - 1 if size < 8 else -1)
        digest = self._math.digest(words, cells, channel.seed, counted)
        totals.digest[row, tile] += np.uint64(digest)
        number = self._count(finite)
        totals.finite[row, tile] += number
        if self._count(odd):
            totals.counts[row] += self._odd_counts(values, odd)
            last = xp.asarray(np.iinfo(np.int64).max, dtype=xp.int64, device=self._math.device)
            first = int(xp.min(xp.where(odd, cells, last)))
            totals.first[row] = min(int(totals.first[row]), first)
        if not number:
            return
        least = float(xp.min(xp.where(finite, values, self._math.scalar(inf))))
        most = float(xp.max(xp.where(finite, values, self._math.scalar(-inf))))
        totals.smallest[row, tile] = min(totals.smallest[row, tile], least)
        totals.largest[row, tile] = max(totals.largest[row, tile], most)
        clean = xp.where(finite, values, self._math.scalar(0.0))
        self._limbs[row][tile] += self._math.exact_sum(clean)

    def _total(self, values: Any, counted: Any, counts: Any) -> int:
        xp = self._math.xp
        finite = xp.isfinite(values)
        odd = ~finite
        if counted is not None:
            finite, odd = finite & counted, odd & counted
        if self._count(odd):
            counts += self._odd_counts(values, odd)
        return self._math.exact_sum(xp.where(finite, values, self._math.scalar(0.0)))

    def _odd_counts(self, values: Any, odd: Any) -> Any:
        nan = self._math.xp.isnan(values)
        kinds = (odd & nan, odd & (values > 0), odd & (values < 0))
        return np.array([self._count(kind) for kind in kinds], np.int64)

    def _count(self, kind: Any) -> int:
        xp = self._math.xp
        return int(xp.sum(xp.astype(kind, xp.int64)))

    def _cells(self, box: tuple[slice, ...]) -> Any:
        """The linear global index of each cell of a block."""
        xp, part = self._math.xp, self._part
        cells: Any = xp.zeros((1,) * len(box), dtype=xp.int64, device=self._math.device)
        for axis, cut in enumerate(box):
            begin = part.start[axis] + cut.start
            along = xp.arange(
                begin, begin + cut.stop - cut.start, dtype=xp.int64, device=self._math.device
            )
            shape = [1] * len(box)
            shape[axis] = cut.stop - cut.start
            cells = cells + xp.reshape(along, tuple(shape)) * prod(part.global_shape[axis + 1 :])
        return cells

    def _raw(self, leaf: Leaf, box: tuple[slice, ...]) -> Any:
        """The values of a leaf in a block, on the device."""
        array = self._part.leaf(leaf)[box]
        if isinstance(array, DeviceArray):
            return array.values()
        native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        return self._math.xp.asarray(native, device=self._math.device)

    def _apply(self, name: str, operands: Sequence[Any]) -> Any:
        xp = self._math.xp
        if name == "where":
            condition, first, second = operands
            return xp.where(condition != 0.0, first, second)
        return xp.astype(getattr(xp, _NAMES.get(name, name))(*operands), xp.float64)


def _fill(limbs: Any, total: int) -> None:
    """An integer as normalised limbs; what is beyond the last is cut off, as sums of words are."""
    last = len(limbs) - 1
    for i in range(last):
        limbs[i] = (total >> (32 * i)) & 0xFFFFFFFF
    top = (total >> (32 * last)) & (2**64 - 1)
    limbs[last] = top - 2**64 if top >= 2**63 else top
