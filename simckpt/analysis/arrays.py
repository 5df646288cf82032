"""NumPy arrays, structured ones, and mappings of arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.transform import Column
from .looking import Digest, Look


def look_at_array(array: NDArray[Any]) -> Look:
    """An array: its dimensions have no names, so they are called by their number."""
    names = array.dtype.names
    dims = {f"axis {i}": n for i, n in enumerate(array.shape)}
    if names is not None and array.ndim == 1:
        schema = tuple(Column(name=name, dtype=str(array.dtype[name])) for name in names)
        return Look(
            library="numpy",
            schema=schema,
            rows=len(array),
            columns=len(names),
            nbytes=array.nbytes,
            values=lambda digest: digest.array(array),
        )
    return Look(
        library="numpy",
        schema=(Column(name="values", dtype=str(array.dtype), units=_units(array), dims=(*dims,)),),
        dims=dims,
        nbytes=array.nbytes,
        values=lambda digest: digest.array(np.asarray(array)),
    )


def look_at_mapping(arrays: Mapping[str, NDArray[Any]]) -> Look:
    """Arrays by name: columns of a table where all have one axis of one length."""
    named = {str(name): np.asarray(array) for name, array in arrays.items()}
    shapes = {array.shape for array in named.values()}
    table = len(shapes) == 1 and all(array.ndim == 1 for array in named.values())
    schema = tuple(
        Column(
            name=name,
            dtype=str(array.dtype),
            units=_units(arrays[name]) if name in arrays else "",
            dims=() if table else tuple(str(n) for n in array.shape),
        )
        for name, array in named.items()
    )

    def values(digest: Digest) -> None:
        for name, array in named.items():
            digest.name(name)
            digest.array(array)

    return Look(
        library="numpy",
        schema=schema,
        rows=next(iter(named.values())).shape[0] if table else None,
        columns=len(named),
        nbytes=sum(array.nbytes for array in named.values()),
        values=values,
    )


def _units(array: object) -> str:
    # Of Astropy, and of Pint; both are arrays for NumPy.
    for name in ("unit", "units"):
        found = getattr(array, name, None)
        if found is not None and not callable(found):
            return str(found)
    return ""
