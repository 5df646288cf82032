"""Hashes of what is in an HDF5 or netCDF file, variable by variable.

Two files that hold the same values under the same names have the same hashes, whatever their
chunks, compression, byte order of storage, dates and library versions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blake3
import numpy as np

from ..model.record import Hash

if TYPE_CHECKING:
    import h5py

# How the variables and attributes of a file become bytes to be hashed, whatever the format.


WINDOW = 8 << 20
"""Bytes that are read at once."""

_VOLATILE = re.compile(
    r"""history(_.*)? | (.*_)?(date|datetime|timestamp|time_stamp|version|uuid)(_.*)?
    |   (creat(ed|ion)|modifi(ed|cation))(_.*)? | host(_?name)? | user(_?name)? | pid""",
    re.IGNORECASE | re.VERBOSE,
)


def is_lasting(attribute: str) -> bool:
    """Whether an attribute says something of the contents, and not of when and how it was made."""
    return not _VOLATILE.fullmatch(attribute)


def described(dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> bytes:
    """Type and shape of an array."""
    return f"{_type_name(dtype)} {shape}".encode()


def stored_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """The elements of an array in C order, the least significant byte first."""
    if array.dtype.kind in "SUV":
        return array.tobytes()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def told_text(text: bytes) -> bytes:
    """A text with its length."""
    return b"s%d:%b" % (len(text), text)


def _type_name(dtype: np.dtype[Any]) -> str:
    if dtype.names:
        return ",".join(f"{name}:{_type_name(dtype[name])}" for name in dtype.names)
    return f"{dtype.kind}{dtype.itemsize}"


# Hashes of what is in a netCDF file of a classic format, variable by variable.


def is_classic(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as those of netCDF's classic formats do."""
    with Path(path).open("rb") as file:
        return file.read(4) in (b"CDF\x01", b"CDF\x02", b"CDF\x05")


def classic_hashes(path: str | os.PathLike[str]) -> dict[str, Hash]:
    """BLAKE3 of each variable: of its type, shape, values and lasting attributes.

    Raises
    ------
    ValueError
        If the file is damaged, or the netCDF4 package is not installed.
    """
    try:
        import netCDF4
    except ImportError:
        mend = "pip install 'simckpt[netcdf]'"
        raise ValueError(f"netCDF's classic formats are read by netCDF4: {mend}") from None
    try:
        with netCDF4.Dataset(os.fspath(path)) as file:
            file.set_auto_maskandscale(False)
            file.set_auto_chartostring(False)
            hashes = {name: _variable(file[name]) for name in file.variables}
            attributes = b"".join(_attributes_classic(file))
    except (OSError, RuntimeError, UnicodeError) as problem:
        raise ValueError(f"it cannot be read as netCDF ({problem})") from problem
    if attributes:
        hashes["/"] = blake3.blake3(attributes).hexdigest()
    return hashes


def _variable(variable: Any) -> Hash:
    hasher = blake3.blake3(described(variable.dtype, variable.shape))
    if not variable.shape:
        hasher.update(stored_bytes(np.asarray(variable[...])))
    else:
        row = variable.dtype.itemsize * int(np.prod(variable.shape[1:]))
        rows = max(1, WINDOW // max(1, row))
        for start in range(0, variable.shape[0], rows):
            hasher.update(stored_bytes(np.asarray(variable[start : start + rows])))
    for attribute in _attributes_classic(variable):
        hasher.update(attribute)
    return hasher.hexdigest()


def _attributes_classic(item: Any) -> Iterator[bytes]:
    """The lasting ones, as the bytes that are hashed, by name."""
    for name in sorted(item.ncattrs()):
        if is_lasting(name):
            value = item.getncattr(name)
            if isinstance(value, str):
                told = told_text(value.encode())
            else:
                array = np.atleast_1d(value)
                told = b"%b:%b" % (described(array.dtype, array.shape), stored_bytes(array))
            yield b"\0%b\0%b" % (name.encode(), told)


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
    """BLAKE3 of each variable of an HDF5 or netCDF file, also of netCDF's classic formats.

    Parameters
    ----------
    path : str or path
        The file. It is read in pieces of 8 MiB.

    Returns
    -------
    dict or None
        Path of each variable in the file to a hash of its type, shape, values and lasting
        attributes; groups with lasting attributes under their path and a slash. None if the
        file is neither HDF5 nor netCDF.

    Raises
    ------
    OSError
        If it is HDF5 but cannot be read, for instance since it is being written.
    ValueError
        If it is netCDF of a classic format and damaged.
    """
    import h5py

    if is_classic(path):
        return classic_hashes(path)
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
    hasher.update(described(dataset.dtype, dataset.shape))
    for piece in _pieces(dataset):
        hasher.update(_canonical(piece, dataset.id))
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
        if name not in _PLUMBING and is_lasting(name):
            value = item.attrs[name]
            yield b"\0%b\0%b" % (name.encode(), _told(value, item.id))


def _canonical(value: Any, owner: Any) -> bytes:
    """The bytes of a value, whatever the byte order it was stored in."""
    array = np.asarray(value)
    if array.dtype.names:
        return b"".join(_canonical(array[name], owner) for name in array.dtype.names)
    if array.dtype.kind == "O":
        return b"".join(_told(v, owner) for v in array.ravel().tolist())
    return stored_bytes(array)


def _told(value: Any, owner: Any) -> bytes:
    """A value that stands alone or among others of other sizes: with its type and shape."""
    import h5py

    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return told_text(value)
    if isinstance(value, h5py.Empty):
        return b"empty " + described(value.dtype, None)
    if isinstance(value, h5py.Reference):
        return _reference(value, owner)
    array = np.asarray(value)
    if array.dtype.kind == "O" and not array.ndim:
        raise ValueError(f"a value of the type {type(value).__name__} cannot be hashed")
    return b"%b:%b" % (described(array.dtype, array.shape), _canonical(array, owner))


def _reference(value: Any, owner: Any) -> bytes:
    """A reference by the path of what it leads to, and for a region its selection."""
    import h5py

    if not value:
        return b"reference to nothing"
    name = h5py.h5r.get_name(value, owner) or b"(no name)"
    told = b"reference %d:%b" % (len(name), name)
    if isinstance(value, h5py.RegionReference):
        region = h5py.h5r.get_region(value, owner)
        told += f" {region.get_select_npoints()} in {region.get_select_bounds()}".encode()
    return told
