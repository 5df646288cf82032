"""Any values into an exact accumulator: by folds where they fit, one by one where they do not."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .folds import (
    HIGHEST,
    LONGEST,
    SPAN,
    WIDTH,
    all_finite,
    complete,
    four_folds,
    magic,
    two_folds,
)
from .intrinsics import bits, floats_at, fma, greatest, kept_apart, least, widest_vectors
from .jit import allocating_kernel, kernel
from .limbs import INFINITE, LOWEST, MAGNITUDE, deposit, deposit_float


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
