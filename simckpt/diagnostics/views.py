"""What a driver hands over, as views that are read where they lie: next to nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import SetupError
from .devices.arrays import (
    DeviceArray,
    check_copied,
    device_array,
    kind_of,
    mend_of,
    reason_of,
    settled,
)

if TYPE_CHECKING:
    from .local_parts import Part
    from .quantities.base import Channel

READABLE = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
COMPLEX = frozenset({"c8", "c16"})
HOST = frozenset({1, 3, 11, 13})
"""DLPack's numbers for memory that the host can read: its own, pinned for a device, or managed."""

Readable: TypeAlias = NDArray[Any] | DeviceArray


def readable(value: Any, argument: str) -> Readable:
    """`value` as an array that shares its memory.

    NumPy arrays are taken as they are, others through the DLPack protocol where the host can read
    their memory; of a tensor whose conjugation or change of sign is only noted down, a copy is
    made. What lies elsewhere, or is not shared, stays as a `DeviceArray`.

    Raises
    ------
    SetupError
        If it is no array of numbers.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise SetupError(
            argument, "a masked array", "has its mask inside", mend="Give the mask as Grid.where."
        )
    if isinstance(value, np.ndarray):
        # A subclass may do otherwise: a row of a matrix has two axes.
        return value if type(value) is np.ndarray else value.view(np.ndarray)
    try:
        return _foreign(value, argument)
    except SetupError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the field is named
        problem = f"cannot be read ({reason_of(error)})"
        raise SetupError(argument, kind_of(value), problem, mend=mend_of(value)) from None


def _foreign(value: Any, argument: str) -> Readable:
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        if _answers_for_itself(value):
            problem = "does not hold its values in memory of its own"
            raise SetupError(argument, kind_of(value), problem, mend=mend_of(value))
        shared = _shared(value)
        if shared is not None:
            return shared
        there = device_array(value, argument)
        if type_name(there.dtype) in READABLE | COMPLEX:
            check_copied(there, argument)
        return there
    if hasattr(value, "__array_interface__"):
        return np.asarray(value)
    raise SetupError(argument, kind_of(value), "is not an array", mend=mend_of(value))


def _shared(value: Any) -> NDArray[Any] | None:
    try:
        if int(value.__dlpack_device__()[0]) not in HOST:
            return None
        return np.from_dlpack(settled(value))
    except (BufferError, RuntimeError, TypeError, ValueError):
        return None


def _answers_for_itself(value: Any) -> bool:
    """Whether it is a PyTorch tensor whose class does the work of its functions: masked, fake, ...

    The memory that such a tensor shares, if it has any, is not what it stands for.
    """
    for base in type(value).__mro__:
        if (base.__module__, base.__name__) == ("torch", "Tensor"):
            return type(value).__torch_dispatch__ is not base.__torch_dispatch__  # type: ignore[attr-defined]
    return False


def real_parts(name: str, array: Readable) -> Iterator[tuple[str, Readable]]:
    """`array` under its name; a complex one as ``name_re`` and ``name_im``."""
    if array.dtype.kind == "c":
        yield f"{name}_re", array.real
        yield f"{name}_im", array.imag
    else:
        yield name, array


def check_type(array: Readable, argument: str, *, complex_too: bool = False) -> None:
    """SetupError if no kernel reads numbers of this type, or of their two parts."""
    known = READABLE | COMPLEX if complex_too else READABLE
    complexes = ("complex64", "complex128") if complex_too else ()
    if type_name(array.dtype) not in known:
        raise SetupError(
            argument,
            array.dtype.name,
            "is no type of number that can be measured",
            choices=("float16", "float32", "float64", *complexes, "integers", "bool"),
        )


def check_volumes(
    volumes: NDArray[Any], argument: str, where: NDArray[np.bool_] | None = None
) -> None:
    """SetupError if the volume of a cell that counts is negative or not finite."""
    # Row by row, so that no temporary of the field's size is made.
    rows = volumes if volumes.ndim > 1 else volumes[np.newaxis]
    masks = rows if where is None else np.reshape(where, rows.shape)
    for row, mask in zip(rows, masks, strict=True):
        bad = ~(np.isfinite(row) & (row >= 0))
        if where is not None:
            bad &= mask
        if bad.any():
            value = float(row[bad][0])
            raise SetupError(argument, value, "is no volume of a cell", mend="Give zero or more.")


def type_name(dtype: np.dtype[Any]) -> str:
    """Kind and size without the byte order, such as ``"f8"``."""
    return f"{dtype.kind}{dtype.itemsize}"


# In which order the cells of a part are visited, and where in memory they lie.


PADDED_AXES = 4


@dataclass(frozen=True, eq=False)
class Walk:
    """The way through a box: its axes in the order of memory, cut at the edges of the tiles.

    `begin`, `end` and `tile`, int64 [4, most pieces], say for each axis (padded to four in
    front) where its pieces lie in the box and what they add to the tile number; `pieces` [4]
    counts them. `origin` is the linear global index of the box's first cell, and `steps` [4] are
    what one cell along each axis adds.
    """

    pieces: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    tile: NDArray[np.int64]
    origin: int
    steps: NDArray[np.int64]


def memory_order(array: NDArray[Any]) -> tuple[int, ...]:
    """The axes of `array` from the largest stride to the smallest; axes of one cell come first."""
    return tuple(
        sorted(
            range(array.ndim),
            key=lambda axis: (array.shape[axis] > 1, -abs(array.strides[axis])),
        )
    )


def plan_walk(
    start: Sequence[int],
    shape: Sequence[int],
    global_shape: Sequence[int],
    order: Sequence[int],
    edges: Sequence[Sequence[int]],
) -> Walk:
    """The way through the box at `start`, with its axes in the given order."""
    pad = PADDED_AXES - len(order)
    steps = np.zeros(PADDED_AXES, np.int64)
    cut: list[list[tuple[int, int, int]]] = [[(0, 1, 0)]] * pad
    for place, axis in enumerate(order):
        steps[pad + place] = prod(global_shape[axis + 1 :])
        stride = prod(len(e) - 1 for e in edges[axis + 1 :])
        cut.append(_pieces(edges[axis], start[axis], start[axis] + shape[axis], stride))
    table = np.zeros((3, PADDED_AXES, max(1, *map(len, cut))), np.int64)
    for axis, pieces in enumerate(cut):
        for i, piece in enumerate(pieces):
            table[:, axis, i] = piece
    return Walk(
        pieces=np.array([len(pieces) for pieces in cut], np.int64),
        begin=table[0],
        end=table[1],
        tile=table[2],
        origin=sum(s * prod(global_shape[axis + 1 :]) for axis, s in enumerate(start)),
        steps=steps,
    )


def _pieces(edges: Sequence[int], low: int, high: int, stride: int) -> list[tuple[int, int, int]]:
    """Local begin and end of each tile between two global indices, and ``tile * stride``."""
    pieces = []
    for i in range(len(edges) - 1):
        begin, end = max(edges[i], low), min(edges[i + 1], high)
        if begin < end:
            pieces.append((begin - low, end - low, i * stride))
    return pieces


def view_table(
    arrays: Sequence[NDArray[Any]], order: Sequence[int], codes: Mapping[str, int]
) -> NDArray[np.int64]:
    """For each array its address, type code, whether its bytes are swapped, and its strides."""
    views = np.zeros((len(arrays), 3 + PADDED_AXES), np.int64)
    pad = PADDED_AXES - len(order)
    for row, array in zip(views, arrays, strict=True):
        address, strides = array.__array_interface__["data"][0], array.strides
        row[:3] = address, codes[type_name(array.dtype)], not array.dtype.isnative
        row[3 + pad :] = [strides[axis] for axis in order]
    return views


# Where on this rank a field is smallest and largest.
#
# The sweep tells each tile's extrema; the cell is looked for only in the tiles that have the value,
# block by block.


BLOCK = 1 << 16
"""Cells that are compared at a time."""


class Found(NamedTuple):
    """A value, and the lowest linear global index (C order) or id of the cells that have it."""

    value: float
    cell: int


class Extremes:
    """The places of this rank's extrema.

    Parameters
    ----------
    wanted : iterable of str
        The fields to look at; others are passed over.
    """

    def __init__(self, wanted: frozenset[str] = frozenset()) -> None:
        self._wanted = wanted
        self._least: dict[tuple[str, int], Found] = {}
        self._largest: dict[tuple[str, int], Found] = {}

    def look(
        self,
        part: Part,
        channel: Channel,
        smallest: NDArray[np.float64],
        largest: NDArray[np.float64],
    ) -> None:
        """Take in one part, with its extrema in each tile of the channel."""
        if channel.field not in self._wanted:
            return
        key = channel.field, channel.space
        for best, tiles, sign in ((self._least, -smallest, -1.0), (self._largest, largest, 1.0)):
            top = float(tiles.max())
            known = best.get(key)
            if not isfinite(top) or (known is not None and sign * known.value > top):
                continue
            cell = _first_cell(part, channel, sign * top, np.flatnonzero(tiles == top))
            if known is None or sign * known.value < top or cell < known.cell:
                best[key] = Found(sign * top, cell)

    def least(self, field: str, space: int) -> Found | None:
        """The smallest finite value on this rank; None if it holds none."""
        return self._least.get((field, space))

    def largest(self, field: str, space: int) -> Found | None:
        """The largest finite value on this rank; None if it holds none."""
        return self._largest.get((field, space))


def _first_cell(part: Part, channel: Channel, value: float, tiles: NDArray[Any]) -> int:
    array = part.arrays[channel.field]
    if part.ids is not None:
        cells = [
            int(part.ids[begin : begin + BLOCK][hit].min())
            for begin in range(0, array.size, BLOCK)
            if (hit := _on_host(array[begin : begin + BLOCK]) == value).any()
        ]
    else:
        bounds = channel.field_tiles().bounds
        cells = [c for t in tiles.tolist() for c in _in_box(part, array, value, bounds(t))]
    if not cells:
        raise LookupError(f"no cell of {channel.label} has its extremum {value!r}")
    return min(cells)


def _on_host(block: Readable) -> NDArray[Any]:
    return block.copied() if isinstance(block, DeviceArray) else block


def _in_box(
    part: Part, array: Readable, value: float, bounds: tuple[tuple[int, int], ...]
) -> Iterator[int]:
    """The first cell in C order that has `value`, between these global bounds."""
    low = [max(b, s) - s for (b, _), s in zip(bounds, part.start, strict=True)]
    high = [min(e, s + n) - s for (_, e), s, n in zip(bounds, part.start, part.shape, strict=True)]
    if any(b >= e for b, e in zip(low, high, strict=True)):
        return
    rows = max(1, BLOCK // max(1, prod(e - b for b, e in zip(low[1:], high[1:], strict=True))))
    for begin in range(low[0], high[0], rows):
        block = (
            slice(begin, min(begin + rows, high[0])),
            *(slice(b, e) for b, e in zip(low[1:], high[1:], strict=True)),
        )
        hit = _on_host(array[block]) == value
        if part.where is not None:
            hit &= part.where[block]
        if hit.any():
            inside = np.unravel_index(int(hit.argmax()), hit.shape)
            corner = (begin, *low[1:])
            at = [int(i) + c + s for i, c, s in zip(inside, corner, part.start, strict=True)]
            cell = 0
            for index, cells in zip(at, part.global_shape, strict=True):
                cell = cell * cells + index
            yield cell
            return
