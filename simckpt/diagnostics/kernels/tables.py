"""What a sweep works on, as named tuples of arrays that compiled code can read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Layout(NamedTuple):
    """Where a part lies. Axes are in the order of its memory, padded to four in front.

    `begin`, `end` and `tile`, all int64 [4, most pieces]: the pieces into which tile edges cut
    each axis of the part, in local indices, and what each adds to the tile number; `pieces` [4]
    their count. The cell at local index 0 has the linear global index `origin`, and `steps` [4]
    are what one cell along each axis adds.
    """

    pieces: Array
    begin: Array
    end: Array
    tile: Array
    origin: int
    steps: Array


class Inputs(NamedTuple):
    """The views: int64 [views, 7] of address, type code, byte-swapped, strides in bytes.

    The first `fields` of them are measured themselves; view number `mask` (or -1) says which
    cells count.
    """

    views: Array
    fields: int
    mask: int


class Plan(NamedTuple):
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
