"""Any values into an exact accumulator: by folds where they fit, one by one where they do not."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .jit import (
    allocating_kernel,
    bits,
    floats_at,
    fma,
    from_bits,
    greatest,
    kept_apart,
    kernel,
    least,
    widest_vectors,
)

# Accumulators: integers of 32-bit limbs on one global grid of exponents.
#
# Limb `i` of an accumulator counts units of ``2**(32*i - 1074)``; it is an int64, so a limb has
# room for 2**29 deposits before its carry must be passed on. 70 limbs hold every finite float64
# and the sum of 2**60 of them. No deposit rounds, so order does not matter.


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


# Exact sums by folding: vectorized, without fast-math.
#
# Adding ``M = 1.5 * 2**(52+q)`` to ``|x| < 2**(51+q)`` rounds x to a multiple of ``2**q``, which
# is then the difference of the bit patterns of ``x + M`` and ``M``; the rest ``x - ((x+M) - M)`` is
# exact and at most ``2**(q-1)``. A second fold with ``q - 51`` takes the next 51 bits. The integers
# add up exactly in 64 bits over 2**11 values. The rests of the last fold are OR-ed together: no bit
# set means that nothing was lost, and also that there was no NaN and no infinity.
# (Demmel and Nguyen 2015, "Parallel reproducible summation", pre-round the same way; here nothing
# is dropped.)


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
def fold_two(v, m1, m0, high, low, rests, odd):
    """What two folds of one value make of the sums so far."""
    a, b, c = fold(v, m1, m0)
    return high + a, low + b, rests | c, odd | (a ^ bits(m1))


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
    rests = np.uint64(0)
    odd = np.uint64(0)
    done = n // (LANES * BURST) * (LANES * BURST)
    for begin in range(0, done, LANES * BURST):
        # In one page the processor looks ahead by itself; it is kept busy by four chains of sums.
        x0 = x[begin : begin + BURST]
        x1 = x[begin + BURST : begin + 2 * BURST]
        x2 = x[begin + 2 * BURST : begin + 3 * BURST]
        x3 = x[begin + 3 * BURST : begin + 4 * BURST]
        for j in range(x0.size):
            high, low, rests, odd = fold_two(x0[j], m1, m0, high, low, rests, odd)
            high, low, rests, odd = fold_two(x1[j], m1, m0, high, low, rests, odd)
            high, low, rests, odd = fold_two(x2[j], m1, m0, high, low, rests, odd)
            high, low, rests, odd = fold_two(x3[j], m1, m0, high, low, rests, odd)
    xs = x[done:]
    for j in range(xs.size):
        high, low, rests, odd = fold_two(xs[j], m1, m0, high, low, rests, odd)
    out[0] = high
    out[1] = low
    out[2] = rests
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
    rests = np.uint64(0)
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
        rests |= bits(v - (t - m0))
    count = np.uint64(n)
    out[0] = np.int64(s0 - count * bits(m0))
    out[1] = np.int64(s1 - count * bits(m1))
    out[2] = np.int64(s2 - count * bits(m2))
    out[3] = np.int64(s3 - count * bits(m3))
    return rests << np.uint64(1) == 0


@kernel
def within(smallest, largest, q1):
    """Whether values between the two fit a high fold at `q1`."""
    limit = from_bits(np.uint64(WIDTH + q1 + 1023) << np.uint64(52))
    return -limit < smallest and largest < limit


@kernel
def all_finite(rests):
    """Whether the OR of the rests shows that there was no NaN and no infinity.

    Either leaves a rest that is NaN or infinite. False may be wrong, true never.
    """
    return rests & INFINITE != INFINITE


@kernel
def complete(rests, odd):
    """Whether two folds took everything: no rest but zeros, and no value too large.

    A value of ``2**(51+q)`` or more, NaN or infinite gives the first sum another exponent or sign.
    """
    return rests << np.uint64(1) == 0 and odd >> np.uint64(52) == 0


@kernel
def extrema(values, n):
    """Least and greatest of values of which none is NaN."""
    widest_vectors()
    x = floats_at(values, n)
    smallest = np.inf
    largest = -np.inf
    for j in range(x.size):
        smallest = least(smallest, x[j])
        largest = greatest(largest, x[j])
    return smallest, largest


@kernel
def clean(values, n, into, counts):
    """Copy `n` values to `into` with zeros for what is not finite, which is counted.

    Returns the extrema of the finite values, their number, and the position of the first that is
    not finite (-1 if there is none).
    """
    kept_apart()
    x = floats_at(values, n)
    y = floats_at(into, n)
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
    x = floats_at(values, n)
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
    """``factors * weights`` as rounded products and their exact rounding errors (Ogita 2005).

    Returns the least weight, of those that are numbers.
    """
    f = floats_at(factors, n)
    w = floats_at(weights, n)
    p = floats_at(products, n)
    e = floats_at(errors, n)
    smallest = np.inf
    for j in range(f.size):
        p[j] = f[j] * w[j]
        e[j] = fma(f[j], w[j], -p[j])
        smallest = least(smallest, w[j])
    return smallest


@allocating_kernel
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
