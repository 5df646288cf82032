"""The id that a dataset's contents give it, and what is recorded of it besides.

Reading never changes a dataset: nothing lazy is computed, nothing that lies in a file is loaded
for longer than it takes to hash it, and a dataset that is too large is described and not hashed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ..capture.artifacts import content_hasher
from ..capture.probes import reason_of
from ..capture.redaction import redact_text
from ..capture.values import clean_text, plain
from ..model.record import canonical_json, content_hash
from ..model.transform import DataColumn, Dataset

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

    def dataset(self, view: DatasetView) -> None:
        """Add all values of a dataset; raises `Unidentified` if it is too large."""
        if view.nbytes > LARGEST:
            raise Unidentified(f"its {view.nbytes} bytes are more than are hashed")
        view.values(self)

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
class DatasetView:
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
    schema: tuple[DataColumn, ...]
    rows: int | None = None
    columns: int | None = None
    dims: dict[str, int] = field(default_factory=dict)
    source: str = ""
    nbytes: int = 0
    values: Callable[[Digest], None] = _nothing


def dataset_of(view: DatasetView, origin: Iterable[str] = ()) -> Dataset:
    """The dataset that was looked at, with its id.

    Parameters
    ----------
    view : DatasetView
        What its reader saw.
    origin : iterable of str
        What its id follows from where its contents are not hashed: the transform that made it,
        and the ids of that one's sources.
    """
    described = Dataset(
        id="",
        library=view.library,
        rows=view.rows,
        columns=view.columns,
        dims=view.dims,
        schema=tuple(_cleaned(column) for column in view.schema[:MOST_COLUMNS]),
        left_out=max(0, len(view.schema) - MOST_COLUMNS),
    )
    source = redact_text(clean_text(view.source))
    facts = dict(_as_facts(described))
    digest = Digest(time.monotonic() + LONGEST)
    try:
        digest.dataset(view)
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


def _cleaned(column: DataColumn) -> DataColumn:
    return DataColumn(
        name=redact_text(clean_text(column.name)),
        dtype=clean_text(column.dtype),
        units=redact_text(clean_text(column.units)),
        dims=tuple(clean_text(d) for d in column.dims),
        role=column.role,
    )
