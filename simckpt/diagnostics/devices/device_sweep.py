"""Exact sums and digests in the array API: of values that never come to the host.

A value is cut into integers of 26 bits on one grid of exponents, which add up in int64 without
rounding (2**36 values have room); what is left is cut again until nothing is. Products modulo
2**64 are those of int64, which wrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import frexp, inf, prod
from typing import Any

import numpy as np

from ..local_parts import MASK, Part, PartPlan
from ..lowering import Leaf
from ..quantities.base import Channel
from ..tiles import plan_walk
from .arrays import COPIED_BLOCK, DeviceArray, cuts, reducible

CUT = 26
SMALLEST = -1074
"""Exponent of the smallest positive float64, the unit of all integers here."""

GOLDEN = 0x9E3779B97F4A7C15
LOW = 0xFFFFFFFF

_FORMATS = {8: (52, -1022, 63), 4: (23, -126, 31), 2: (10, -14, 15)}
"""Bits of the fraction, smallest normal exponent, and place of the sign, by bytes."""


@dataclass(frozen=True)
class Arithmetic:
    """The functions of one library on one device.

    `xp` is its array-API namespace.
    """

    xp: Any
    device: Any

    def scalar(self, value: float) -> Any:
        """A float64 beside the values."""
        return self.xp.asarray(value, dtype=self.xp.float64, device=self.device)

    def scaled(self, x: Any, exponent: int) -> Any:
        """``x * 2**exponent``, in two steps as the factor may not be a float64."""
        half = exponent // 2
        return x * 2.0**half * 2.0 ** (exponent - half)

    def exact_sum(self, x: Any) -> int:
        """The exact sum of finite values, in units of ``2**-1074``."""
        xp = self.xp
        total = 0
        top = self.top(x)
        while top:
            unit = max(frexp(top)[1] - CUT, SMALLEST)
            integers = xp.trunc(self.scaled(x, -unit))
            total += int(xp.sum(xp.astype(integers, xp.int64))) << (unit - SMALLEST)
            x = x - self.scaled(integers, unit)
            top = self.top(x)
        return total

    def top(self, x: Any) -> float:
        """The largest size of any value."""
        return float(self.xp.max(self.xp.abs(x)))

    def product(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Rounded products and their exact rounding errors (Dekker 1971)."""
        xp = self.xp
        product = a * b
        (a, far), (b, wide) = self._reined(a), self._reined(b)
        scaled_product = a * b
        a1, a0 = self._halves(a)
        b1, b0 = self._halves(b)
        error = a0 * b0 - (((scaled_product - a1 * b1) - a0 * b1) - a1 * b0)
        error = error * far * wide
        return product, xp.where(xp.isfinite(error) & xp.isfinite(product), error, self.scalar(0.0))

    def _reined(self, x: Any) -> tuple[Any, Any]:
        """Values small enough to be halved, and the powers of two that were taken off."""
        large = self.xp.abs(x) > 2.0**900
        factor = self.xp.where(large, self.scalar(2.0**200), self.scalar(1.0))
        return x / factor, factor

    def _halves(self, x: Any) -> tuple[Any, Any]:
        wide = x * 134217729.0
        high = wide - (wide - x)
        return high, x - high

    def float_bits(self, values: Any, size: int) -> Any:
        """The bits of floating-point values of `size` bytes, widened with zeros, as int64."""
        xp = self.xp
        if hasattr(values, "view"):
            signed = {8: xp.int64, 4: xp.int32, 2: xp.int16}[size]
            return xp.astype(values.view(signed), xp.int64) & (
                (1 << (8 * size)) - 1 if size < 8 else -1
            )
        fraction, lowest, place = _FORMATS[size]
        sign = xp.astype(xp.signbit(values), xp.int64)
        x = xp.abs(xp.astype(values, xp.float64))
        finite = xp.isfinite(x)
        a = xp.where(finite, x, self.scalar(0.0))
        tiny = a < 2.0**lowest
        subnormal = xp.astype(
            self.scaled(xp.where(tiny, a, self.scalar(0.0)), fraction - lowest), xp.int64
        )
        a = xp.where(tiny, self.scalar(1.0), a)
        exponent = xp.zeros_like(sign)
        for power in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
            high, low = a >= 2.0**power, a < 2.0 ** (1 - power)
            a = xp.where(high, a * 2.0**-power, xp.where(low, a * 2.0**power, a))
            exponent = exponent + power * (xp.astype(high, xp.int64) - xp.astype(low, xp.int64))
        biased = exponent + (1 - lowest)
        normal = biased * (1 << fraction) + xp.astype((a - 1.0) * 2.0**fraction, xp.int64)
        infinite = ((1 << (place - fraction)) - 1) << fraction
        odd = infinite + (1 << (fraction - 1)) * xp.astype(xp.isnan(x), xp.int64)
        bits = xp.where(finite, xp.where(tiny, subnormal, normal), odd)
        return bits | (sign << place)

    def digest(self, words: Any, cells: Any, seed: int, counted: Any) -> int:
        """The sum of the mixed words, modulo 2**64, as the kernels have it."""
        xp = self.xp
        m = words ^ (cells * _signed(GOLDEN) + _signed(seed))
        low, high = m & LOW, (m >> 32) & LOW
        p = low * high + ((m << 32) | high)
        mixed = (p & LOW) * ((p >> 32) & LOW) + m
        if counted is not None:
            mixed = xp.where(counted, mixed, xp.zeros_like(mixed))
        return int(xp.sum(mixed)) % 2**64


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


# A part whose fields lie on a device, measured there: the twin of the kernels' sweep.
#
# Block by block, tile by tile: a temporary is of a block's size. What comes back to the host are
# counts, extrema and integers, which go into the same accumulators.


BLOCK = 1 << 18
"""Cells of a block, at most, unless a row is longer: what a device wants to be busy."""

_NAMES = {"power": "pow", "arctan2": "atan2", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}


def on_device(part: Part) -> bool:
    """Whether any field of the part lies on a device."""
    return any(isinstance(array, DeviceArray) for array in part.arrays.values())


def reducible_part(part: Part) -> bool:
    """Whether all fields of the part that lie on a device can be reduced there, on one device."""
    arrays = [array for array in part.arrays.values() if isinstance(array, DeviceArray)]
    return (
        all(map(reducible, arrays)) and len({(id(a.library), str(a.device)) for a in arrays}) == 1
    )


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
            numbers = ~xp.isnan(values) if counted is None else counted & ~xp.isnan(values)
            top = float(xp.max(xp.where(numbers, values, self._math.scalar(-inf))))
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
