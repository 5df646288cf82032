"""From what a driver hands over to views that can be read where they lie: nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import SetupError
from .devices import DeviceArray, blocks, device_array

READABLE = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
HOST = frozenset({1, 3, 11, 13})
"""DLPack's numbers for memory that the host can read: its own, pinned for a device, or managed."""

Readable: TypeAlias = NDArray[Any] | DeviceArray


def readable(value: Any, argument: str) -> Readable:
    """`value` as an array that shares its memory.

    NumPy arrays are taken as they are, others through the DLPack protocol where the host can read
    their memory. What lies elsewhere, or is not shared, stays as a `DeviceArray`.

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
        return value
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        shared = _shared(value)
        return device_array(value, argument) if shared is None else shared
    if hasattr(value, "__array_interface__"):
        return np.asarray(value)
    raise SetupError(
        argument,
        type(value).__name__,
        "is not an array",
        mend="Give a NumPy array, or one that supports DLPack.",
    )


def _shared(value: Any) -> NDArray[Any] | None:
    # A tensor that records gradients refuses to be shared; its values are the same without them.
    value = value.detach() if getattr(value, "requires_grad", False) else value
    try:
        if int(value.__dlpack_device__()[0]) not in HOST:
            return None
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError):
        return None


def real_parts(name: str, array: Readable) -> Iterator[tuple[str, Readable]]:
    """`array` under its name; a complex one as ``name_re`` and ``name_im``."""
    if array.dtype.kind == "c":
        yield f"{name}_re", array.real
        yield f"{name}_im", array.imag
    else:
        yield name, array


def check_type(array: Readable, argument: str) -> None:
    """SetupError if no kernel reads numbers of this type."""
    if type_name(array.dtype) not in READABLE:
        raise SetupError(
            argument,
            array.dtype.name,
            "is no type of number that can be measured",
            choices=(
                "float16",
                "float32",
                "float64",
                "complex64",
                "complex128",
                "integers",
                "bool",
            ),
        )


def type_name(dtype: np.dtype[Any]) -> str:
    """Kind and size without the byte order, such as ``"f8"``."""
    return f"{dtype.kind}{dtype.itemsize}"


def magnitude(array: Readable) -> float:
    """The largest absolute value that is finite; 0.0 if there is none."""
    if array.size == 0:
        return 0.0
    if isinstance(array, DeviceArray):
        return max(magnitude(block.copied()) for block in blocks(array))
    if array.dtype.kind == "b":
        return 1.0
    size = _reach(array)
    if not np.isfinite(size):
        # Row by row, so that no temporary of the field's size is made.
        rows = array if array.ndim > 1 else array[np.newaxis]
        size = max((_reach(row[np.isfinite(row)]) for row in rows), default=0.0)
    return size


def _reach(array: NDArray[Any]) -> float:
    if array.size == 0:
        return 0.0
    high = float(np.fmax.reduce(array, axis=None))
    low = float(np.fmin.reduce(array, axis=None))
    sizes = [abs(x) for x in (high, low) if x == x]
    return max(sizes, default=0.0)
