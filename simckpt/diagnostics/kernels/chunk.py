"""Everything that was declared, for one chunk of cells that lies in cache."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .adding import add_all, add_finite, best_low, clean, exact_products
from .folds import HIGHEST, WIDTH, all_finite, magic, within
from .fused import fused
from .intrinsics import bits, kept_apart, part_of_callers, words_at
from .jit import kernel
from .limbs import INFINITE, LOWEST, MAGNITUDE, deposit
from .program import execute, largest

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that the keys ``index * GOLDEN`` modulo 2**64 of different cells differ."""

ROOM = np.int64(12)
"""Binades by which values may outgrow a chunk before they need other folds."""

GOLDEN_INVERSE = np.uint64(0xF1DE83E19937733D)


@kernel
def put_off(pending, high, low):
    """Keep the integers of two folds in halves, for many chunks, until they are deposited."""
    pending[0] += high & 0xFFFFFFFF
    pending[1] += high >> 32
    pending[2] += low & 0xFFFFFFFF
    pending[3] += low >> 32


@kernel
def settle(pending, limbs, q):
    """Deposit what was put off, of folds whose lower one is at `q`."""
    for half in range(2):
        shift = np.int64(32 * half)
        deposit(limbs, pending[half], q - LOWEST + WIDTH + shift)
        deposit(limbs, pending[2 + half], q - LOWEST + shift)
    pending[:] = 0


@kernel
def add_apart(f, limbs, values, n, smallest, largest, totals, sums):
    """Add finite values that the folds tried first do not hold, and try others from then on."""
    kept_apart()
    add_finite(limbs, values, n, smallest, largest, sums)
    q = min(best_low(smallest, largest, WIDTH, ROOM), HIGHEST)
    if q != totals.scale[f]:
        settle(totals.pending[f], limbs, totals.scale[f])
        totals.scale[f] = q


@kernel
def first_cell(values, keys, key, n):
    """The least global index of a value that is not finite: not the first in every memory order."""
    x = words_at(values, n)
    k = words_at(keys, n)
    least_cell = np.int64(0x7FFFFFFFFFFFFFFF)
    for j in range(n):
        if x[j] & MAGNITUDE >= INFINITE:
            least_cell = min(least_cell, np.int64((k[j] + key) * GOLDEN_INVERSE))
    return least_cell


@kernel
def measure_field(f, tile, values, words, keys, key, n, ahead, totals, scratch, raw, sums):
    """Everything about one field in one chunk."""
    part_of_callers()
    q = totals.scale[f]
    m1 = magic(q + WIDTH)
    m0 = magic(q)
    smallest, biggest = fused(values, words, keys, n, key + totals.seeds[f], m1, m0, ahead, raw)
    totals.digest[f, tile] += raw[3]
    limbs = totals.limbs[f, tile]
    fits = within(smallest, biggest, q + WIDTH)
    if fits and all_finite(raw[2]):
        if raw[2] << np.uint64(1) == 0:
            count = np.uint64(n)
            high = np.int64(raw[0] - count * bits(m1))
            put_off(totals.pending[f], high, np.int64(raw[1] - count * bits(m0)))
        else:
            add_apart(f, limbs, values, n, smallest, biggest, totals, sums)
        totals.finite[f, tile] += n
    else:
        smallest, biggest, finite, first = clean(values, n, scratch, totals.counts[f])
        if first >= 0:
            totals.first[f] = min(totals.first[f], first_cell(values, keys, key, n))
        if finite == 0:
            return
        totals.finite[f, tile] += finite
        add_apart(f, limbs, scratch, n, smallest, biggest, totals, sums)
    totals.smallest[f, tile] = min(totals.smallest[f, tile], smallest)
    totals.largest[f, tile] = max(totals.largest[f, tile], biggest)


@kernel
def measure_chunk(tile, n, keys, key, places, words, inputs, plan, totals, work):
    """Everything that was declared, in one chunk whose views are at `places`."""
    part_of_callers()
    own = work.addresses[0]
    room = own[plan.buffers]
    # A field alone comes to its next chunk before memory has delivered it.
    ahead = np.int64(2) if inputs.views.shape[0] == 1 else np.int64(1)
    for f in range(inputs.fields):
        measure_field(
            f, tile, places[f], words[f], keys, key, n, ahead, totals, room, work.raw, work.sums
        )
    if plan.operations.shape[0] > 0:
        strides, here = work.addresses[3], work.addresses[4]
        execute(plan.operations, places, strides, here[: plan.buffers], n)
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
            if exact_products(values, places[weight], n, products, errors) < 0.0:
                # There is no such volume: the sum is none either.
                counts[0] += 1
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
