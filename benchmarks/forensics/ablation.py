"""What each part of a bundle is worth: the catalogue compared without it, and the bytes it takes.

A part is hidden from the comparison, as if it had never been recorded. Its bytes are those of its
arrays and of the documents that nothing else refers to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from msgspec.structs import replace

import simckpt
from simckpt.bundle.reader import Bundle
from simckpt.compare.held import Held, HeldSegment
from simckpt.compare.run_view import DigestView, RunView, SeriesView, TileView
from simckpt.model.record import canonical_json
from simckpt.model.series import Checkpoint, SeriesSchema

from .case import Case
from .judging import Judge
from .scoring import Score

Totals: TypeAlias = Callable[[Sequence[Score]], dict[str, Any]]

REFERENCES: dict[str, tuple[str, ...]] = {
    "manifest": ("manifest",),
    "specification and its diff": ("specification", "spec_diff"),
    "manifest and specification": ("manifest", "specification", "spec_diff"),
    "environment": ("environment",),
    "intent": ("intent",),
    "artifact index": ("artifacts",),
    "numerical settings": ("numerics",),
    "seeds and generators": ("random",),
    "configuration files": ("configuration",),
}
"""Parts that are documents, by the references that checkpoints hold."""

TILES = "tiles, down to one a field"
ARRAYS = ("series", "digests", TILES, "tile statistics")
RECORDS = ("events", "decomposition")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The scores without one part of the bundle, and the bytes that this saves in a bundle."""

    part: str
    answers: dict[str, Any]
    bytes: float
    share: float


def ablate(judge: Judge, cases: Sequence[Case], totals: Totals) -> Iterator[Loss]:
    """The whole catalogue, then the catalogue without each part in turn."""
    whole = totals([judge.score(case) for case in cases])["all"]
    yield Loss(part="nothing", answers=whole, bytes=0.0, share=0.0)
    for part in (*REFERENCES, *ARRAYS, *RECORDS):
        scores = [judge.score(case, partial(Without, part=part)) for case in cases]
        saved = [_saved(judge, case, part) for case in cases]
        yield Loss(
            part=part,
            answers=totals(scores)["all"],
            bytes=sum(n for n, _ in saved) / len(saved),
            share=sum(n for n, _ in saved) / sum(size for _, size in saved),
        )


class Without(Held):
    """A run without one part of its record."""

    def __init__(self, run: RunView, part: str) -> None:
        super().__init__(run)
        self._part = part

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        return () if self._part == "digests" else self._run.fields

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:  # type: ignore[override]
        hidden: dict[str, Any] = dict.fromkeys(REFERENCES.get(self._part, ()))
        if "configuration" in hidden:
            hidden["configuration"] = ()
        return tuple(replace(c, parts=replace(c.parts, **hidden)) for c in self._run.checkpoints)

    @property
    def events(self) -> tuple[Any, ...]:  # type: ignore[override]
        return () if self._part == "events" else tuple(self._run.events)

    @property
    def segments(self) -> tuple[HeldSegment, ...]:  # type: ignore[override]
        found = super().segments
        if self._part == "decomposition":
            return tuple(dataclasses.replace(s, decomposition=None) for s in found)
        if self._part == "series":
            return tuple(dataclasses.replace(s, schema=_bare(s.schema)) for s in found)
        return found

    def series(self) -> Any:
        found = super().series()
        return _Bare(found) if self._part == "series" else found

    def digests(self, field: str, /) -> Any:
        found = self._run.digests(field)
        return _Whole(found) if self._part == TILES else found

    def tiles(self, field: str, /) -> Any:
        found = self._run.tiles(field)
        return _NoRows(found) if self._part in (TILES, "tile statistics") else found


def _bare(schema: SeriesSchema | None) -> SeriesSchema | None:
    return replace(schema, columns=()) if schema is not None else None


class _Bare:
    """A series of steps and times, and no column."""

    def __init__(self, series: SeriesView) -> None:
        self.schema = SeriesSchema(columns=(), tiles=series.schema.tiles)
        self.step, self.t = series.step, series.t
        self.segment, self.faults = series.segment, series.faults

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __getitem__(self, name: str, /) -> Any:
        raise KeyError(name)


class _Whole:
    """One digest for the whole field, which is the sum of its tiles' digests."""

    def __init__(self, digests: DigestView) -> None:
        self._digests = digests
        self.step = digests.step
        shape = digests.tiles.global_shape
        self.tiles = replace(digests.tiles, edges=tuple((0, n) for n in shape))

    def rows(self, start: int, stop: int) -> Any:
        words = self._digests.rows(start, stop)
        return words.reshape(len(words), -1).sum(axis=1).reshape(-1, *self.tiles.shape)


class _NoRows:
    """Tile statistics of no checkpoint."""

    def __init__(self, rows: TileView) -> None:
        self.step = rows.step[:0]
        self.minimum, self.maximum, self.mean = rows.minimum[:0], rows.maximum[:0], rows.mean[:0]


def _saved(judge: Judge, case: Case, part: str) -> tuple[int, int]:
    """Bytes of the part, and of the whole bundle, of the second run of a case."""
    path = judge.bundle(case.b)
    with simckpt.open(path) as bundle:
        return _bytes(bundle, part), path.stat().st_size


def _bytes(bundle: Bundle, part: str) -> int:
    """Bytes of the part in a bundle."""
    if part in REFERENCES:
        return _document_bytes(bundle, REFERENCES[part])
    tiles = {name: bundle.digests(name) for name in bundle.fields}
    samples = len(bundle.series().step)
    digests = sum(8 * d.tiles.size * len(d.step) for d in tiles.values())
    statistics = sum(bundle.tiles(name).mean.nbytes * 3 for name in bundle.fields)
    return {
        "series": 8 * samples * len(list(bundle.series())),
        "digests": digests + statistics,
        TILES: digests + statistics - sum(8 * len(d.step) for d in tiles.values()),
        "tile statistics": statistics,
        "events": sum(len(canonical_json(e)) for e in bundle.events),
        "decomposition": sum(
            len(canonical_json(s.decomposition)) for s in bundle.segments if s.decomposition
        ),
    }[part]


def _document_bytes(bundle: Bundle, names: Sequence[str]) -> int:
    """Bytes of the documents behind these references, with those that they refer to."""
    wanted: set[str] = set()
    for checkpoint in bundle.checkpoints:
        for name in names:
            told = getattr(checkpoint.parts, name)
            wanted |= set(told if isinstance(told, tuple) else [told] if told else [])
    sizes = {hash_: canonical_json(bundle.document(hash_)) for hash_ in wanted}
    for text in list(sizes.values()):
        for hash_ in bundle.documents:
            if hash_.encode() in text and hash_ not in sizes:
                sizes[hash_] = canonical_json(bundle.document(hash_))
    return sum(len(text) for text in sizes.values())
