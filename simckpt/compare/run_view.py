"""What comparison needs of a run. A bundle is one; so is a few lines of test code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..model.record import Document, Hash
from ..model.series import (
    Checkpoint,
    Decomposition,
    Event,
    FieldTiles,
    Segment,
    SegmentEnd,
    SeriesSchema,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]


class SeriesView(Protocol):
    """The samples of a run, one array entry to a sample, later segments superseding earlier."""

    @property
    def schema(self) -> SeriesSchema: ...
    @property
    def step(self) -> Ints: ...
    @property
    def t(self) -> Floats: ...
    @property
    def segment(self) -> NDArray[np.integer]: ...
    @property
    def faults(self) -> NDArray[np.integer]: ...
    def __getitem__(self, name: str, /) -> Floats: ...
    def __iter__(self) -> Iterator[str]: ...


class DigestView(Protocol):
    """The tile digests of one field; ``rows(i, j)`` is uint64 ``[j - i, *tiles.shape]``."""

    @property
    def step(self) -> Ints: ...
    @property
    def tiles(self) -> FieldTiles: ...
    def rows(self, start: int, stop: int) -> Words: ...


class TileView(Protocol):
    """Statistics of one field's tiles at checkpoints, float64 ``[rows, *tiles.shape]``."""

    @property
    def step(self) -> Ints: ...
    @property
    def minimum(self) -> Floats: ...
    @property
    def maximum(self) -> Floats: ...
    @property
    def mean(self) -> Floats: ...


class SegmentView(Protocol):
    """One job attempt, what its samples mean, and how it ended (None: it was killed).

    Samples of earlier segments past `start_step` are superseded.
    """

    @property
    def segment(self) -> Segment: ...
    @property
    def schema(self) -> SeriesSchema | None: ...
    @property
    def decomposition(self) -> Decomposition | None: ...
    @property
    def end(self) -> SegmentEnd | None: ...
    @property
    def start_step(self) -> int: ...
    @property
    def resumed_from(self) -> Hash | None: ...


class RunView(Protocol):
    """One recorded run."""

    @property
    def path(self) -> object: ...
    @property
    def run_id(self) -> str: ...
    @property
    def fields(self) -> tuple[str, ...]: ...
    @property
    def checkpoints(self) -> Sequence[Checkpoint]: ...
    @property
    def segments(self) -> Sequence[SegmentView]: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def uncommitted(self) -> int: ...
    def series(self) -> SeriesView: ...
    def digests(self, field: str, /) -> DigestView: ...
    def tiles(self, field: str, /) -> TileView: ...
    def document(self, reference: Hash, /) -> Document: ...
