"""An array that lies in its file as it lies in memory, read without HDF5.

Tile digests are nearly all of a long bundle and cannot be packed. HDF5 says where their chunks
begin; the bytes are then read from the file itself, whose seal has vouched for them, with no
process and no copy in between.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

WORTH = 1 << 18
"""Bytes from which on it is worth asking where an array lies."""


class Extents:
    """The chunks of an array of rows.

    Parameters
    ----------
    handle : int
        The open file.
    places : int64 array
        Where each chunk begins.
    rows : int
        Rows in a chunk.
    width : int
        Numbers in a row, 8 bytes each.

    Raises
    ------
    ValueError
        If a chunk would not lie in the file.
    """

    def __init__(self, handle: int, places: NDArray[np.int64], rows: int, width: int) -> None:
        self._handle = handle
        self._places = places
        self._rows = rows
        self._row_bytes = 8 * width
        self._width = width
        size = os.fstat(handle).st_size
        if rows < 1:
            raise ValueError("its chunks hold no rows")
        if len(places) and (places.min() < 0 or places.max() + rows * self._row_bytes > size):
            raise ValueError("a chunk is not in the file")
        # Chunks that follow one another in the file are read in one go.
        ends = np.flatnonzero(np.diff(places) != rows * self._row_bytes)
        last = np.append(ends, len(places) - 1)
        self._last = last[np.searchsorted(last, np.arange(len(places)))]

    def read(self, start: int, count: int) -> NDArray[np.uint64]:
        """The rows `start` to ``start + count``.

        Raises
        ------
        ValueError, OSError
            If they are not there.
        """
        out = np.empty((count, self._width), "<u8")
        view = out.reshape(-1).view(np.uint8).data
        at = 0
        while at < len(view):
            chunk, row = divmod(start + at // self._row_bytes, self._rows)
            if chunk >= len(self._places):
                raise ValueError("a row is not in the file")
            rows = (int(self._last[chunk]) + 1 - chunk) * self._rows - row
            length = min(rows * self._row_bytes, len(view) - at)
            place = int(self._places[chunk]) + row * self._row_bytes
            got = os.preadv(self._handle, [view[at : at + length]], place)
            if got != length:
                raise ValueError("the file ends within a row")
            at += length
        return out
