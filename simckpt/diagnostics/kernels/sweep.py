"""Everything that was declared, for one chunk of cells that lies in cache."""

# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .gather import FLOAT64, fetch, pack_keys, squeeze
from .jit import (
    bits,
    floats_at,
    greatest,
    kept_apart,
    kernel,
    least,
    next_number,
    part_of_callers,
    prefetch,
    widest_vectors,
    words_at,
)
from .program import execute, largest
from .sums import (
    HALF,
    HIGHEST,
    INFINITE,
    LANES,
    LONGEST,
    LOW,
    LOWEST,
    MAGNITUDE,
    WIDTH,
    add_all,
    add_finite,
    all_finite,
    best_low,
    clean,
    deposit,
    exact_products,
    fold,
    magic,
    normalise,
    within,
)

# Folds, extrema and digest of a chunk in one pass: what every field of a sample goes through.
#
# The loop is bound by arithmetic in cache, and about as long by memory beyond it, so that neither
# may wait for the other: four lanes are read side by side, of a chunk's length a page of memory
# each.


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
def accumulate(v, word, key, m1, m0, high, low, rests, smallest, largest, digest):
    """What one cell makes of the accumulators so far."""
    a, b, c = fold(v, m1, m0)
    return (
        high + a,
        low + b,
        rests | c,
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
    rests = np.uint64(0)
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
        high, low, rests, smallest, largest, digest = accumulate(
            x0[j], w0[j], k0[j] + key, m1, m0, high, low, rests, smallest, largest, digest
        )
        high, low, rests, smallest, largest, digest = accumulate(
            x1[j], w1[j], k1[j] + key, m1, m0, high, low, rests, smallest, largest, digest
        )
        high, low, rests, smallest, largest, digest = accumulate(
            x2[j], w2[j], k2[j] + key, m1, m0, high, low, rests, smallest, largest, digest
        )
        high, low, rests, smallest, largest, digest = accumulate(
            x3[j], w3[j], k3[j] + key, m1, m0, high, low, rests, smallest, largest, digest
        )
    done = LANES * lane
    xs, ws, ks = x[done:], w[done:], k[done:]
    for j in range(xs.size):
        high, low, rests, smallest, largest, digest = accumulate(
            xs[j], ws[j], ks[j] + key, m1, m0, high, low, rests, smallest, largest, digest
        )
    out[0] = high
    out[1] = low
    out[2] = rests
    out[3] = digest
    return smallest, largest


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
def measure_chunk(tile, n, keys, key, places, words, inputs, program, totals, work):
    """Everything that was declared, in one chunk whose views are at `places`."""
    part_of_callers()
    own = work.addresses[0]
    room = own[program.buffers]
    # A field alone comes to its next chunk before memory has delivered it.
    ahead = np.int64(2) if inputs.views.shape[0] == 1 else np.int64(1)
    for f in range(inputs.fields):
        measure_field(
            f, tile, places[f], words[f], keys, key, n, ahead, totals, room, work.raw, work.sums
        )
    if program.operations.shape[0] > 0:
        strides, here = work.addresses[3], work.addresses[4]
        execute(program.operations, places, strides, here[: program.buffers], n)
    for i in range(program.sums.shape[0]):
        values = places[program.sums[i, 0]]
        limbs = totals.sum_limbs[i]
        counts = totals.sum_counts[i]
        weight = program.sums[i, 1]
        if weight < 0:
            totals.guess[i, 0] = add_all(
                limbs, counts, values, n, totals.guess[i, 0], room, work.raw, work.sums
            )
        else:
            products = own[program.buffers + 1]
            errors = own[program.buffers + 2]
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
    for i in range(program.maxima.size):
        top, missing = largest(places[program.maxima[i]], n)
        totals.top[i] = max(totals.top[i], top)
        totals.missing[i] += missing
    totals.cells[0] += n


# One pass over a part: tile by tile, everything that was declared, from cache.


LONG_ROW = 512
"""Rows from this length on are read where they lie; shorter ones are packed into a chunk."""

CHUNKS_BETWEEN_CARRIES = 1 << 16
SPARE_BUFFERS = 3


@kernel
def carry_sums(totals):
    """Pass on the carries of the expressions' sums."""
    kept_apart()
    for i in range(totals.sum_limbs.shape[0]):
        normalise(totals.sum_limbs[i])


@kernel
def finish_tile(totals, tile):
    """Deposit what was put off, and pass on the carries of a tile's sums."""
    for f in range(totals.limbs.shape[0]):
        settle(totals.pending[f], totals.limbs[f, tile], totals.scale[f])
        normalise(totals.limbs[f, tile])


@kernel
def upcoming_rows(begin, end, cell, rows):
    """Where the rows lie that are read after `rows` rows at `cell`: in the next tile, at last."""
    i0, i1, i2, i3 = cell
    if i2 + rows < end[2]:
        return i0, i1, i2 + rows, i3
    if i1 + 1 < end[1]:
        return i0, i1 + 1, begin[2], i3
    if i0 + 1 < end[0]:
        return i0 + 1, begin[1], begin[2], i3
    return begin[0], begin[1], begin[2], end[3]


@kernel
def sweep_block(tile, begin, end, walk, inputs, program, totals, work, chunks):
    """Measure one block of a part: the cells of one tile.

    `chunks` counts those since the carries were passed on; the new count is returned.
    """
    own, places, words = work.addresses[0], work.addresses[1], work.addresses[2]
    steps = walk.steps
    run = np.uint64(work.keys[0].ctypes.data)
    packed = np.uint64(work.keys[1].ctypes.data)
    length = end[3] - begin[3]
    in_place = inputs.mask < 0 and length >= LONG_ROW
    keys = run if in_place else packed
    widest = min(length, LONGEST)
    # Rows of more than one chunk are not packed with others.
    most_rows = np.int64(1) if in_place else LONGEST // widest
    filled = np.int64(0)
    for i0 in range(begin[0], end[0]):
        for i1 in range(begin[1], end[1]):
            last_plane = i0 + 1 == end[0] and i1 + 1 == end[1]
            i2 = begin[2]
            while i2 < end[2]:
                rows = min(most_rows - filled // widest, end[2] - i2)
                row = walk.origin + i0 * steps[0] + i1 * steps[1] + i2 * steps[2]
                last_rows = last_plane and i2 + rows == end[2]
                for i3 in range(begin[3], end[3], LONGEST):
                    n = min(LONGEST, end[3] - i3)
                    cell = i0, i1, i2, i3
                    upcoming = upcoming_rows(begin, end, cell, rows)
                    key = np.uint64(row + i3 * steps[3]) * GOLDEN
                    fetch(
                        inputs.views, cell, upcoming, rows, n, filled, in_place, own, places, words
                    )
                    count = n
                    if not in_place:
                        next_row = np.uint64(steps[2]) * GOLDEN
                        pack_keys(run, key, next_row, rows, n, packed + np.uint64(8 * filled))
                        filled += rows * n
                        if filled + widest <= LONGEST and not (last_rows and i3 + n == end[3]):
                            continue
                        count = filled
                        filled = np.int64(0)
                        key = np.uint64(0)
                        if inputs.mask >= 0:
                            count = squeeze(
                                count, inputs.views.shape[0], places, words, keys, inputs.mask
                            )
                    if count > 0:
                        measure_chunk(
                            tile, count, keys, key, places, words, inputs, program, totals, work
                        )
                        chunks += 1
                i2 += rows
            if chunks > CHUNKS_BETWEEN_CARRIES:
                finish_tile(totals, tile)
                carry_sums(totals)
                chunks = np.int64(0)
    finish_tile(totals, tile)
    return chunks


@kernel
def set_up(inputs, program, work):
    """Fill the tables of addresses, and the buffers of constants.

    Behind the addresses of the program's buffers come those of three spare ones.
    """
    own, places, words = work.addresses[0], work.addresses[1], work.addresses[2]
    start = np.uint64(work.values.ctypes.data)
    for r in range(program.buffers + SPARE_BUFFERS):
        own[r] = start + np.uint64(8 * LONGEST * r)
        places[r] = own[r]
    count = inputs.views.shape[0]
    strides = work.addresses[3]
    strides[:] = 0
    strides[:count] = 8
    for i in range(program.sums.shape[0]):
        for side in range(2):
            if program.sums[i, side] >= 0:
                strides[program.sums[i, side]] = 8
    for i in range(program.maxima.size):
        strides[program.maxima[i]] = 8
    for i in range(program.constants.size):
        work.values[count + i, :] = program.constants[i]
    start = np.uint64(work.words.ctypes.data)
    for v in range(count):
        plain = inputs.views[v, 1] == FLOAT64
        words[v] = own[v] if plain else start + np.uint64(8 * LONGEST * v)


@kernel
def sweep(walk, inputs, program, totals, work, claims):
    """Measure the cells of a part, block by block.

    Threads that share a part share `claims`, an int64 [1] that begins with 0: the number of the
    next block, which whoever is free takes.
    """
    set_up(inputs, program, work)
    for j in range(LONGEST):
        work.keys[0, j] = np.uint64(j * walk.steps[3]) * GOLDEN
    begin, end = work.box[0], work.box[1]
    counter = np.uint64(claims.ctypes.data)
    claimed = next_number(counter)
    block = 0
    chunks = np.int64(0)
    for p0 in range(walk.pieces[0]):
        for p1 in range(walk.pieces[1]):
            for p2 in range(walk.pieces[2]):
                for p3 in range(walk.pieces[3]):
                    if block == claimed:
                        tile = np.int64(0)
                        for axis, p in enumerate((p0, p1, p2, p3)):
                            begin[axis] = walk.begin[axis, p]
                            end[axis] = walk.end[axis, p]
                            tile += walk.tile[axis, p]
                        chunks = sweep_block(
                            tile, begin, end, walk, inputs, program, totals, work, chunks
                        )
                        claimed = next_number(counter)
                    block += 1
    carry_sums(totals)


# What a sweep works on, as named tuples of arrays that compiled code can read.


Array = np.ndarray[Any, Any]


class Inputs(NamedTuple):
    """The views: int64 [views, 7] of address, type code, byte-swapped, strides in bytes.

    The first `fields` of them are measured themselves; view number `mask` (or -1) says which
    cells count.
    """

    views: Array
    fields: int
    mask: int


class SweepProgram(NamedTuple):
    """What to compute from the inputs.

    `operations` int64 [:, 5] act on buffers: the views, then `constants`, then results.
    `sums` int64 [:, 2] are (buffer, buffer of weights or -1); `maxima` int64 [:] are buffers.
    """

    operations: Array
    constants: Array
    buffers: int
    sums: Array
    maxima: Array


class Totals(NamedTuple):
    """Accumulators; all of them add up over parts, threads and ranks.

    Fields: `counts` int64 [fields, 3] of NaN, +Inf, -Inf, `first` int64 [fields] least linear
    index of a value that is not finite, `scale` int64 [fields] the exponent of the low fold that
    is tried first, `seeds` uint64 [fields]. Tiles: `limbs` int64 [fields, tiles, 70] the exact
    sums, `digest`, `smallest`, `largest`, `finite` (a count) [fields, tiles]. `pending` int64
    [fields, 4] is what a tile has yet to deposit. Sums: `sum_limbs`, `sum_counts`, `guess`.
    Maxima: `top`, `missing`. `cells` [1] counts the cells seen.
    """

    limbs: Array
    counts: Array
    first: Array
    scale: Array
    seeds: Array
    digest: Array
    smallest: Array
    largest: Array
    finite: Array
    pending: Array
    sum_limbs: Array
    sum_counts: Array
    guess: Array
    top: Array
    missing: Array
    cells: Array


class Workspace(NamedTuple):
    """Buffers of one chunk: float64 [buffers + 3, LONGEST], uint64 words and keys, small arrays.

    `addresses` [5, buffers or more] are where each buffer is of its own, where its values lie
    just now, where their bits do, the bytes from value to value while expressions are worked out,
    and where the values of one strip lie. `box` int64 [2, 4] is where a block begins and ends.
    """

    values: Array
    words: Array
    keys: Array
    raw: Array
    sums: Array
    addresses: Array
    box: Array
