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
from numba import carray  # type: ignore[attr-defined]

from .intrinsics import (
    bits,
    f8_at,
    fma,
    from_bits,
    greatest,
    kept_apart,
    least,
    prefetch,
    u8_at,
    widest_vectors,
)
from .jit import kernel
from .limbs import HALF, INFINITE, LOW, LOWEST, MAGNITUDE, deposit, deposit_float

WIDTH = np.int64(51)
"""Bits that one fold takes."""

LANES = 4
"""Places of a chunk that are read side by side: a page of memory each, with a stream of its own."""

BURST = 64
"""Values of each lane between two bursts of prefetches."""

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
def mix(word, key):
    """A cell's share of the digest."""
    m = word ^ key
    p = (m & LOW) * (m >> HALF) + ((m << HALF) | (m >> HALF))
    return (p & LOW) * (p >> HALF) + m


@kernel
def ask(values, lane, begin):
    """Prefetch what comes one chunk behind a burst of every lane."""
    for s in range(LANES):
        ahead = values + np.uint64(8 * (begin + s * lane + LONGEST))
        for line in range(BURST // 8):
            prefetch(ahead + np.uint64(64 * line))


@kernel
def fused(values, words, keys, n, key, m1, m0, out):
    """Two folds, extrema and digest of `n` values in one pass.

    `values` and `words` are the addresses of the float64 values and of their own bits, `keys` of
    the cells' keys, to which `key` is added. `out` receives the two raw integer sums, the OR of
    the rests, and the digest; least and greatest value are returned.
    """
    widest_vectors()
    x = carray(f8_at(values), n)
    w = carray(u8_at(words), n)
    k = carray(u8_at(keys), n)
    high = np.uint64(0)
    low = np.uint64(0)
    lost = np.uint64(0)
    digest = np.uint64(0)
    smallest = np.inf
    largest = -np.inf
    lane = n // (LANES * BURST) * BURST
    done = LANES * lane
    for begin in range(0, lane, BURST):
        ask(values, lane, begin)
        end = begin + BURST
        x0 = x[begin:end]
        w0 = w[begin:end]
        k0 = k[begin:end]
        x1 = x[begin + lane : end + lane]
        w1 = w[begin + lane : end + lane]
        k1 = k[begin + lane : end + lane]
        x2 = x[begin + 2 * lane : end + 2 * lane]
        w2 = w[begin + 2 * lane : end + 2 * lane]
        k2 = k[begin + 2 * lane : end + 2 * lane]
        x3 = x[begin + 3 * lane : end + 3 * lane]
        w3 = w[begin + 3 * lane : end + 3 * lane]
        k3 = k[begin + 3 * lane : end + 3 * lane]
        for j in range(x0.size):
            v = x0[j]
            a, b, c = fold(v, m1, m0)
            high += a
            low += b
            lost |= c
            smallest = least(smallest, v)
            largest = greatest(largest, v)
            digest += mix(w0[j], k0[j] + key)
            v = x1[j]
            a, b, c = fold(v, m1, m0)
            high += a
            low += b
            lost |= c
            smallest = least(smallest, v)
            largest = greatest(largest, v)
            digest += mix(w1[j], k1[j] + key)
            v = x2[j]
            a, b, c = fold(v, m1, m0)
            high += a
            low += b
            lost |= c
            smallest = least(smallest, v)
            largest = greatest(largest, v)
            digest += mix(w2[j], k2[j] + key)
            v = x3[j]
            a, b, c = fold(v, m1, m0)
            high += a
            low += b
            lost |= c
            smallest = least(smallest, v)
            largest = greatest(largest, v)
            digest += mix(w3[j], k3[j] + key)
    xs = x[done:]
    ws = w[done:]
    ks = k[done:]
    for j in range(xs.size):
        v = xs[j]
        a, b, c = fold(v, m1, m0)
        high += a
        low += b
        lost |= c
        smallest = least(smallest, v)
        largest = greatest(largest, v)
        digest += mix(ws[j], ks[j] + key)
    out[0] = high
    out[1] = low
    out[2] = lost
    out[3] = digest
    return smallest, largest


@kernel
def two_folds(values, n, m1, m0, out):
    """Two folds of `n` values, without extrema or digest.

    `out` receives the two raw integer sums, the OR of the rests, and the OR of the bits in which
    the first sums differ from `m1`: an exponent among them is that of a value too large.
    """
    widest_vectors()
    x = carray(f8_at(values), n)
    high = np.uint64(0)
    low = np.uint64(0)
    lost = np.uint64(0)
    odd = np.uint64(0)
    b1 = bits(m1)
    lane = n // (LANES * BURST) * BURST
    done = LANES * lane
    for begin in range(0, lane, BURST):
        ask(values, lane, begin)
        x0 = x[begin : begin + BURST]
        x1 = x[begin + lane : begin + lane + BURST]
        x2 = x[begin + 2 * lane : begin + 2 * lane + BURST]
        x3 = x[begin + 3 * lane : begin + 3 * lane + BURST]
        for j in range(x0.size):
            a, b, c = fold(x0[j], m1, m0)
            high += a
            odd |= a ^ b1
            low += b
            lost |= c
            a, b, c = fold(x1[j], m1, m0)
            high += a
            odd |= a ^ b1
            low += b
            lost |= c
            a, b, c = fold(x2[j], m1, m0)
            high += a
            odd |= a ^ b1
            low += b
            lost |= c
            a, b, c = fold(x3[j], m1, m0)
            high += a
            odd |= a ^ b1
            low += b
            lost |= c
    xs = x[done:]
    for j in range(xs.size):
        a, b, c = fold(xs[j], m1, m0)
        high += a
        odd |= a ^ b1
        low += b
        lost |= c
    out[0] = high
    out[1] = low
    out[2] = lost
    out[3] = odd


@kernel
def extrema(values, n):
    """Least and greatest of values of which none is NaN."""
    widest_vectors()
    x = carray(f8_at(values), n)
    smallest = np.inf
    largest = -np.inf
    for j in range(x.size):
        smallest = least(smallest, x[j])
        largest = greatest(largest, x[j])
    return smallest, largest


@kernel
def four_folds(values, n, q, out):
    """Four folds, at ``q + 153`` down to `q`: the integer sums, and whether nothing was lost."""
    widest_vectors()
    x = carray(f8_at(values), n)
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


@kernel
def clean(values, n, into, counts):
    """Copy `n` values to `into` with zeros for what is not finite, which is counted.

    Returns the extrema of the finite values, their number, and the position of the first that is
    not finite (-1 if there is none).
    """
    kept_apart()
    x = carray(f8_at(values), n)
    y = carray(f8_at(into), n)
    smallest = np.inf
    largest = -np.inf
    finite = 0
    first = -1
    for j in range(x.size):
        v = x[j]
        word = bits(v) & MAGNITUDE
        if word < INFINITE:
            y[j] = v
            finite += 1
            smallest = min(smallest, v)
            largest = max(largest, v)
        else:
            y[j] = 0.0
            if first < 0:
                first = j
            if word > INFINITE:
                counts[0] += 1
            elif v > 0:
                counts[1] += 1
            else:
                counts[2] += 1
    return smallest, largest, finite, first


@kernel
def best_low(smallest, largest, width, spare):
    """Exponent of the lowest of several folds `width` above it, for values of this size."""
    size = max(-smallest, largest)
    if size == 0:
        return np.int64(0)
    # Every value is below 2**exponent, or subnormal: then LOWEST counts.
    exponent = np.int64(bits(size) >> np.uint64(52)) - 1022
    return max(exponent + spare - WIDTH - width, LOWEST)


@kernel
def add_finite(limbs, values, n, smallest, largest, sums):
    """Add finite values of any size to an accumulator."""
    kept_apart()
    q = best_low(smallest, largest, SPAN, np.int64(0))
    if q + SPAN <= HIGHEST + WIDTH and four_folds(values, n, q, sums):
        for i in range(4):
            deposit(limbs, sums[i], q + i * WIDTH - LOWEST)
        return
    x = carray(f8_at(values), n)
    for j in range(x.size):
        deposit_float(limbs, x[j])


@kernel
def add_all(limbs, counts, values, n, guess, scratch, raw, sums):
    """Add any values to an accumulator; what is not finite is counted.

    `guess` is the low fold's exponent that served last time; the one for next time is returned.
    """
    kept_apart()
    m1 = magic(guess + WIDTH)
    m0 = magic(guess)
    two_folds(values, n, m1, m0, raw)
    if complete(raw[2], raw[3]):
        count = np.uint64(n)
        deposit(limbs, np.int64(raw[0] - count * bits(m1)), guess + WIDTH - LOWEST)
        deposit(limbs, np.int64(raw[1] - count * bits(m0)), guess - LOWEST)
        return guess
    if all_finite(raw[2]):
        smallest, largest = extrema(values, n)
        add_finite(limbs, values, n, smallest, largest, sums)
    else:
        smallest, largest, finite, _ = clean(values, n, scratch, counts)
        if finite == 0:
            return guess
        add_finite(limbs, scratch, n, smallest, largest, sums)
    return min(best_low(smallest, largest, WIDTH, np.int64(8)), HIGHEST)


@kernel
def exact_products(factors, weights, n, products, errors):
    """``factors * weights`` as rounded products and their exact rounding errors (Ogita 2005)."""
    f = carray(f8_at(factors), n)
    w = carray(f8_at(weights), n)
    p = carray(f8_at(products), n)
    e = carray(f8_at(errors), n)
    for j in range(f.size):
        p[j] = f[j] * w[j]
        e[j] = fma(f[j], w[j], -p[j])


@kernel
def sum_into(limbs, x):
    """Add a contiguous float64 array to an accumulator, outside of a sweep.

    Returns the counts of NaN, +Inf and -Inf, which are left out.
    """
    counts = np.zeros(3, np.int64)
    raw = np.empty(4, np.uint64)
    sums = np.empty(4, np.int64)
    scratch = np.empty(LONGEST)
    guess = np.int64(0)
    base = np.uint64(x.ctypes.data)
    room = np.uint64(scratch.ctypes.data)
    for begin in range(0, x.size, LONGEST):
        n = min(LONGEST, x.size - begin)
        guess = add_all(limbs, counts, base + np.uint64(8 * begin), n, guess, room, raw, sums)
    return counts
