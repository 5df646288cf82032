"""One pass over a part: tile by tile, everything that was declared, from cache."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .chunk import GOLDEN, measure_chunk, settle
from .folds import LONGEST
from .gather import FLOAT64
from .intrinsics import kept_apart, next_number
from .jit import kernel
from .limbs import normalise
from .packing import fetch, pack_keys, squeeze

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
def sweep_block(tile, begin, end, layout, inputs, plan, totals, work, chunks):
    """Measure one block of a part: the cells of one tile.

    `chunks` counts those since the carries were passed on; the new count is returned.
    """
    own, places, words = work.addresses[0], work.addresses[1], work.addresses[2]
    steps = layout.steps
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
                row = layout.origin + i0 * steps[0] + i1 * steps[1] + i2 * steps[2]
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
                            tile, count, keys, key, places, words, inputs, plan, totals, work
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
def set_up(inputs, plan, work):
    """Fill the tables of addresses, and the buffers of constants.

    Behind the addresses of the plan's buffers come those of three spare ones.
    """
    own, places, words = work.addresses[0], work.addresses[1], work.addresses[2]
    start = np.uint64(work.values.ctypes.data)
    for r in range(plan.buffers + SPARE_BUFFERS):
        own[r] = start + np.uint64(8 * LONGEST * r)
        places[r] = own[r]
    count = inputs.views.shape[0]
    strides = work.addresses[3]
    strides[:] = 0
    strides[:count] = 8
    for i in range(plan.sums.shape[0]):
        for side in range(2):
            if plan.sums[i, side] >= 0:
                strides[plan.sums[i, side]] = 8
    for i in range(plan.maxima.size):
        strides[plan.maxima[i]] = 8
    for i in range(plan.constants.size):
        work.values[count + i, :] = plan.constants[i]
    start = np.uint64(work.words.ctypes.data)
    for v in range(count):
        plain = inputs.views[v, 1] == FLOAT64
        words[v] = own[v] if plain else start + np.uint64(8 * LONGEST * v)


@kernel
def sweep(layout, inputs, plan, totals, work, claims):
    """Measure the cells of a part, block by block.

    Threads that share a part share `claims`, an int64 [1] that begins with 0: the number of the
    next block, which whoever is free takes.
    """
    set_up(inputs, plan, work)
    for j in range(LONGEST):
        work.keys[0, j] = np.uint64(j * layout.steps[3]) * GOLDEN
    begin, end = work.box[0], work.box[1]
    counter = np.uint64(claims.ctypes.data)
    mine = next_number(counter)
    block = 0
    chunks = np.int64(0)
    for p0 in range(layout.pieces[0]):
        for p1 in range(layout.pieces[1]):
            for p2 in range(layout.pieces[2]):
                for p3 in range(layout.pieces[3]):
                    if block == mine:
                        tile = np.int64(0)
                        for axis, p in enumerate((p0, p1, p2, p3)):
                            begin[axis] = layout.begin[axis, p]
                            end[axis] = layout.end[axis, p]
                            tile += layout.tile[axis, p]
                        chunks = sweep_block(
                            tile, begin, end, layout, inputs, plan, totals, work, chunks
                        )
                        mine = next_number(counter)
                    block += 1
    carry_sums(totals)
