"""Arrays as netCDF-4 has them: each with a dimension scale along every axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

SMALL = 16 << 10
"""Arrays of fewer bytes are stored in one piece, larger ones in chunks."""

CHUNK = 64 << 10
_VALUES_AT_ONCE = 64 << 10


def scale_of_size(group: h5py.Group, name: str, size: int) -> h5py.Dataset:
    """A dimension without coordinates, as netCDF-4 writes it: its values take no space."""
    dataset = group.create_dataset(name, (size,), ">f4")
    dataset.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")
    return dataset


def scale(group: h5py.Group, name: str, size: int) -> h5py.Dataset:
    """A dimension whose coordinates are integers, to be filled in."""
    dataset = _create(group, name, (size,), np.dtype(np.int64))
    dataset.make_scale(name)
    return dataset


def array(
    group: h5py.Group,
    name: str,
    scales: Sequence[h5py.Dataset],
    dtype: Any,
    long_name: str = "",
    fill: float | None = None,
) -> h5py.Dataset:
    """An array along `scales`, to be filled in."""
    dataset = _create(group, name, tuple(s.shape[0] for s in scales), np.dtype(dtype), fill)
    for dimension, along in zip(dataset.dims, scales, strict=True):
        dimension.attach_scale(along)
    if long_name:
        dataset.attrs["long_name"] = plain(long_name)
    return dataset


def text() -> Any:
    """The type of an array of texts."""
    import h5py

    return h5py.string_dtype()


def plain(value: Any) -> Any:
    """A value that HDF5 can hold: its texts end at a NUL."""
    return value.replace("\0", "␀") if isinstance(value, str) else value


def fill(dataset: h5py.Dataset, values: NDArray[Any]) -> Iterator[None]:
    """Write `values` into `dataset`, some at a time."""
    for at in range(0, len(values), _VALUES_AT_ONCE):
        dataset[at : at + _VALUES_AT_ONCE] = values[at : at + _VALUES_AT_ONCE]
        yield


def _create(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: float | None = None,
) -> h5py.Dataset:
    row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    if dtype.kind == "O" or shape[0] * row <= SMALL:
        return group.create_dataset(name, shape, dtype, fillvalue=fill)
    chunk = (max(1, min(shape[0], CHUNK // max(1, row))), *shape[1:])
    if name == "digest" or name == "chain":
        # Digests are as good as random: packing them costs time and gains nothing.
        return group.create_dataset(name, shape, dtype, chunks=chunk)
    return group.create_dataset(
        name, shape, dtype, chunks=chunk, shuffle=dtype.itemsize > 1, compression=1, fillvalue=fill
    )
