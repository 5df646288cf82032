"""Journal records held in memory, with the face of a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from simckpt import Intent
from simckpt.model.changes import SpecDiff, Specification
from simckpt.model.documents import Circumstances, Environment, Manifest, Packages, RandomState
from simckpt.model.numerics import NumericalSettings
from simckpt.model.record import Document
from simckpt.model.series import (
    Checkpoint,
    Decomposition,
    Event,
    FieldTiles,
    JournalRecord,
    RunOpened,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    StoredDocument,
    TileRow,
)

_KINDS: tuple[type[Document], ...] = (
    Manifest,
    Packages,
    RandomState,
    Specification,
    SpecDiff,
    Environment,
    Circumstances,
    Intent,
    NumericalSettings,
    Decomposition,
    SeriesSchema,
)


class TwinSeries:
    def __init__(self, schema: SeriesSchema, samples: list[tuple[Sample, int]]) -> None:
        self.schema = schema
        self.step = np.array([s.step for s, _ in samples], dtype=np.int64)
        self.t = np.array([s.t for s, _ in samples])
        self.faults = np.array([s.faults for s, _ in samples], dtype=np.int64)
        self.segment = np.array([g for _, g in samples], dtype=np.int64)
        self._values = np.array([np.frombuffer(s.values, "<f8") for s, _ in samples])

    def __getitem__(self, name: str, /) -> np.ndarray:
        return self._values[:, self.schema.column(name)]

    def __iter__(self) -> Iterator[str]:
        return iter([c.name for c in self.schema.columns])


class TwinDigests:
    def __init__(self, step: np.ndarray, values: np.ndarray, tiles: FieldTiles) -> None:
        self.step, self.tiles, self._values = step, tiles, values

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self._values[start:stop]


@dataclass
class TwinTiles:
    step: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray


@dataclass
class TwinSegment:
    segment: Segment
    schema: SeriesSchema | None
    decomposition: Decomposition | None
    end: SegmentEnd | None

    @property
    def start_step(self) -> int:
        return self.segment.start_step

    @property
    def resumed_from(self) -> str | None:
        return self.segment.resumed_from


class Twin:
    """A run held in memory, with the face of a bundle."""

    def __init__(self, path: str, records: list[JournalRecord]) -> None:
        self.path = path
        self._documents = {
            r.hash: msgspec.json.decode(r.json, type=tagged(r.json))
            for r in records
            if isinstance(r, StoredDocument)
        }
        opened = next(r for r in records if isinstance(r, RunOpened))
        self.run_id, self.campaign = opened.run_id, opened.campaign
        self.created, self.simckpt_version = opened.created, opened.simckpt_version
        self.checkpoints = tuple(r for r in records if isinstance(r, Checkpoint))
        self.events = tuple(r for r in records if isinstance(r, Event))
        ends = {r.segment: r for r in records if isinstance(r, SegmentEnd)}
        schemas = {r.segment: r for r in records if isinstance(r, SegmentSchema)}
        self.segments = tuple(
            TwinSegment(
                r,
                self.document(schemas[r.index].schema),
                self.document(schemas[r.index].decomposition or ""),
                ends.get(r.index),
            )
            for r in records
            if isinstance(r, Segment)
        )
        self.schema = self.segments[-1].schema or SeriesSchema(columns=())
        self._samples: list[tuple[Sample, int]] = []
        segment = 0
        for record in records:
            if isinstance(record, Segment):
                segment = record.index
            elif isinstance(record, Sample):
                self._samples.append((record, segment))
        self._tile_rows = [r for r in records if isinstance(r, TileRow)]
        last = max((i for i, r in enumerate(records) if isinstance(r, Checkpoint)), default=-1)
        self.uncommitted = len(records) - 1 - last

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(t.field for t in self.schema.tiles)

    def series(self) -> TwinSeries:
        return TwinSeries(self.schema, self._samples)

    def digests(self, field: str, /) -> TwinDigests:
        start = 0
        for tiles in self.schema.tiles:
            if tiles.field == field:
                break
            start += tiles.size
        values = np.array(
            [np.frombuffer(s.digests, "<u8")[start : start + tiles.size] for s, _ in self._samples]
        )
        return TwinDigests(self.series().step, values.reshape(-1, *tiles.shape), tiles)

    def tiles(self, field: str, /) -> TwinTiles:
        shape = next(t.shape for t in self.schema.tiles if t.field == field)
        rows = [r for r in self._tile_rows if r.field == field]

        def stack(name: str) -> np.ndarray:
            return np.array([np.frombuffer(getattr(r, name), "<f8") for r in rows]).reshape(
                -1, *shape
            )

        return TwinTiles(
            np.array([r.step for r in rows], dtype=np.int64),
            stack("minimum"),
            stack("maximum"),
            stack("mean"),
        )

    def document(self, reference: str, /) -> Any:
        return self._documents[reference]


def tagged(json: bytes) -> type[Document]:
    """The type of a document by what its text says it is."""
    kind = msgspec.json.decode(json)["kind"]
    return next(k for k in _KINDS if k.__struct_config__.tag == kind)
