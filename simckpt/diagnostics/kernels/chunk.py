"""Everything that was declared, for one chunk of cells that lies in cache."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from .folds import (
    HIGHEST,
    SPAN,
    WIDTH,
    add_all,
    add_finite,
    all_finite,
    clean,
    exact_products,
    four_folds,
    fused,
    magic,
    two_folds,
    within,
)
from .intrinsics import bits, kept_apart, u8_at
from .jit import kernel
from .limbs import INFINITE, LOWEST, MAGNITUDE, deposit
from .program import execute, largest

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that the keys ``index * GOLDEN`` modulo 2**64 of different cells differ."""

GOLDEN_INVERSE = np.uint64(0xF1DE83E19937733D)


@kernel
def mean_of_chunk(mean, values, n, smallest, largest, q, raw, sums):
    """Add values, each rounded to a multiple of ``2**q``, to the fixed-point sum of a tile."""
    kept_apart()
    if within(smallest, largest, q + WIDTH):
        m1 = magic(q + WIDTH)
        m0 = magic(q)
        two_folds(values, n, m1, m0, raw)
        count = np.uint64(n)
        deposit(mean, np.int64(raw[0] - count * bits(m1)), WIDTH)
        deposit(mean, np.int64(raw[1] - count * bits(m0)), np.int64(0))
    elif q + SPAN <= HIGHEST + WIDTH and within(smallest, largest, q + SPAN):
        four_folds(values, n, q, sums)
        for i in range(4):
            deposit(mean, sums[i], i * WIDTH)


@kernel
def put_off(pending, at, high, low):
    """Keep the integers of two folds in halves, for many chunks, until they are deposited."""
    pending[at] += high & 0xFFFFFFFF
    pending[at + 1] += high >> 32
    pending[at + 2] += low & 0xFFFFFFFF
    pending[at + 3] += low >> 32


@kernel
def settle(totals, tile):
    """Deposit what was put off for one tile."""
    for f in range(totals.limbs.shape[0]):
        p = totals.pending[f]
        mean = totals.mean[f, tile]
        limbs = totals.limbs[f]
        offset = totals.scale[f] - LOWEST
        for half in range(2):
            shift = np.int64(32 * half)
            deposit(mean, p[half], WIDTH + shift)
            deposit(mean, p[2 + half], shift)
            deposit(limbs, p[4 + half], offset + WIDTH + shift)
            deposit(limbs, p[6 + half], offset + shift)
        p[:] = 0


@kernel
def first_cell(values, keys, key, n):
    """The least global index of a value that is not finite: not the first in every memory order."""
    x = carray(u8_at(values), n)
    k = carray(u8_at(keys), n)
    least_cell = np.int64(0x7FFFFFFFFFFFFFFF)
    for j in range(n):
        if x[j] & MAGNITUDE >= INFINITE:
            least_cell = min(least_cell, np.int64((k[j] + key) * GOLDEN_INVERSE))
    return least_cell


@kernel
def measure_field(f, tile, values, words, keys, key, n, totals, scratch, raw, sums):
    """Everything about one field in one chunk."""
    q = totals.scale[f]
    m1 = magic(q + WIDTH)
    m0 = magic(q)
    smallest, biggest = fused(values, words, keys, n, key + totals.seeds[f], m1, m0, raw)
    totals.digest[f, tile] += raw[3]
    fits = within(smallest, biggest, q + WIDTH)
    if fits and all_finite(raw[2]):
        count = np.uint64(n)
        high = np.int64(raw[0] - count * bits(m1))
        low = np.int64(raw[1] - count * bits(m0))
        exact = raw[2] << np.uint64(1) == 0
        put_off(totals.pending[f], np.int64(0), high, low)
        if exact:
            put_off(totals.pending[f], np.int64(4), high, low)
        else:
            add_finite(totals.limbs[f], values, n, smallest, biggest, sums)
        totals.finite[f, tile] += n
    else:
        smallest, biggest, finite, first = clean(values, n, scratch, totals.counts[f])
        if first >= 0:
            totals.first[f] = min(totals.first[f], first_cell(values, keys, key, n))
        if finite == 0:
            return
        totals.finite[f, tile] += finite
        add_finite(totals.limbs[f], scratch, n, smallest, biggest, sums)
        mean_of_chunk(totals.mean[f, tile], scratch, n, smallest, biggest, q, raw, sums)
    totals.smallest[f, tile] = min(totals.smallest[f, tile], smallest)
    totals.largest[f, tile] = max(totals.largest[f, tile], biggest)


@kernel
def measure_chunk(tile, n, keys, key, places, words, inputs, plan, totals, work):
    """Everything that was declared, in one chunk whose views are at `places`."""
    own = work.addresses[0]
    room = own[plan.buffers]
    for f in range(inputs.fields):
        measure_field(f, tile, places[f], words[f], keys, key, n, totals, room, work.raw, work.sums)
    if plan.operations.shape[0] > 0:
        execute(plan.operations, places, n)
    for i in range(plan.sums.shape[0]):
        values = places[plan.sums[i, 0]]
        limbs = totals.sum_limbs[i]
        counts = totals.sum_counts[i]
        weight = plan.sums[i, 1]
        if weight < 0:
            totals.guess[i, 0] = add_all(
                limbs, counts, values, n, totals.guess[i, 0], room, work.raw, work.sums
            )
        else:
            products = own[plan.buffers + 1]
            errors = own[plan.buffers + 2]
            exact_products(values, places[weight], n, products, errors)
            totals.guess[i, 0] = add_all(
                limbs, counts, products, n, totals.guess[i, 0], room, work.raw, work.sums
            )
            # What is not finite has been counted with the products.
            ignored = work.sums[4:7]
            totals.guess[i, 1] = add_all(
                limbs, ignored, errors, n, totals.guess[i, 1], room, work.raw, work.sums
            )
    for i in range(plan.maxima.size):
        top, missing = largest(places[plan.maxima[i]], n)
        totals.top[i] = max(totals.top[i], top)
        totals.missing[i] += missing
    totals.cells[0] += n
