"""Which reader knows an object, found by the library it is of, so that nothing is imported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ..capture.files import content_hasher
from ..capture.probes import reason_of
from ..capture.redaction import redact_text
from ..capture.values import clean_text, plain
from ..model.record import canonical_json, content_hash
from ..model.transform import Column, Dataset

# What is learnt of a dataset by looking at it, and the id that its contents give it.
#
# Looking never changes a dataset: nothing lazy is computed, nothing that lies in a file is loaded
# for longer than it takes to hash it, and a dataset that is too large is described and not hashed.


LARGEST = 1 << 30
"""Bytes of values past which a dataset is described and not hashed."""

LONGEST = 10.0
"""Seconds after which hashing one dataset is given up."""

MOST_COLUMNS = 2_000
WINDOW = 8 << 20
_ITEMS = 1 << 14


class Unidentified(Exception):
    """The contents were not hashed; the message says why."""


class Digest:
    """Hashes values, so that equal ones give equal bytes on any machine.

    Parameters
    ----------
    deadline : float
        In the time of `time.monotonic`; past it, `Unidentified`.
    """

    def __init__(self, deadline: float) -> None:
        self._hasher = content_hasher()
        self._deadline = deadline

    def dataset(self, look: Look) -> None:
        """Add all values of a dataset; raises `Unidentified` if it is too large."""
        if look.nbytes > LARGEST:
            raise Unidentified(f"its {look.nbytes} bytes are more than are hashed")
        look.values(self)

    def name(self, text: str) -> None:
        """Begin the values of a column."""
        encoded = text.encode("utf-8", "surrogatepass")
        self._hasher.update(len(encoded).to_bytes(8, "little") + encoded)

    def array(self, values: NDArray[Any]) -> None:
        """Add the values of an array in C order; objects one by one."""
        if values.dtype.names is not None:
            for name in values.dtype.names:
                self.array(values[name])
            return
        if values.dtype.kind not in "biufcmMSUV":
            self._objects(values)
            return
        if values.ndim == 0:
            values = values.reshape(1)
        stored = values.dtype.newbyteorder("<")
        rows = max(1, WINDOW // max(1, values[:1].nbytes)) if len(values) else 1
        for at in range(0, len(values), rows):
            self._in_time()
            piece = np.ascontiguousarray(values[at : at + rows], dtype=stored)
            self._hasher.update(piece.reshape(-1).view(np.uint8).data if piece.nbytes else b"")

    def hexdigest(self) -> str:
        """What was added, as 64 hexadecimal digits."""
        return str(self._hasher.hexdigest())

    def _objects(self, values: NDArray[Any]) -> None:
        flat = values.ravel()
        for at in range(0, len(flat), _ITEMS):
            self._in_time()
            self._hasher.update(b"".join(_token(item) for item in flat[at : at + _ITEMS]))

    def _in_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise Unidentified(f"hashing it would take more than {LONGEST:g} s")


def _token(item: object) -> bytes:
    if isinstance(item, str):
        encoded = item.encode("utf-8", "surrogatepass")
        return b"s" + len(encoded).to_bytes(8, "little") + encoded
    encoded = canonical_json(plain(item))
    return b"j" + len(encoded).to_bytes(8, "little") + encoded


def _nothing(digest: Digest) -> None:
    """A dataset without values."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a reader of one library sees.

    Parameters
    ----------
    library : str
        The library's name.
    schema : tuple of Column
        All columns, those that label the others too.
    nbytes : int
        Size of the values, or an estimate.
    values : callable
        Adds them to a digest; raises `Unidentified` where they are not at hand.
    """

    library: str
    schema: tuple[Column, ...]
    rows: int | None = None
    columns: int | None = None
    dims: dict[str, int] = field(default_factory=dict)
    source: str = ""
    nbytes: int = 0
    values: Callable[[Digest], None] = _nothing


def dataset_of(look: Look, origin: Iterable[str] = ()) -> Dataset:
    """The dataset that was looked at, with its id.

    Parameters
    ----------
    look : Look
        What its reader saw.
    origin : iterable of str
        What its id follows from where its contents are not hashed: the transform that made it,
        and the ids of that one's sources.
    """
    described = Dataset(
        id="",
        library=look.library,
        rows=look.rows,
        columns=look.columns,
        dims=look.dims,
        schema=tuple(_cleaned(column) for column in look.schema[:MOST_COLUMNS]),
        left_out=max(0, len(look.schema) - MOST_COLUMNS),
    )
    source = redact_text(clean_text(look.source))
    facts = dict(_as_facts(described))
    digest = Digest(time.monotonic() + LONGEST)
    try:
        digest.dataset(look)
    except Exception as error:  # noqa: BLE001 - a library may raise anything over its own data
        problem = str(error) if isinstance(error, Unidentified) else reason_of(error)
        facts |= {"origin": [*origin], "source": source}
        return _identified(described, facts, source, problem)
    facts["values"] = digest.hexdigest()
    return _identified(described, facts, source, "")


def _identified(described: Dataset, facts: dict[str, Any], source: str, problem: str) -> Dataset:
    return replace(
        described,
        id=content_hash(facts),
        identified="derivation" if problem else "content",
        source=source,
        problem=problem,
    )


def _as_facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "library": dataset.library,
        "rows": dataset.rows,
        "dims": dataset.dims,
        "schema": dataset.schema,
        "left_out": dataset.left_out,
    }


def _cleaned(column: Column) -> Column:
    return Column(
        name=redact_text(clean_text(column.name)),
        dtype=clean_text(column.dtype),
        units=redact_text(clean_text(column.units)),
        dims=tuple(clean_text(d) for d in column.dims),
        role=column.role,
    )


# NumPy arrays, structured ones, and mappings of arrays by name.


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


# xarray: variables with named dimensions, read in pieces where they lie in a file.


Role = Literal["data", "coordinate"]


def look_at_labelled(data: Any) -> Look:
    """A ``DataArray``, ``Dataset`` or ``DataTree`` of xarray.

    Values that lie in a file are read in pieces of 8 MiB and not kept; values that dask would
    compute are not hashed.
    """
    found = list(_variables(data))
    return Look(
        library="xarray",
        schema=tuple(
            Column(
                name=name,
                dtype=str(variable.dtype),
                units=str(variable.attrs.get("units", "")),
                dims=tuple(f"{group}{d}" for d in variable.dims),
                role=role,
            )
            for group, name, variable, role in found
        ),
        columns=sum(role == "data" for *_, role in found),
        dims={
            f"{group}{dim}": int(n)
            for group, _, variable, _ in found
            for dim, n in variable.sizes.items()
        },
        source=str(getattr(data, "encoding", {}).get("source", "")),
        nbytes=sum(int(variable.nbytes) for _, _, variable, _ in found),
        values=lambda digest: _add(found, digest),
    )


Named = tuple[str, str, Any, Role]


def _variables(data: Any) -> Iterator[Named]:
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


def _of_dataset(data: Any, group: str) -> Iterator[Named]:
    for name in sorted(data.variables, key=str):
        role: Role = "coordinate" if name in data.coords else "data"
        yield group, f"{group}{name}", data.variables[name], role


def _add(found: list[Named], digest: Digest) -> None:
    for _, name, variable, _ in found:
        if variable.chunks is not None:
            raise Unidentified(f"{name} is lazy: its values are not computed for the record")
    for _, name, variable, _ in found:
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


# Tables of pandas, Polars, PyArrow and the others that narwhals knows.
#
# narwhals is imported only when a table was seen, and imports no library that the user has not.


UNNAMED = "index "
"""How the level of an index is called that has no name, with its number."""


def look_at_table(table: Any) -> Look:
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
        Column(
            name=str(name),
            dtype="Object" if name in objects else str(dtype),
            units=_units_tables(table, name),
        )
        for name, dtype in frame.collect_schema().items()
    )
    if isinstance(frame, narwhals.LazyFrame):
        return Look(library=library, schema=schema, columns=len(schema), values=_not_computed)
    index = _index(table)
    labels = tuple(
        Column(name=name, dtype=str(array.dtype), role="index")
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

    return Look(
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
