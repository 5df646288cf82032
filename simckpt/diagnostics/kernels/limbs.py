"""Accumulators: integers of 32-bit limbs on one global grid of exponents.

Limb `i` of an accumulator counts units of ``2**(32*i - 1074)``; it is an int64, so a limb has
room for 2**29 deposits before its carry must be passed on. 70 limbs hold every finite float64
and the sum of 2**60 of them. No deposit rounds, so order does not matter.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .intrinsics import bits
from .jit import kernel

LIMBS = 70
LOWEST = -1074
"""Exponent of the smallest positive float64: the unit of limb 0."""

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MAGNITUDE = np.uint64(0x7FFFFFFFFFFFFFFF)
FRACTION = np.uint64(0x000FFFFFFFFFFFFF)
HIDDEN = np.uint64(0x0010000000000000)
INFINITE = np.uint64(0x7FF0000000000000)


@kernel
def deposit(limbs, value, offset):
    """Add the int64 `value` times ``2**offset`` units of limb 0."""
    negative = value < 0
    size = np.uint64(-value) if negative else np.uint64(value)
    i = offset >> 5
    shift = np.uint64(offset & 31)
    low = (size & LOW) << shift
    high = (size >> HALF) << shift
    a = np.int64(low & LOW)
    b = np.int64(low >> HALF) + np.int64(high & LOW)
    c = np.int64(high >> HALF)
    if negative:
        limbs[i] -= a
        limbs[i + 1] -= b
        limbs[i + 2] -= c
    else:
        limbs[i] += a
        limbs[i + 1] += b
        limbs[i + 2] += c


@kernel
def deposit_float(limbs, x):
    """Add the finite float64 `x`."""
    word = bits(x) & MAGNITUDE
    exponent = np.int64(word >> np.uint64(52))
    mantissa = np.int64(word & FRACTION)
    if exponent > 0:
        mantissa |= np.int64(HIDDEN)
        exponent -= 1
    deposit(limbs, -mantissa if bits(x) >> np.uint64(63) else mantissa, exponent)


@kernel
def normalise(limbs):
    """Pass the carries on: every limb but the last comes to lie in 0 ... 2**32-1."""
    carry = np.int64(0)
    last = limbs.size - 1
    for i in range(last):
        total = limbs[i] + carry
        carry = total >> 32
        limbs[i] = total & 0xFFFFFFFF
    limbs[last] += carry
