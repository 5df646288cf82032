"""What an analysis did to its data: datasets by content, and the transforms in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from .changes import ABSENT
from .record import Document, Facts, Hash, Record

Identification = Literal["content", "derivation"]


class DataColumn(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One column of a table, variable of a labelled dataset, or array.

    Parameters
    ----------
    name : str
        Unique in the dataset.
    dtype : str
        As the library calls it.
    units : str
        Empty where the data does not say.
    dims : tuple of str
        Names of its dimensions, in order; empty for a column of a table.
    role : str
        ``"index"`` or ``"coordinate"`` for what labels the others.
    """

    name: str
    dtype: str
    units: str = ""
    dims: tuple[str, ...] = ()
    role: Literal["data", "index", "coordinate"] = "data"


class Dataset(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A dataset at one point of an analysis: how large it was and what it held, never its values.

    Parameters
    ----------
    id : Hash
        Equal for datasets of equal schema and values, where `identified` is ``"content"``.
        Otherwise it follows from the transform that made it and from that one's sources.
    library : str
        ``"pandas"``, ``"polars"``, ``"pyarrow"``, ``"xarray"``, ``"numpy"``.
    rows : int or None
        None where it has none, or where counting them would compute it.
    dims : dict
        Dimension names to lengths.
    parts : int
        Ranks that hold different parts of it. `rows` are then those of all, `dims` the lengths of
        the largest part, and the id follows from those of the parts in the order of ranks.
    source : str
        The file it was opened from, if it says so.
    left_out : int
        Columns past the limit that `schema` does not list.
    problem : str
        Why it is not identified by content, or what could not be read.
    """

    id: Hash
    library: str
    identified: Identification = "content"
    rows: int | None = None
    columns: int | None = None
    dims: dict[str, int] = {}
    schema: tuple[DataColumn, ...] = ()
    source: str = ""
    parts: int = 1
    left_out: int = 0
    problem: str = ""


class SchemaChange(Record, frozen=True, kw_only=True):
    """One way in which the schema after a transform is not the one before."""

    column: str
    what: Literal["added", "removed", "dtype", "units", "dims", "role"]
    old: str = ABSENT
    new: str = ABSENT


class Transform(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One step of an analysis. `sources` and `results` are ids of datasets.

    `kind` says what was done (``"filter"``, ``"join"``, ``"resample"``), `selection` by which
    rule, and `why` for which reason; `seconds` is what the step itself took. `problem` says how it
    failed: it then has no results.
    """

    index: int
    kind: str
    name: str = ""
    selection: str = ""
    why: str = ""
    function: str = ""
    parameters: Facts = {}
    sources: tuple[Hash, ...] = ()
    results: tuple[Hash, ...] = ()
    changes: tuple[SchemaChange, ...] = ()
    seconds: float | None = None
    problem: str = ""


class TransformManifest(Document, tag="transforms", frozen=True, kw_only=True, omit_defaults=True):
    """The transforms of a stage in the order in which they were completed, and their datasets.

    `cohort` says what the stage as a whole is about; `left_out` counts transforms past the
    limit of what is kept. `ranks` took part, and `problem` says what of them is not known here.
    """

    cohort: str = ""
    datasets: tuple[Dataset, ...] = ()
    transforms: tuple[Transform, ...] = ()
    left_out: int = 0
    ranks: int = 1
    problem: str = ""

    def dataset(self, id: Hash, /) -> Dataset:  # noqa: A002 - the field's word, and positional
        """The dataset of that id; KeyError if there is none."""
        for dataset in self.datasets:
            if dataset.id == id:
                return dataset
        raise KeyError(id)


class StagePart(Record, frozen=True, kw_only=True):
    """What one rank of a stage did, in few bytes: each transform, and the data before and after.

    Of a dataset stand its id, its rows (None where it has none) and the lengths of its dimensions.
    """

    transforms: tuple[tuple[str, tuple[PartOfDataset, ...]], ...] = ()
    left_out: int = 0


PartOfDataset: TypeAlias = tuple[Hash, int | None, dict[str, int]]


def schema_diff(
    before: Iterable[DataColumn], after: Iterable[DataColumn]
) -> tuple[SchemaChange, ...]:
    """What was added, removed or made another, by column name, sorted."""
    old = _by_name(before)
    new = _by_name(after)
    changes = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            changes.append(SchemaChange(column=name, what="added", new=_column_text(new[name])))
        elif name not in new:
            changes.append(SchemaChange(column=name, what="removed", old=_column_text(old[name])))
        else:
            a, b = _attributes(old[name]), _attributes(new[name])
            changes += [
                SchemaChange(column=name, what=what, old=a[what], new=b[what])
                for what in a
                if a[what] != b[what]
            ]
    return tuple(changes)


def _by_name(columns: Iterable[DataColumn]) -> dict[str, DataColumn]:
    # In a join two sources may have a column of one name: the first is what the others joined.
    by_name: dict[str, DataColumn] = {}
    for column in columns:
        by_name.setdefault(column.name, column)
    return by_name


def _attributes(
    column: DataColumn,
) -> dict[Literal["dtype", "units", "dims", "role"], str]:
    return {
        "dtype": column.dtype,
        "units": column.units,
        "dims": ", ".join(column.dims),
        "role": column.role,
    }


def _column_text(column: DataColumn) -> str:
    dims = f"({', '.join(column.dims)})" if column.dims else ""
    return f"{column.dtype}{dims}" + (f" [{column.units}]" if column.units else "")
