"""A chunk of cells: of every view as many rows of a tile as fit, packed or where they lie."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .gather import FLOAT64, read_rows
from .intrinsics import kept_apart, widest_vectors, words_at
from .jit import kernel


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
    left = np.int64(0)
    for v in range(views + 1):
        if v == mask:
            continue
        same = v == views or words[v] == places[v]
        x = k if v == views else words_at(places[v], n)
        w = x if same else words_at(words[v], n)
        left = np.int64(0)
        for j in range(n):
            # The mask is 0.0 or 1.0, so its bits tell.
            if counts[j] != 0:
                x[left] = x[j]
                if not same:
                    w[left] = w[j]
                left += 1
    return left
