"""Readers of datasets, one for each kind, found by an object's class so that nothing is imported.

NumPy's arrays and mappings of arrays; xarray's variables with named dimensions, read in pieces
where they lie in a file; tables of pandas, Polars, PyArrow and the others that narwhals knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..capture.probes import reason_of
from ..model.record import content_hash
from ..model.transform import DataColumn, Dataset
from .identity import WINDOW, DatasetView, Digest, Unidentified, dataset_of


def read_array(array: NDArray[Any]) -> DatasetView:
    """An array: its dimensions have no names, so they are called by their number."""
    names = array.dtype.names
    dims = {f"axis {i}": n for i, n in enumerate(array.shape)}
    if names is not None and array.ndim == 1:
        schema = tuple(DataColumn(name=name, dtype=str(array.dtype[name])) for name in names)
        return DatasetView(
            library="numpy",
            schema=schema,
            rows=len(array),
            columns=len(names),
            nbytes=array.nbytes,
            values=lambda digest: digest.array(array),
        )
    return DatasetView(
        library="numpy",
        schema=(
            DataColumn(name="values", dtype=str(array.dtype), units=_units(array), dims=(*dims,)),
        ),
        dims=dims,
        nbytes=array.nbytes,
        values=lambda digest: digest.array(np.asarray(array)),
    )


def read_mapping(arrays: Mapping[str, NDArray[Any]]) -> DatasetView:
    """Arrays by name: columns of a table where all have one axis of one length."""
    columns = {str(name): np.asarray(array) for name, array in arrays.items()}
    shapes = {array.shape for array in columns.values()}
    table = len(shapes) == 1 and all(array.ndim == 1 for array in columns.values())
    schema = tuple(
        DataColumn(
            name=name,
            dtype=str(array.dtype),
            units=_units(arrays[name]) if name in arrays else "",
            dims=() if table else tuple(str(n) for n in array.shape),
        )
        for name, array in columns.items()
    )

    def values(digest: Digest) -> None:
        for name, array in columns.items():
            digest.name(name)
            digest.array(array)

    return DatasetView(
        library="numpy",
        schema=schema,
        rows=next(iter(columns.values())).shape[0] if table else None,
        columns=len(columns),
        nbytes=sum(array.nbytes for array in columns.values()),
        values=values,
    )


def _units(array: object) -> str:
    # Of Astropy, and of Pint; both are arrays for NumPy.
    for name in ("unit", "units"):
        units = getattr(array, name, None)
        if units is not None and not callable(units):
            return str(units)
    return ""


Role = Literal["data", "coordinate"]


def read_labelled(data: Any) -> DatasetView:
    """A ``DataArray``, ``Dataset`` or ``DataTree`` of xarray.

    Values that lie in a file are read in pieces of 8 MiB and not kept; values that dask would
    compute are not hashed.
    """
    variables = list(_variables(data))
    return DatasetView(
        library="xarray",
        schema=tuple(
            DataColumn(
                name=name,
                dtype=str(variable.dtype),
                units=str(variable.attrs.get("units", "")),
                dims=tuple(f"{group}{d}" for d in variable.dims),
                role=role,
            )
            for group, name, variable, role in variables
        ),
        columns=sum(role == "data" for *_, role in variables),
        dims={
            f"{group}{dim}": int(n)
            for group, _, variable, _ in variables
            for dim, n in variable.sizes.items()
        },
        source=str(getattr(data, "encoding", {}).get("source", "")),
        nbytes=sum(int(variable.nbytes) for _, _, variable, _ in variables),
        values=lambda digest: _add(variables, digest),
    )


Variable = tuple[str, str, Any, Role]


def _variables(data: Any) -> Iterator[Variable]:
    """Prefix of its group, path, variable and role of each variable, sorted within a group."""
    kind = type(data).__name__
    if kind == "DataTree":
        for node in data.subtree:
            group = node.path.strip("/")
            yield from _of_dataset(node.to_dataset(inherit=False), f"{group}/" if group else "")
    elif hasattr(data, "data_vars"):
        yield from _of_dataset(data, "")
    else:
        for name in sorted(data.coords, key=str):
            yield "", str(name), data.coords[name].variable, "coordinate"
        yield "", str(data.name) if data.name is not None else "values", data.variable, "data"


def _of_dataset(data: Any, group: str) -> Iterator[Variable]:
    for name in sorted(data.variables, key=str):
        role: Role = "coordinate" if name in data.coords else "data"
        yield group, f"{group}{name}", data.variables[name], role


def _add(variables: list[Variable], digest: Digest) -> None:
    for _, name, variable, _ in variables:
        if variable.chunks is not None:
            raise Unidentified(f"{name} is lazy: its values are not computed for the record")
    for _, name, variable, _ in variables:
        digest.name(name)
        for piece in _pieces(variable):
            digest.array(piece.values)


def _pieces(variable: Any) -> Iterator[Any]:
    if variable.ndim == 0 or not variable.nbytes:
        # A copy, so that what is read from a file does not stay in the user's dataset.
        yield variable.copy(deep=False)
        return
    rows = max(1, WINDOW * variable.shape[0] // variable.nbytes)
    for at in range(0, variable.shape[0], rows):
        yield variable[at : at + rows]


UNNAMED = "index "
"""How the level of an index is called that has no name, with its number."""


def read_table(table: Any) -> DatasetView:
    """A data frame, lazy frame, series, or Arrow table.

    A lazy frame is described by the schema that it will have, and nothing of it is computed.
    An index of pandas counts as columns. Units are what the library keeps beside a column:
    ``frame.attrs["units"][column]`` in pandas, a field's metadata in Arrow.

    Raises
    ------
    ImportError
        Without narwhals.
    """
    narwhals: Any = import_module("narwhals")
    frame = narwhals.from_native(table, allow_series=True)
    library = type(table).__module__.partition(".")[0]
    if isinstance(frame, narwhals.Series):
        name = "" if frame.name is None else str(frame.name)
        frame = frame.alias(name or "values").to_frame()
    objects = _objects(table)
    schema = tuple(
        DataColumn(
            name=str(name),
            dtype="Object" if name in objects else str(dtype),
            units=_units_tables(table, name),
        )
        for name, dtype in frame.collect_schema().items()
    )
    if isinstance(frame, narwhals.LazyFrame):
        return DatasetView(
            library=library, schema=schema, columns=len(schema), values=_not_computed
        )
    index = _index(table)
    labels = tuple(
        DataColumn(name=name, dtype=str(array.dtype), role="index")
        for name, array in index.items()
        # What is left of a mere count of the rows after a filter is no column.
        if not (name.startswith(UNNAMED) and array.dtype.kind == "i")
    )

    def values(digest: Digest) -> None:
        for name, array in index.items():
            digest.name(name)
            digest.array(array)
        for name in frame.columns:
            column = frame.get_column(name)
            digest.name(str(name))
            # A missing value and NaN may have one form in NumPy.
            digest.array(column.is_null().to_numpy())
            digest.array(column.to_numpy())

    return DatasetView(
        library=library,
        schema=labels + schema,
        rows=len(frame),
        columns=len(schema),
        nbytes=_size(frame),
        values=values,
    )


def _objects(table: Any) -> set[Any]:
    """The columns of pandas that hold objects of any kind.

    narwhals calls them by what the rows hold at the moment, which a filter may change.
    """
    if type(table).__module__.partition(".")[0] != "pandas":
        return set()
    types = table.dtypes
    if not hasattr(types, "items"):  # a series has one
        name = getattr(table, "name", None) or "values"
        return {name} if str(getattr(table, "dtype", "")) == "object" else set()
    return {name for name, dtype in types.items() if str(dtype) == "object"}


def _not_computed(_digest: Digest) -> None:
    raise Unidentified("it is lazy: its values are not computed for the record")


def _index(table: Any) -> dict[str, Any]:
    """The levels of a pandas index, unless it only counts the rows."""
    index = getattr(table, "index", None)
    if index is None or callable(index) or not hasattr(index, "get_level_values"):
        return {}
    if type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1):
        return {}
    return {
        str(name) if name is not None else f"{UNNAMED}{i}": np.asarray(index.get_level_values(i))
        for i, name in enumerate(index.names)
    }


def _units_tables(table: Any, name: object) -> str:
    if type(table).__name__ == "Table":
        metadata = table.schema.field(name).metadata or {}
        return str(metadata.get(b"units", b"").decode("utf-8", "replace"))
    attributes = getattr(table, "attrs", None)
    units = attributes.get("units") if isinstance(attributes, dict) else None
    if isinstance(units, dict):
        return str(units.get(name, ""))
    return units if isinstance(units, str) else ""


def _size(frame: Any) -> int:
    return int(frame.estimated_size())


Reader = Callable[[Any], DatasetView]

_READERS: dict[str, tuple[frozenset[str], Reader]] = {
    "xarray": (frozenset({"DataArray", "Dataset", "DataTree"}), read_labelled),
    "pandas": (frozenset({"DataFrame", "Series"}), read_table),
    "polars": (frozenset({"DataFrame", "LazyFrame", "Series"}), read_table),
    "pyarrow": (frozenset({"Table", "ChunkedArray"}), read_table),
    "dask": (frozenset({"DataFrame"}), read_table),
    "modin": (frozenset({"DataFrame", "Series"}), read_table),
    "cudf": (frozenset({"DataFrame", "Series"}), read_table),
    "duckdb": (frozenset({"DuckDBPyRelation"}), read_table),
}
"""By top-level package, the classes that hold data; subclasses in other packages count too."""


def reader_for(thing: object) -> Reader | None:
    """The reader for an object that holds data, None for any other object."""
    if isinstance(thing, np.ndarray):
        return read_array if thing.ndim else None
    for base in type(thing).__mro__:
        classes, reader = _READERS.get(base.__module__.partition(".")[0], (frozenset(), None))
        if reader is not None and base.__name__ in classes:
            return reader
    if isinstance(thing, Mapping) and thing and type(thing).__module__ != "os":
        arrays = all(isinstance(v, np.ndarray) and v.ndim for v in thing.values())
        if arrays and all(isinstance(k, str) for k in thing):
            return read_mapping
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
