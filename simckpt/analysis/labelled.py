"""xarray: variables with named dimensions, read in pieces where they lie in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from ..model.transform import Column
from .looking import WINDOW, Digest, Look, Unidentified

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
