"""Exact sums by folding: vectorized, without fast-math.

Adding ``M = 1.5 * 2**(52+q)`` to ``|x| < 2**(51+q)`` rounds x to a multiple of ``2**q``, which
is then the difference of the bit patterns of ``x + M`` and ``M``; the rest ``x - ((x+M) - M)`` is
exact and at most ``2**(q-1)``. A second fold with ``q - 51`` takes the next 51 bits. The integers
add up exactly in 64 bits over 2**11 values. The rests of the last fold are OR-ed together: no bit
set means that nothing was lost, and also that there was no NaN and no infinity.
(Demmel and Nguyen 2015, "Parallel reproducible summation", pre-round the same way; here nothing
is dropped.)
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .intrinsics import bits, floats_at, from_bits, widest_vectors
from .jit import kernel
from .limbs import INFINITE

WIDTH = np.int64(51)
"""Bits that one fold takes."""

LANES = 4
"""Places of a chunk that are read side by side."""

BURST = 128
"""Values in each of four places side by side, which together are a page of memory."""

LONGEST = 2048
"""Values in a chunk, at most: as many as the integer sums have room for."""

HIGHEST = 970 - WIDTH
"""Largest exponent of the low fold: the constant of the high one must be finite."""

HALF_OF_ONE = np.uint64(0x0008000000000000)
"""The bit of a float64 that makes 1.5 of 1.0."""

SPAN = 3 * WIDTH
"""Exponents from the lowest to the highest of four folds."""


@kernel
def magic(q):
    """The constant that rounds to multiples of ``2**q``."""
    return from_bits((np.uint64(52 + q + 1023) << np.uint64(52)) | HALF_OF_ONE)


@kernel
def fold(v, m1, m0):
    """Two folds of one value: the bits of both sums, and of the rest."""
    t1 = v + m1
    rest = v - (t1 - m1)
    t0 = rest + m0
    return bits(t1), bits(t0), bits(rest - (t0 - m0))


@kernel
def taken(v, m1, m0, high, low, lost, odd):
    """What two folds of one value make of the sums so far."""
    a, b, c = fold(v, m1, m0)
    return high + a, low + b, lost | c, odd | (a ^ bits(m1))


@kernel
def two_folds(values, n, m1, m0, out):
    """Two folds of `n` values, without extrema or digest.

    `out` receives the two raw integer sums, the OR of the rests, and the OR of the bits in which
    the first sums differ from `m1`: an exponent among them is that of a value too large.
    """
    widest_vectors()
    x = floats_at(values, n)
    high = np.uint64(0)
    low = np.uint64(0)
    lost = np.uint64(0)
    odd = np.uint64(0)
    done = n // (LANES * BURST) * (LANES * BURST)
    for begin in range(0, done, LANES * BURST):
        # In one page the processor looks ahead by itself; it is kept busy by four chains of sums.
        x0 = x[begin : begin + BURST]
        x1 = x[begin + BURST : begin + 2 * BURST]
        x2 = x[begin + 2 * BURST : begin + 3 * BURST]
        x3 = x[begin + 3 * BURST : begin + 4 * BURST]
        for j in range(x0.size):
            high, low, lost, odd = taken(x0[j], m1, m0, high, low, lost, odd)
            high, low, lost, odd = taken(x1[j], m1, m0, high, low, lost, odd)
            high, low, lost, odd = taken(x2[j], m1, m0, high, low, lost, odd)
            high, low, lost, odd = taken(x3[j], m1, m0, high, low, lost, odd)
    xs = x[done:]
    for j in range(xs.size):
        high, low, lost, odd = taken(xs[j], m1, m0, high, low, lost, odd)
    out[0] = high
    out[1] = low
    out[2] = lost
    out[3] = odd


@kernel
def four_folds(values, n, q, out):
    """Four folds, at ``q + 153`` down to `q`: the integer sums, and whether nothing was lost."""
    widest_vectors()
    x = floats_at(values, n)
    m3 = magic(q + 3 * WIDTH)
    m2 = magic(q + 2 * WIDTH)
    m1 = magic(q + WIDTH)
    m0 = magic(q)
    s3 = np.uint64(0)
    s2 = np.uint64(0)
    s1 = np.uint64(0)
    s0 = np.uint64(0)
    lost = np.uint64(0)
    for j in range(x.size):
        v = x[j]
        t = v + m3
        s3 += bits(t)
        v = v - (t - m3)
        t = v + m2
        s2 += bits(t)
        v = v - (t - m2)
        t = v + m1
        s1 += bits(t)
        v = v - (t - m1)
        t = v + m0
        s0 += bits(t)
        lost |= bits(v - (t - m0))
    count = np.uint64(n)
    out[0] = np.int64(s0 - count * bits(m0))
    out[1] = np.int64(s1 - count * bits(m1))
    out[2] = np.int64(s2 - count * bits(m2))
    out[3] = np.int64(s3 - count * bits(m3))
    return lost << np.uint64(1) == 0


@kernel
def within(smallest, largest, q1):
    """Whether values between the two fit a high fold at `q1`."""
    limit = from_bits(np.uint64(WIDTH + q1 + 1023) << np.uint64(52))
    return -limit < smallest and largest < limit


@kernel
def all_finite(lost):
    """Whether the OR of the rests shows that there was no NaN and no infinity.

    Either leaves a rest that is NaN or infinite. False may be wrong, true never.
    """
    return lost & INFINITE != INFINITE


@kernel
def complete(lost, odd):
    """Whether two folds took everything: no rest but zeros, and no value too large.

    A value of ``2**(51+q)`` or more, NaN or infinite gives the first sum another exponent or sign.
    """
    return lost << np.uint64(1) == 0 and odd >> np.uint64(52) == 0
