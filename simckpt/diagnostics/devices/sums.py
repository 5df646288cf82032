"""Exact sums and digests in the array API: of values that never come to the host.

A value is cut into integers of 26 bits on one grid of exponents, which add up in int64 without
rounding (2**36 values have room); what is left is cut again until nothing is. Products modulo
2**64 are those of int64, which wrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp
from typing import Any

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
            whole = xp.trunc(self.scaled(x, -unit))
            total += int(xp.sum(xp.astype(whole, xp.int64))) << (unit - SMALLEST)
            x = x - self.scaled(whole, unit)
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
        near = a * b
        a1, a0 = self._halves(a)
        b1, b0 = self._halves(b)
        error = a0 * b0 - (((near - a1 * b1) - a0 * b1) - a1 * b0)
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
        whole = xp.astype(
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
        bits = xp.where(finite, xp.where(tiny, whole, normal), odd)
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
