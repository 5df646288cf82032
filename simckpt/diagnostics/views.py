"""From what a driver hands over to views that the kernels can read: nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SetupError

READABLE = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
HOST = 1
"""DLPack's number for memory of the host."""


def host_array(value: Any, argument: str) -> NDArray[Any]:
    """`value` as a NumPy array that shares its memory.

    NumPy arrays are taken as they are, others through the DLPack protocol where they lie in host
    memory.

    Raises
    ------
    SetupError
        If the memory cannot be shared.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise SetupError(
            argument, "a masked array", "has its mask inside", mend="Give the mask as Grid.where."
        )
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        if int(value.__dlpack_device__()[0]) != HOST:
            raise SetupError(
                argument,
                type(value).__name__,
                "lies in the memory of a device",
                mend="Give a copy on the host.",
            )
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise SetupError(
                argument, type(value).__name__, f"cannot be shared with NumPy: {error}"
            ) from None
    if hasattr(value, "__array_interface__"):
        return np.asarray(value)
    raise SetupError(
        argument,
        type(value).__name__,
        "is not an array",
        mend="Give a NumPy array, or one that supports DLPack.",
    )


def real_parts(name: str, array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """`array` under its name; a complex one as ``name_re`` and ``name_im``."""
    if array.dtype.kind == "c":
        yield f"{name}_re", array.real
        yield f"{name}_im", array.imag
    else:
        yield name, array


def check_type(array: NDArray[Any], argument: str) -> None:
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


def magnitude(array: NDArray[Any]) -> float:
    """The largest absolute value that is finite; 0.0 if there is none."""
    if array.size == 0:
        return 0.0
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
