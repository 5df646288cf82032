"""Runs made up for the tests of the bundle: a short script of acts, played into a writer."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter
from simckpt.bundle.reader import open_recorded, stored
from simckpt.model.documents import Text
from simckpt.model.series import (
    Checkpoint,
    Column,
    Cost,
    Event,
    FieldTiles,
    Parts,
    RunOpened,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    StateDescriptor,
    TileRow,
)

SCHEMAS = (
    SeriesSchema(
        columns=(
            Column(name="mass", kind="conserved", of="rho", note="sum of rho"),
            Column(name="rho.min", kind="minimum", of="rho", exact=False),
        ),
        tiles=(
            FieldTiles(field="rho", dtype="<f8", global_shape=(8, 6), edges=((0, 4, 8), (0, 3, 6))),
        ),
    ),
    SeriesSchema(
        columns=(
            Column(name="step", kind="scalar"),
            Column(name="mass", kind="conserved", of="rho"),
            Column(name="a/b", kind="custom"),
        ),
        tiles=(
            FieldTiles(field="rho", dtype="<f8", global_shape=(8, 6), edges=((0, 4, 8), (0, 3, 6))),
            FieldTiles(field="p/q", dtype="<f4", global_shape=(5,), edges=((0, 2, 4, 5),)),
        ),
    ),
    SeriesSchema(
        columns=(Column(name="energy", kind="conserved"),),
        tiles=(FieldTiles(field="rho", dtype="<f8", global_shape=(8, 6), edges=((0, 8), (0, 6))),),
    ),
    SeriesSchema(columns=()),
)

OPENED = RunOpened(run_id="r1", campaign="c1", created=1.5, simckpt_version="0.1.0")


@dataclass
class Play:
    """A run being recorded: acts are numbered, and an act's number alone decides its contents."""

    writer: BundleWriter
    segment: int = -1
    step: int = 0
    schema: SeriesSchema | None = None
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def segment_act(self, seed: int) -> None:
        self.segment += 1
        self.schema = None
        self.step = max(0, self.step - seed % 4)
        self.writer.append(
            Segment(index=self.segment, started=float(seed), ranks=4, start_step=self.step)
        )

    def schema_act(self, seed: int) -> None:
        if self.segment < 0:
            return
        self.schema = SCHEMAS[seed % len(SCHEMAS)]
        self.writer.append(
            SegmentSchema(
                segment=self.segment, schema=self.writer.store(self.schema), start_step=self.step
            )
        )

    def sample_act(self, seed: int) -> None:
        if self.schema is None:
            return
        self.step += 1
        self.writer.append(make_sample(self.schema, self.step, seed))

    def tiles_act(self, seed: int) -> None:
        for tiles in self.schema.tiles if self.schema else ():
            rng = np.random.default_rng(seed)
            low, high, mean = (rng.standard_normal(tiles.size).tobytes() for _ in range(3))
            self.writer.append(
                TileRow(step=self.step, field=tiles.field, minimum=low, maximum=high, mean=mean)
            )

    def event_act(self, seed: int) -> None:
        self.writer.append(
            Event(
                name="thing",
                severity="note",
                step=self.step,
                wall=float(seed),
                text=f"Ereignis \0 \x1b[31m ä {seed}",
                facts={"seed": seed, "list": [1, None, "x"], "nan": float("nan")},
            )
        )

    def document_act(self, seed: int) -> None:
        self.writer.store(Text(name=f"n{seed % 5}", text="ü" * (seed % 300) + "\0"))

    def checkpoint_act(self, seed: int) -> None:
        if self.segment < 0:
            return
        former = self.checkpoints[-1:]
        self.checkpoints.append(
            self.writer.commit(
                Checkpoint(
                    parents=tuple(c.id for c in former),
                    segment=self.segment,
                    index=len(self.checkpoints),
                    label=f"at {self.step}",
                    reason="user",
                    step=self.step,
                    t=0 if seed % 2 else None,
                    wall=100 + seed,
                    parts=Parts(
                        specification=self.writer.store(Text(name="s", text=str(seed % 3)))
                    ),
                    state=StateDescriptor(step=self.step, t=0.5, values={"mass": 1.0}),
                    cost=Cost(wall=seed / 7),
                )
            )
        )

    def end_act(self, seed: int) -> None:
        if self.segment >= 0:
            self.writer.append(
                SegmentEnd(segment=self.segment, ending="finished", ended=1.0, step=self.step)
            )

    def flush_act(self, seed: int) -> None:
        self.writer.flush()

    def restart_act(self, seed: int) -> None:
        self.restart()

    def restart(self) -> None:
        """End the job attempt, so that all records are in the .h5, and begin the next."""
        self.writer.close()
        self.writer = BundleWriter.resume(self.writer.path, self.writer._options)

    def kill(self) -> None:
        """Stop the writer where it is; nothing more reaches storage."""
        self.writer._appender.close()


def make_sample(schema: SeriesSchema, step: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(len(schema.columns))
    bits = values.view(np.uint64)
    if seed % 5 == 0 and len(bits):
        bits[0] = 0x7FF8_0000_0000_0000 | (seed & 0xFFFF)  # a NaN that carries a payload
    if seed % 7 == 0:
        values[:] = -0.0
    return Sample(
        step=step,
        t=float("nan") if seed % 3 == 0 else step * 0.1,
        wall=1e9 + seed,
        values=values.tobytes(),
        digests=rng.integers(0, 2**64, schema.digests, np.uint64).tobytes(),
        faults=seed % 2,
    )


ACTS = ("sample",) * 8 + ("segment", "schema", "tiles", "event", "document", "checkpoint", "end")

Act = tuple[str, int]


def act(play: Play, one: Act) -> None:
    getattr(play, f"{one[0]}_act")(one[1])


@pytest.fixture(autouse=True, scope="session")
def no_waiting():
    """Storage answers at once: no power is cut here, and a busy disk would make tests slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def plays() -> type[Play]:
    return Play


@pytest.fixture(scope="session")
def scripts() -> Any:
    """A strategy of scripts that begin with a segment and a schema."""
    seeds = st.integers(0, 10**6)
    acts = st.lists(st.tuples(st.sampled_from(ACTS), seeds), max_size=40)
    return st.tuples(seeds, acts).map(lambda s: [("segment", s[0]), ("schema", s[0]), *s[1]])


@pytest.fixture(scope="session")
def script() -> list[Act]:
    """One script with everything in it."""
    rng = random.Random(3)
    acts = [("segment", 0), ("schema", 0)]
    for segment in range(3):
        acts += [(rng.choice(ACTS[:8] + ACTS[10:14]), rng.randrange(10**6)) for _ in range(25)]
        acts += [("sample", 7), ("tiles", 8), ("checkpoint", segment), ("sample", 9), ("end", 0)]
        acts += [("segment", 2), ("schema", segment + 1)]
    return acts


@pytest.fixture(scope="session")
def opened() -> RunOpened:
    return OPENED


@pytest.fixture(scope="session")
def schemas() -> tuple[SeriesSchema, ...]:
    return SCHEMAS


@pytest.fixture(scope="session")
def sample_of() -> Any:
    return make_sample


@pytest.fixture(scope="session")
def perform() -> Any:
    """Play a script: ``perform(writer, script) -> Play``; records are not closed."""

    def perform(writer: BundleWriter, script: list[Act]) -> Play:
        play = Play(writer)
        for one in script:
            act(play, one)
        return play

    return perform


@pytest.fixture(scope="session")
def one_act() -> Any:
    return act


@pytest.fixture(scope="session")
def records_of() -> Any:
    """Every record of a bundle as it was written: (number, kind, chain, payload)."""

    def records_of(path: Any) -> list[Any]:
        with open_recorded(path) as recorded:
            return list(stored(recorded))

    return records_of


@pytest.fixture(scope="session")
def picture_of() -> Any:
    """All that a reader can see of a bundle, as plain values whose equality is bit for bit."""

    def picture_of(path: Any) -> dict[str, Any]:
        with open_bundle(path) as bundle:
            seen: dict[str, Any] = {
                "run": msgspec.to_builtins(bundle.run),
                "checkpoints": [msgspec.to_builtins(c) for c in bundle.checkpoints],
                "events": [msgspec.to_builtins(e) for e in bundle.events],
                "segments": [
                    (repr(s), s.schema, msgspec.to_builtins(s.end)) for s in bundle.segments
                ],
                "documents": {h: (k, bundle.document_json(h)) for h, k in bundle.documents.items()},
                "fields": bundle.fields,
                "uncommitted": bundle.uncommitted,
            }
            for effective in (True, False):
                series = bundle.series(effective)
                seen[f"series {effective}"] = {
                    name: _bits(values)
                    for name, values in [
                        *series.items(),
                        *((f".{n}", getattr(series, n)) for n in ("step", "t", "wall", "faults")),
                        (".segment", series.segment),
                    ]
                }
                for name in bundle.fields:
                    digests = bundle.digests(name, effective)
                    seen[f"digests {name} {effective}"] = (
                        digests.tiles,
                        _bits(digests.step),
                        _bits(digests.values),
                        _bits(digests.whole),
                    )
            for name in bundle.fields:
                tiles = bundle.tiles(name)
                seen[f"tiles {name}"] = tuple(
                    _bits(v) for v in (tiles.step, tiles.minimum, tiles.maximum, tiles.mean)
                )
            return seen

    return picture_of


def _bits(values: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return str(values.dtype), values.shape, values.tobytes()
