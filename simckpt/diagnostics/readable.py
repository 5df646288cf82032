"""What a driver hands over, as views that are read where they lie: next to nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

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
        remote = device_array(value, argument)
        if type_name(remote.dtype) in READABLE | COMPLEX:
            check_copied(remote, argument)
        return remote
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
    types = READABLE | COMPLEX if complex_too else READABLE
    complexes = ("complex64", "complex128") if complex_too else ()
    if type_name(array.dtype) not in types:
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
