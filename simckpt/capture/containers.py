"""Arrays with something around them, as the arrays that they hold: tables and sparse matrices.

No library is imported: an object of one that is not loaded cannot be there. What lies in a file,
or is not computed yet, is told by type and shape.
"""

from __future__ import annotations

import sys
from typing import Any

from ..model.record import Facts


def parts_of(value: Any) -> Facts | None:
    """The parts of a sparse matrix, labelled array or data frame; None for anything else."""
    package = str(type(value).__module__).partition(".")[0]
    read = _READERS.get((package, _kind(package, value)))
    return read(value) if read is not None else None


def _kind(package: str, value: Any) -> str:
    if package == "scipy":
        sparse: Any = sys.modules.get("scipy.sparse")
        return "sparse" if sparse is not None and sparse.issparse(value) else ""
    return type(value).__name__


def _sparse(matrix: Any) -> Facts:
    rows = matrix.tocsr() if matrix.ndim == 2 else matrix.tocoo()
    facts: Facts = {
        "format": matrix.format,
        "shape": [int(n) for n in matrix.shape],
        "stored": int(rows.nnz),
    }
    if matrix.ndim != 2:
        return facts | {"coordinates": list(rows.coords), "data": rows.data}
    if not rows.has_sorted_indices:
        rows = rows.sorted_indices()
    # The width of the indices is no choice of the user's.
    return facts | {
        "data": rows.data,
        "indices": rows.indices.astype("i8"),
        "indptr": rows.indptr.astype("i8"),
    }


def _labelled(array: Any) -> Facts:
    facts: Facts = {"dims": list(array.dims), "values": _held(array)}
    if array.name is not None:
        facts["name"] = array.name
    coordinates = {name: _held(c) for name, c in array.coords.items() if c is not array}
    return facts | ({"coords": coordinates} if coordinates else {})


def _held(array: Any) -> Any:
    if array.variable._in_memory:  # noqa: SLF001 - to ask for the values would read them
        return array.values
    return {"dtype": str(array.dtype), "shape": list(array.shape)}


def _pandas(frame: Any) -> Facts:
    # A list of pairs, since columns may share a name.
    columns = [[str(name), column.to_numpy()] for name, column in frame.items()]
    return {"index": frame.index.to_numpy(), "columns": columns}


def _polars(frame: Any) -> Facts:
    return {"columns": [[column.name, column.to_numpy()] for column in frame.get_columns()]}


def _polars_series(series: Any) -> Facts:
    return {"name": series.name, "values": series.to_numpy()}


def _arrow(table: Any) -> Facts:
    pairs = zip(table.column_names, table.columns, strict=True)
    return {"columns": [[name, column.to_numpy()] for name, column in pairs]}


_READERS = {
    ("scipy", "sparse"): _sparse,
    ("xarray", "DataArray"): _labelled,
    ("pandas", "DataFrame"): _pandas,
    ("polars", "DataFrame"): _polars,
    ("polars", "Series"): _polars_series,
    ("pyarrow", "Table"): _arrow,
}
