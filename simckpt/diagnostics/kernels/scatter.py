"""A pass over items that carry their global ids, in any order: particles.

Each item goes to the tile of its id. Sums and maxima of expressions are taken chunk by chunk as
in a sweep.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .gather import fetch
from .jit import allocating_kernel, bits, floats_at, kept_apart, kernel, words_at
from .sums import INFINITE, LONGEST, MAGNITUDE, deposit_float, normalise
from .sweep import GOLDEN, Inputs, measure_chunk, mix, set_up


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
def scatter_field(f, n, values, words, ids, tiles, totals):
    """Digest, extrema, exact sum and counts of one quantity, item by item."""
    kept_apart()
    x = floats_at(values, n)
    w = words_at(words, n)
    seed = totals.seeds[f]
    for j in range(n):
        tile = tiles[j]
        totals.digest[f, tile] += mix(w[j], np.uint64(ids[j]) * GOLDEN + seed)
        v = x[j]
        word = bits(v) & MAGNITUDE
        if word < INFINITE:
            totals.smallest[f, tile] = min(totals.smallest[f, tile], v)
            totals.largest[f, tile] = max(totals.largest[f, tile], v)
            deposit_float(totals.limbs[f, tile], v)
            totals.finite[f, tile] += 1
            continue
        totals.first[f] = min(totals.first[f], ids[j])
        if word > INFINITE:
            totals.counts[f, 0] += 1
        elif v > 0:
            totals.counts[f, 1] += 1
        else:
            totals.counts[f, 2] += 1


@allocating_kernel
def sweep_ids(ids, edges, inputs, program, totals, work):
    """Measure items whose global ids are `ids`; every view has one axis, the last."""
    set_up(inputs, program, work)
    views = inputs.views
    own, places, words = work.addresses[0], work.addresses[1], work.addresses[2]
    tiles = np.empty(LONGEST, np.int64)
    keys = np.uint64(work.keys[0].ctypes.data)
    expressions = Inputs(views, 0, -1)
    zero = np.int64(0)
    for begin in range(0, ids.size, LONGEST):
        n = min(LONGEST, ids.size - begin)
        cell, upcoming = (zero, zero, zero, begin), (zero, zero, zero, begin + n)
        fetch(views, cell, upcoming, np.int64(1), n, zero, True, own, places, words)
        here = ids[begin : begin + n]
        for j in range(n):
            tiles[j] = tile_of(here[j], edges)
        for f in range(inputs.fields):
            scatter_field(f, n, places[f], words[f], here, tiles, totals)
        measure_chunk(
            zero, n, keys, np.uint64(0), places, words, expressions, program, totals, work
        )
        if begin % (LONGEST << 10) == 0:
            carry_all(totals)
    carry_all(totals)


@kernel
def carry_all(totals):
    """Pass on the carries of every accumulator."""
    for f in range(totals.limbs.shape[0]):
        for tile in range(totals.limbs.shape[1]):
            normalise(totals.limbs[f, tile])
    for i in range(totals.sum_limbs.shape[0]):
        normalise(totals.sum_limbs[i])
