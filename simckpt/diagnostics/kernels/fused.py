"""Folds, extrema and digest of a chunk in one pass: what every field of a sample goes through.

The loop is bound by arithmetic in cache, and about as long by memory beyond it, so that neither
may wait for the other: four lanes are read side by side, of a chunk's length a page of memory each.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .folds import LANES, LONGEST, fold
from .intrinsics import floats_at, greatest, least, prefetch, widest_vectors, words_at
from .jit import kernel
from .limbs import HALF, LOW

EVEN = 8
"""A lane is a multiple of that: as many values as the widest vectors hold."""

AHEAD = 64
"""Values at the beginning of each lane that are asked for before its turn."""


@kernel
def ask(values, lane, count):
    """Prefetch `count` values of every lane of the chunk at `values`."""
    for s in range(LANES):
        begin = values + np.uint64(8 * s * lane)
        for line in range(count // 8):
            prefetch(begin + np.uint64(64 * line))


@kernel
def mix(word, key):
    """A cell's share of the digest."""
    m = word ^ key
    # The low half of what is turned round is the high one: no shift of its own.
    turned = (m << HALF) | (m >> HALF)
    p = (m & LOW) * (turned & LOW) + turned
    return (p & LOW) * (p >> HALF) + m


@kernel
def seen(v, word, key, m1, m0, high, low, lost, smallest, largest, digest):
    """What one cell makes of the accumulators so far."""
    a, b, c = fold(v, m1, m0)
    return (
        high + a,
        low + b,
        lost | c,
        least(smallest, v),
        greatest(largest, v),
        digest + mix(word, key),
    )


@kernel
def fused(values, words, keys, n, key, m1, m0, ahead, out):
    """Two folds, extrema and digest of `n` values in one pass.

    `values` and `words` are the addresses of the float64 values and of their own bits, `keys` of
    the cells' keys, to which `key` is added. The chunk that lies `ahead` chunks further on is
    prefetched. `out` receives the two raw integer sums, the OR of the rests, and the digest; least
    and greatest value are returned.
    """
    widest_vectors()
    x = floats_at(values, n)
    w = words_at(words, n)
    k = words_at(keys, n)
    high = np.uint64(0)
    low = np.uint64(0)
    lost = np.uint64(0)
    digest = np.uint64(0)
    smallest = np.inf
    largest = -np.inf
    lane = n // (LANES * EVEN) * EVEN
    # The processor itself asks for what follows in a page, but not for the next pages.
    ask(values + np.uint64(8 * LONGEST * ahead), lane, AHEAD)
    x0, w0, k0 = x[:lane], w[:lane], k[:lane]
    x1, w1, k1 = x[lane : 2 * lane], w[lane : 2 * lane], k[lane : 2 * lane]
    x2, w2, k2 = x[2 * lane : 3 * lane], w[2 * lane : 3 * lane], k[2 * lane : 3 * lane]
    x3, w3, k3 = x[3 * lane : 4 * lane], w[3 * lane : 4 * lane], k[3 * lane : 4 * lane]
    for j in range(x0.size):
        high, low, lost, smallest, largest, digest = seen(
            x0[j], w0[j], k0[j] + key, m1, m0, high, low, lost, smallest, largest, digest
        )
        high, low, lost, smallest, largest, digest = seen(
            x1[j], w1[j], k1[j] + key, m1, m0, high, low, lost, smallest, largest, digest
        )
        high, low, lost, smallest, largest, digest = seen(
            x2[j], w2[j], k2[j] + key, m1, m0, high, low, lost, smallest, largest, digest
        )
        high, low, lost, smallest, largest, digest = seen(
            x3[j], w3[j], k3[j] + key, m1, m0, high, low, lost, smallest, largest, digest
        )
    done = LANES * lane
    xs, ws, ks = x[done:], w[done:], k[done:]
    for j in range(xs.size):
        high, low, lost, smallest, largest, digest = seen(
            xs[j], ws[j], ks[j] + key, m1, m0, high, low, lost, smallest, largest, digest
        )
    out[0] = high
    out[1] = low
    out[2] = lost
    out[3] = digest
    return smallest, largest
