"""Tables of pandas, Polars, PyArrow and the others that narwhals knows.

narwhals is imported only when a table was seen, and imports no library that the user has not.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..model.transform import Column
from .looking import Digest, Look, Unidentified

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
            units=_units(table, name),
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


def _units(table: Any, name: object) -> str:
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
