"""From any memory layout and number type into contiguous float64 values and their own bits."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .jit import (
    floats_at,
    from_bits,
    kept_apart,
    kernel,
    prefetch,
    single_from_bits,
    swap2,
    swap4,
    swap8,
    u1_at,
    u2_at,
    u4_at,
    u8_at,
    widest_vectors,
    words_at,
)

FLOAT64, FLOAT32, FLOAT16 = 0, 1, 2
INT64, INT32, INT16, INT8 = 3, 4, 5, 6
UINT64, UINT32, UINT16, UINT8 = 7, 8, 9, 10

CODES = {
    "f8": FLOAT64, "f4": FLOAT32, "f2": FLOAT16,
    "i8": INT64, "i4": INT32, "i2": INT16, "i1": INT8,
    "u8": UINT64, "u4": UINT32, "u2": UINT16, "u1": UINT8, "b1": UINT8,
}  # fmt: skip


@kernel
def half_value(word):
    """The float16 with these bits, as float64 (exact)."""
    fraction = np.float64(np.int64(word & np.uint64(0x3FF)))
    exponent = np.int64((word >> np.uint64(10)) & np.uint64(0x1F))
    if exponent == 31:
        size = np.inf if fraction == 0 else np.nan
    elif exponent == 0:
        size = fraction * 2.0**-24
    else:
        size = np.ldexp(1024.0 + fraction, exponent - 25)
    return -size if word >> np.uint64(15) else size


@kernel
def value_of(word, code):
    """The number whose bits are `word`, as float64."""
    if code == FLOAT64:
        return from_bits(word)
    if code == FLOAT32:
        return single_from_bits(word)
    if code == FLOAT16:
        return half_value(word)
    if code == INT64:
        return np.float64(np.int64(word))
    if code == INT32:
        return np.float64(np.int32(word))
    if code == INT16:
        return np.float64(np.int16(word))
    if code == INT8:
        return np.float64(np.int8(word))
    return np.float64(word)


@kernel
def read_words(address, stride, n, code, swapped, words):  # noqa: C901 - one branch for each width
    """The bits of `n` items `stride` bytes apart, widened with zeros."""
    kept_apart()
    out = words_at(words, n)
    step = np.uint64(stride)
    if code in (FLOAT64, INT64, UINT64):
        for j in range(n):
            out[j] = u8_at(address + np.uint64(j) * step)[0]
        if swapped:
            for j in range(n):
                out[j] = swap8(out[j])
    elif code in (FLOAT32, INT32, UINT32):
        for j in range(n):
            out[j] = u4_at(address + np.uint64(j) * step)[0]
        if swapped:
            for j in range(n):
                out[j] = swap4(out[j])
    elif code in (FLOAT16, INT16, UINT16):
        for j in range(n):
            out[j] = u2_at(address + np.uint64(j) * step)[0]
        if swapped:
            for j in range(n):
                out[j] = swap2(out[j])
    else:
        for j in range(n):
            out[j] = u1_at(address + np.uint64(j) * step)[0]


@kernel
def ask_row(address, stride, n):
    """Prefetch a row of `n` items; those far apart are not worth it."""
    if 0 < stride <= np.int64(8):
        for line in range((n * stride + 63) >> 6):
            prefetch(address + np.uint64(line << 6))


@kernel
def copy_rows(address, next_row, rows, n, ahead, values):
    """`rows` rows of `n` float64 that lie side by side, packed; `ahead` is as in `read_rows`."""
    widest_vectors()
    for _ in range(rows):
        ask_row(address + ahead, np.int64(8), n)
        source = floats_at(address, n)
        into = floats_at(values, n)
        for j in range(source.size):
            into[j] = source[j]
        address += next_row
        values += np.uint64(8 * n)


@kernel
def read_row(address, stride, n, code, swapped, values, words):
    """`n` items as float64 at `values`; unless they are float64, their bits at `words`."""
    kept_apart()
    if code == FLOAT64:
        read_words(address, stride, n, code, swapped, values)
        return
    read_words(address, stride, n, code, swapped, words)
    raw = words_at(words, n)
    into = floats_at(values, n)
    if code == FLOAT32:
        for j in range(raw.size):
            into[j] = single_from_bits(raw[j])
    else:
        for j in range(raw.size):
            into[j] = value_of(raw[j], code)


@kernel
def read_rows(address, next_row, rows, ahead, stride, n, code, swapped, values, words):
    """`rows` rows of `n` items, packed, as `read_row` has them.

    Rows begin `next_row` bytes apart. What lies `ahead` bytes further is prefetched: other tiles'
    cells lie between one chunk and the next, so the processor cannot foresee it.
    """
    kept_apart()
    if code == FLOAT64 and stride == 8 and not swapped:
        copy_rows(address, next_row, rows, n, ahead, values)
        return
    past = np.uint64(8 * n)
    for _ in range(rows):
        ask_row(address + ahead, stride, n)
        read_row(address, stride, n, code, swapped, values, words)
        address += next_row
        values += past
        words += past


__all__ = ["CODES", "FLOAT64", "read_rows"]


# A chunk of cells: of every view as many rows of a tile as fit, packed or where they lie.


@kernel
def offset_of(views, v, cell):
    """The bytes from the first cell of view `v` to the cell with these four local indices."""
    i0, i1, i2, i3 = cell
    return i0 * views[v, 3] + i1 * views[v, 4] + i2 * views[v, 5] + i3 * views[v, 6]


@kernel
def fetch(views, cell, upcoming, rows, n, filled, in_place, own, places, words):
    """Make `rows` rows of `n` cells of every view available, behind `filled` other cells.

    They begin at the local indices `cell`; those that will be asked for next at `upcoming`.
    Float64 values that lie side by side are left where they are if `in_place`.
    """
    kept_apart()
    past = np.uint64(8 * filled)
    for v in range(views.shape[0]):
        offset = offset_of(views, v, cell)
        address = np.uint64(views[v, 0] + offset)
        plain = views[v, 1] == FLOAT64
        if in_place and plain and views[v, 6] == 8 and views[v, 2] == 0:
            places[v] = address
            words[v] = address
            continue
        places[v] = own[v]
        if plain:
            words[v] = own[v]
        ahead = np.uint64(offset_of(views, v, upcoming) - offset)
        into, bits_into = own[v] + past, words[v] + past
        next_row, stride, code, swapped = views[v, 5], views[v, 6], views[v, 1], views[v, 2]
        read_rows(
            address, np.uint64(next_row), rows, ahead, stride, n, code, swapped, into, bits_into
        )


@kernel
def pack_keys(run, key, next_row, rows, n, into):
    """The keys of `rows` rows of cells, from those of a `run` that begins with 0."""
    widest_vectors()
    for _ in range(rows):
        source = words_at(run, n)
        out = words_at(into, n)
        for j in range(source.size):
            out[j] = key + source[j]
        key += next_row
        into += np.uint64(8 * n)


@kernel
def squeeze(n, views, places, words, keys, mask):
    """Drop the masked cells of a gathered chunk; returns how many are left."""
    counts = words_at(places[mask], n)
    k = words_at(keys, n)
    count = np.int64(0)
    for v in range(views + 1):
        if v == mask:
            continue
        same = v == views or words[v] == places[v]
        x = k if v == views else words_at(places[v], n)
        w = x if same else words_at(words[v], n)
        count = np.int64(0)
        for j in range(n):
            # The mask is 0.0 or 1.0, so its bits tell.
            if counts[j] != 0:
                x[count] = x[j]
                if not same:
                    w[count] = w[j]
                count += 1
    return count
