"""Which reader knows an object, found by the library it is of, so that nothing is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..capture.probes import reason_of
from ..model.record import content_hash
from ..model.transform import Dataset
from .arrays import look_at_array, look_at_mapping
from .labelled import look_at_labelled
from .looking import Look, dataset_of
from .tables import look_at_table

Reader = Callable[[Any], Look]

_READERS: dict[str, tuple[frozenset[str], Reader]] = {
    "xarray": (frozenset({"DataArray", "Dataset", "DataTree"}), look_at_labelled),
    "pandas": (frozenset({"DataFrame", "Series"}), look_at_table),
    "polars": (frozenset({"DataFrame", "LazyFrame", "Series"}), look_at_table),
    "pyarrow": (frozenset({"Table", "ChunkedArray"}), look_at_table),
    "dask": (frozenset({"DataFrame"}), look_at_table),
    "modin": (frozenset({"DataFrame", "Series"}), look_at_table),
    "cudf": (frozenset({"DataFrame", "Series"}), look_at_table),
    "duckdb": (frozenset({"DuckDBPyRelation"}), look_at_table),
}
"""By top-level package, the classes that hold data; subclasses in other packages count too."""


def reader_for(thing: object) -> Reader | None:
    """The reader for an object that holds data, None for any other object."""
    if isinstance(thing, np.ndarray):
        return look_at_array if thing.ndim else None
    for base in type(thing).__mro__:
        classes, reader = _READERS.get(base.__module__.partition(".")[0], (frozenset(), None))
        if reader is not None and base.__name__ in classes:
            return reader
    if isinstance(thing, Mapping) and thing and type(thing).__module__ != "os":
        arrays = all(isinstance(v, np.ndarray) and v.ndim for v in thing.values())
        if arrays and all(isinstance(k, str) for k in thing):
            return look_at_mapping
    return None


def is_dataset(thing: object) -> bool:
    """Whether an object holds data that a transform can be described by."""
    return reader_for(thing) is not None


def identify(thing: object, origin: Iterable[str] = ()) -> Dataset:
    """The dataset that `thing` is; never raises.

    `origin` is what its id follows from where its contents cannot be hashed.
    """
    reader = reader_for(thing)
    library = type(thing).__module__.partition(".")[0]
    if reader is None:
        return _opaque(library, origin, f"a {type(thing).__name__} is no dataset that is known")
    try:
        return dataset_of(reader(thing), origin)
    except ImportError as error:
        problem = f"{reason_of(error)}: pip install 'simckpt[analysis]' describes its columns"
        return _opaque(library, origin, problem, thing)
    except Exception as error:  # noqa: BLE001 - a library may raise anything over its own data
        return _opaque(library, origin, reason_of(error), thing)


def _opaque(library: str, origin: Iterable[str], problem: str, thing: object = None) -> Dataset:
    shape = getattr(thing, "shape", None)
    plain = isinstance(shape, tuple) and all(isinstance(n, int) for n in shape)
    rows, columns = shape if plain and shape is not None and len(shape) == 2 else (None, None)
    return Dataset(
        id=content_hash({"library": library, "rows": rows, "origin": [*origin]}),
        library=library,
        identified="derivation",
        rows=rows,
        columns=columns,
        problem=problem,
    )
