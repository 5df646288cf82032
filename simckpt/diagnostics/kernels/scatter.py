"""A pass over items that carry their global ids, in any order: particles.

Each item goes to the tile of its id. Sums and maxima of expressions are taken chunk by chunk as
in a sweep.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from .bare import bare_inputs, bare_plan, bare_totals, bare_workspace
from .chunk import GOLDEN, measure_chunk
from .folds import LONGEST, add_all
from .intrinsics import bits, f8_at, kept_apart, u8_at
from .jit import kernel
from .limbs import (
    FRACTION,
    HALF,
    HIDDEN,
    INFINITE,
    LOW,
    LOWEST,
    MAGNITUDE,
    deposit,
    normalise,
)
from .sweep import fetch, set_up
from .tables import MEAN_LIMBS, Inputs


@kernel
def tile_of(cell, edges):
    """The tile of a global index: edges are nearly evenly spaced, so the guess is nearly right."""
    count = edges.size - 1
    tile = min(np.int64(np.float64(cell) / np.float64(edges[count]) * count), count - 1)
    while cell < edges[tile]:
        tile -= 1
    while cell >= edges[tile + 1]:
        tile += 1
    return tile


@kernel
def add_rounded(mean, x, q):
    """Add `x`, rounded to a multiple of ``2**q`` (ties to even), to a fixed-point sum."""
    word = bits(x) & MAGNITUDE
    exponent = max(np.int64(word >> np.uint64(52)), np.int64(1)) - 1 + LOWEST
    mantissa = np.int64(word & FRACTION)
    if word > FRACTION:
        mantissa |= np.int64(HIDDEN)
    offset = exponent - q
    if offset < 0:
        if offset < -54:
            return
        low = mantissa & ((np.int64(1) << -offset) - 1)
        half = np.int64(1) << (-offset - 1)
        mantissa >>= -offset
        if low > half or (low == half and mantissa & 1):
            mantissa += 1
        offset = np.int64(0)
    if offset < 32 * (MEAN_LIMBS - 3):
        deposit(mean, -mantissa if x < 0 else mantissa, offset)


@kernel
def scatter_field(f, n, values, words, ids, tiles, totals):
    """Digest, extrema, fixed-point sum and counts of one quantity, item by item."""
    kept_apart()
    x = carray(f8_at(values), n)
    w = carray(u8_at(words), n)
    seed = totals.seeds[f]
    q = totals.scale[f]
    for j in range(n):
        tile = tiles[j]
        m = w[j] ^ (np.uint64(ids[j]) * GOLDEN + seed)
        p = (m & LOW) * (m >> HALF) + ((m << HALF) | (m >> HALF))
        totals.digest[f, tile] += (p & LOW) * (p >> HALF) + m
        v = x[j]
        word = bits(v) & MAGNITUDE
        if word < INFINITE:
            totals.smallest[f, tile] = min(totals.smallest[f, tile], v)
            totals.largest[f, tile] = max(totals.largest[f, tile], v)
            add_rounded(totals.mean[f, tile], v, q)
            totals.finite[f, tile] += 1
            continue
        totals.first[f] = min(totals.first[f], ids[j])
        if word > INFINITE:
            totals.counts[f, 0] += 1
        elif v > 0:
            totals.counts[f, 1] += 1
        else:
            totals.counts[f, 2] += 1


@kernel
def sweep_ids(ids, edges, given, planned, results, buffers):
    """Measure items whose global ids are `ids`; every view has one axis, the last."""
    inputs = bare_inputs(given)
    plan = bare_plan(planned)
    totals = bare_totals(results)
    work = bare_workspace(buffers)
    set_up(inputs, plan, work)
    views = inputs.views
    own, places, words = work.addresses[0], work.addresses[1], work.addresses[2]
    tiles = np.empty(LONGEST, np.int64)
    keys = np.uint64(work.keys[0].ctypes.data)
    counts = np.zeros(3, np.int64)
    guess = np.zeros(inputs.fields, np.int64)
    room = own[plan.buffers]
    expressions = Inputs(views, 0, -1)
    zero = np.int64(0)
    for begin in range(0, ids.size, LONGEST):
        n = min(LONGEST, ids.size - begin)
        fetch(views, zero, zero, zero, begin, n, zero, True, own, places, words)
        here = ids[begin : begin + n]
        for j in range(n):
            tiles[j] = tile_of(here[j], edges)
        for f in range(inputs.fields):
            scatter_field(f, n, places[f], words[f], here, tiles, totals)
            # Counted by the scatter already.
            guess[f] = add_all(
                totals.limbs[f], counts, places[f], n, guess[f], room, work.raw, work.sums
            )
        measure_chunk(zero, n, keys, np.uint64(0), places, words, expressions, plan, totals, work)
        if begin % (LONGEST << 10) == 0:
            carry_all(totals)
    carry_all(totals)


@kernel
def carry_all(totals):
    """Pass on the carries of every accumulator."""
    for f in range(totals.limbs.shape[0]):
        normalise(totals.limbs[f])
        for tile in range(totals.mean.shape[1]):
            normalise(totals.mean[f, tile])
    for i in range(totals.sum_limbs.shape[0]):
        normalise(totals.sum_limbs[i])
