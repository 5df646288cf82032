"""Samples, and the schema that says what their numbers mean.

A sample is one row of diagnostics: a row of float64 values, one to a column of the
`SeriesSchema`, and a row of uint64 tile digests, field after field. Both are kept as
little-endian bytes, so that a sample has one encoding and therefore one hash.
"""

from __future__ import annotations

from math import prod
from typing import Literal

from msgspec import UNSET, UnsetType

from .record import Document, Record

ColumnKind = Literal[
    "conserved",
    "budget",
    "minimum",
    "maximum",
    "location",
    "count",
    "stability",
    "norm",
    "residual",
    "scalar",
    "custom",
]


class Column(Record, frozen=True, kw_only=True):
    """One quantity of a sample.

    Parameters
    ----------
    name : str
        Unique in the schema: ``"mass"``, ``"rho.min"``, ``"rho.nan"``, ``"courant"``.
    kind : str
        What it measures; comparison and reports group by it.
    of : str
        The field or expression it is computed from.
    exact : bool
        The value is correctly rounded and independent of the decomposition, so that any
        difference between two runs is a difference of their states.
    note : str
        Formula, convention, or why the value cannot be exact.
    limit : float or None
        The largest that the value may be, as the user declared it.
    measure : float, optional
        Of an integral over the cells, that of one: the volume of the cells that count in the
        first sample of the job attempt, or their number where plain values are added up, to 12
        digits. Left out where it is not known.
    """

    name: str
    kind: ColumnKind
    of: str = ""
    exact: bool = True
    monotone: Literal["", "increasing", "decreasing"] = ""
    note: str = ""
    limit: float | None = None
    measure: float | UnsetType = UNSET


class FieldTiles(Record, frozen=True, kw_only=True):
    """How the global index space of one field is cut into tiles.

    `edges[axis]` has one more entry than there are tiles along that axis; tile ``(i, j)`` holds
    the global indices ``edges[0][i]:edges[0][i+1], edges[1][j]:edges[1][j+1]``. Fields of
    particles and unstructured cells have one axis, that of the global ids.
    """

    field: str
    dtype: str
    global_shape: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Tiles along each axis."""
        return tuple(len(e) - 1 for e in self.edges)

    @property
    def size(self) -> int:
        """Tiles in all."""
        return prod(self.shape)

    def bounds(self, tile: int) -> tuple[tuple[int, int], ...]:
        """The half-open global index range of tile number `tile` (C order), axis by axis."""
        index: list[int] = []
        for n in reversed(self.shape):
            tile, i = divmod(tile, n)
            index.append(i)
        return tuple((e[i], e[i + 1]) for e, i in zip(self.edges, reversed(index), strict=True))


class SeriesSchema(Document, tag="series_schema", frozen=True, kw_only=True):
    """The columns and the tiles of a segment's samples, in the order of their bytes."""

    columns: tuple[Column, ...]
    tiles: tuple[FieldTiles, ...] = ()

    @property
    def digests(self) -> int:
        """Digests in a sample."""
        return sum(t.size for t in self.tiles)

    def column(self, name: str) -> int:
        """Position of the column `name`; KeyError if there is none."""
        for i, column in enumerate(self.columns):
            if column.name == name:
                return i
        raise KeyError(name)


class Sample(Record, array_like=True, frozen=True, kw_only=True):
    """One row of diagnostics.

    Parameters
    ----------
    step : int
        The driver's step number after which it was taken; 0 is the initial condition.
    t : float
        Simulated time (NaN where the driver gives none).
    wall : float
        Seconds since the epoch, on rank 0.
    values : bytes
        float64, little-endian, one to a column of the schema; NaN where a diagnostic failed.
    digests : bytes
        uint64, little-endian, the tiles of each field in schema order, C order within a field.
    faults : int
        Ranks' diagnostics that failed in this sample; 0 is a sound sample.
    """

    step: int
    t: float
    wall: float
    values: bytes
    digests: bytes = b""
    faults: int = 0


class TileRow(Record, array_like=True, frozen=True, kw_only=True):
    """Statistics of the tiles of one field at one sample: written at checkpoints.

    `minimum`, `maximum` and `mean` are float64, little-endian, C order over the tiles; a tile
    without a finite value has NaN in all three. `mean` does not depend on the decomposition
    and is good to 1e-10 of the field's scale.
    """

    step: int
    field: str
    minimum: bytes
    maximum: bytes
    mean: bytes
