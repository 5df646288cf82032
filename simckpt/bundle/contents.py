"""Hashes of what is in an HDF5 or netCDF file, variable by variable.

Two files that hold the same values under the same names have the same hashes, whatever their
chunks, compression, byte order of storage, dates and library versions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import blake3
import numpy as np

from ..model.record import Hash

if TYPE_CHECKING:
    import h5py

WINDOW = 8 << 20

_VOLATILE = re.compile(
    r"""history(_.*)? | (.*_)?(date|datetime|timestamp|time_stamp|version|uuid)(_.*)?
    |   (creat(ed|ion)|modifi(ed|cation))(_.*)? | host(_?name)? | user(_?name)? | pid""",
    re.IGNORECASE | re.VERBOSE,
)

_PLUMBING = frozenset(
    (
        "CLASS",
        "NAME",
        "DIMENSION_LABELS",
        "DIMENSION_LIST",
        "REFERENCE_LIST",
        "_NCProperties",
        "_Netcdf4Coordinates",
        "_Netcdf4Dimid",
        "_nc3_strict",
    )
)
"""What HDF5 and netCDF keep as attributes for themselves."""


def content_hashes(path: str | os.PathLike[str]) -> dict[str, Hash] | None:
    """BLAKE3 of each variable of an HDF5 or netCDF-4 file.

    Parameters
    ----------
    path : str or path
        The file. It is read in pieces of 8 MiB.

    Returns
    -------
    dict or None
        Path of each variable in the file to a hash of its type, shape, values and lasting
        attributes; groups with lasting attributes under their path and a slash. None if the
        file is not HDF5.

    Raises
    ------
    OSError
        If it is HDF5 but cannot be read, for instance since it is being written.
    """
    import h5py

    if not h5py.is_hdf5(os.fspath(path)):
        return None
    with h5py.File(path, "r", locking=False) as file:
        hashes: dict[str, Hash] = {}
        for name, item in _walk(file, "", set()):
            if isinstance(item, h5py.Dataset):
                hashes[name] = _dataset(item)
            elif attributes := list(_attributes(item)):
                hashes[f"{name}/"] = blake3.blake3(b"".join(attributes)).hexdigest()
        return hashes


def _walk(group: h5py.Group, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    import h5py

    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        # A group that hard links lead back to.
        return
    seen.add(address)
    yield prefix, group
    for name in sorted(group):
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            # A soft or external link may lead out of the file, or round in a circle.
            continue
        item, path = group[name], f"{prefix}/{name}" if prefix else name
        if isinstance(item, h5py.Group):
            yield from _walk(item, path, seen)
        elif isinstance(item, h5py.Dataset):
            yield path, item


def _dataset(dataset: h5py.Dataset) -> Hash:
    hasher = blake3.blake3()
    hasher.update(f"{_type_name(dataset.dtype)} {dataset.shape}".encode())
    for piece in _pieces(dataset):
        hasher.update(_canonical(piece))
    for attribute in _attributes(dataset):
        hasher.update(attribute)
    return hasher.hexdigest()


def _pieces(dataset: h5py.Dataset) -> Iterator[Any]:
    if dataset.shape is None:
        return
    if not dataset.shape or dataset.size == 0:
        yield dataset[()]
        return
    row = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    rows = max(1, WINDOW // max(1, row))
    for start in range(0, dataset.shape[0], rows):
        yield dataset[start : start + rows]


def _attributes(item: Any) -> Iterator[bytes]:
    for name in sorted(item.attrs):
        if name not in _PLUMBING and not _VOLATILE.fullmatch(name):
            value = item.attrs[name]
            yield b"\0%b\0%b" % (name.encode(), _canonical(value))


def _canonical(value: Any) -> bytes:
    """The bytes of a value, whatever the byte order it was stored in."""
    if isinstance(value, str):
        return b"s%d:%b" % (len(value.encode()), value.encode())
    if isinstance(value, bytes):
        return b"s%d:%b" % (len(value), value)
    array = np.asarray(value)
    if array.dtype.names:
        return b"".join(_canonical(array[name]) for name in array.dtype.names)
    if array.dtype.kind == "O":
        return b"".join(_canonical(v) for v in array.ravel().tolist())
    if array.dtype.kind in "SUV":
        return array.tobytes()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _type_name(dtype: np.dtype[Any]) -> str:
    if dtype.names:
        return ",".join(f"{name}:{_type_name(dtype[name])}" for name in dtype.names)
    return f"{dtype.kind}{dtype.itemsize}"
