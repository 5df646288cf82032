"""Hashes of what is in a netCDF file of a classic format, variable by variable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blake3
import numpy as np

from ..model.record import Hash
from .hashed import WINDOW, described, is_lasting, stored_bytes, told_text


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
            attributes = b"".join(_attributes(file))
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
    for attribute in _attributes(variable):
        hasher.update(attribute)
    return hasher.hexdigest()


def _attributes(item: Any) -> Iterator[bytes]:
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
