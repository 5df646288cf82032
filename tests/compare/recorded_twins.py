"""Runs to compare, without files: a small solver, its journal records, and a view of them.

The solver is a lattice of cells on a periodic square, one equation that settles (reaction and
diffusion) and one that is chaotic (coupled logistic maps). Every option that changes its answer
does so in the arithmetic, not in the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from math import fsum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simckpt.model.changes import SpecDiff, Specification
from simckpt.model.checkpoint import Checkpoint, Cost, Parts, StateDescriptor
from simckpt.model.environment import Circumstances, Environment, Node
from simckpt.model.intent import Intent
from simckpt.model.journal import JournalRecord, RunOpened, StoredDocument
from simckpt.model.manifest import (
    CodeModule,
    InputFile,
    Manifest,
    Packages,
    RandomState,
    Repository,
    Stage,
)
from simckpt.model.numerics import NumericalSettings
from simckpt.model.record import Document, canonical_json, content_hash
from simckpt.model.segment import (
    Decomposition,
    Event,
    Patch,
    Segment,
    SegmentEnd,
    SegmentSchema,
)
from simckpt.model.series import Column, FieldTiles, Sample, SeriesSchema, TileRow

STARTED = 1_700_000_000.0


@dataclass(frozen=True)
class Setup:
    """One run: what the user chose, what the machine was, and what went wrong."""

    name: str = "run"
    n: int = 32
    steps: int = 60
    every: int = 5
    rate: float = 0.5
    dt: float = 0.05
    seed: int = 1
    amplitude: float = 0.1
    chaotic: bool = False
    precision: str = "float64"
    ranks: int = 4
    # What happens
    reordered: bool = False
    bit: tuple[int, int] | None = None  # (step, bit) flipped in one cell
    stale_halo: int = 0  # from this step on, ranks use their own cells for their neighbours'
    restart: int = 0
    lossy_restart: bool = False
    poison: int = 0  # from this step on a cell is NaN
    killed: bool = False
    checkpoint_every: int = 20
    # What is recorded beside it
    packages: Mapping[str, str] = field(default_factory=lambda: {"numpy": "2.1.0", "rich": "13"})
    environment: Mapping[str, Any] = field(
        default_factory=lambda: {"cpu": {"model": "EPYC"}, "os": {"release": "6.1"}}
    )
    code: str = "a"
    inputs: Mapping[str, str] = field(default_factory=lambda: {"ic.toml": "b" * 64})
    parameters: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    mass_of: str = "x"
    host: str = "n1"
    fields: tuple[str, ...] = ("x",)
    generators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def but(self, **changes: Any) -> Setup:
        """The same with some things changed."""
        return replace(self, **changes)


def patches(n: int, ranks: int) -> tuple[tuple[Patch, ...], ...]:
    """Near-square blocks, one to a rank."""
    rows = {1: 1, 2: 1, 4: 2, 8: 2, 16: 4}[ranks]
    shape = (n // rows, n // (ranks // rows))
    return tuple(
        (Patch(start=(i * shape[0], j * shape[1]), shape=shape),)
        for i in range(rows)
        for j in range(ranks // rows)
    )


class Solver:
    """Advances the lattice."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.patches = patches(setup.n, setup.ranks)
        rng = np.random.default_rng(setup.seed)
        axis = np.arange(setup.n) / setup.n
        smooth = np.sin(2 * np.pi * axis)[:, None] * np.cos(2 * np.pi * axis)[None, :]
        noise = rng.random((setup.n, setup.n))
        state = 0.5 + setup.amplitude * smooth + 0.01 * setup.amplitude * noise
        self.x = state.astype(setup.precision)
        self.step = 0

    def advance(self) -> None:
        s = self.setup
        self.step += 1
        x = 3.9 * self.x * (1 - self.x) if s.chaotic else self.x
        west, east = np.roll(x, 1, 0), np.roll(x, -1, 0)
        south, north = np.roll(x, 1, 1), np.roll(x, -1, 1)
        if s.stale_halo and self.step >= s.stale_halo:
            for ((patch,),) in zip(self.patches, strict=True):
                (i, j), (h, w) = patch.start, patch.shape
                west[i, j : j + w] = x[i, j : j + w]
                east[i + h - 1, j : j + w] = x[i + h - 1, j : j + w]
                south[i : i + h, j] = x[i : i + h, j]
                north[i : i + h, j + w - 1] = x[i : i + h, j + w - 1]
        if s.reordered:
            around = ((north + east) + (south + west)) / 4
        else:
            around = (((west + east) + south) + north) / 4
        if s.chaotic:
            x = (1 - 0.1 * s.rate) * x + 0.1 * s.rate * around
        else:
            x = x + s.dt * (s.rate * (around - x) + x * (1 - x) * (x - 0.4))
        self.x = x.astype(s.precision)
        if s.bit is not None and self.step == s.bit[0]:
            cell = self.x[5:6, 7]
            cell.view(np.uint64)[...] ^= np.uint64(1) << np.uint64(s.bit[1])
        if s.poison and self.step == s.poison:
            self.x[3, 3] = np.nan
        if s.restart and s.lossy_restart and self.step == s.restart:
            self.x = self.x.astype(np.float32).astype(s.precision)


class Recording:
    """The journal records of a run."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.records: list[JournalRecord] = []
        self._stored: set[str] = set()
        self._parents: tuple[str, ...] = ()
        self._index = 0
        edge = max(setup.n // 8, 1)
        edges = tuple(range(0, setup.n + 1, edge))
        self.schema = SeriesSchema(
            columns=(
                Column(name="mass", kind="conserved", of=setup.mass_of),
                *(Column(name=f"x.{k}", kind=v, of="x") for k, v in _FIELD_COLUMNS.items()),
                Column(name="courant", kind="stability", of="rate"),
                Column(name="dt", kind="scalar"),
            ),
            tiles=tuple(
                FieldTiles(
                    field=name,
                    dtype=setup.precision,
                    global_shape=(setup.n, setup.n),
                    edges=(edges, edges),
                )
                for name in setup.fields
            ),
        )
        self.edge = edge
        self._run()

    def _run(self) -> None:
        s = self.setup
        self.records.append(
            RunOpened(run_id=f"{s.name}-id", campaign="c", created=STARTED, simckpt_version="0.1.0")
        )
        self._begin(0, 0)
        solver = Solver(s)
        self._sample(solver)
        self._checkpoint(solver, "start", "start")
        events = sorted(s.events, key=lambda e: e.step)
        for _ in range(s.steps):
            solver.advance()
            if s.restart and solver.step == s.restart + 1:
                self._begin(1, s.restart)
            if solver.step % s.every == 0 or solver.step == s.steps:
                self._sample(solver)
            while events and events[0].step <= solver.step:
                self.records.append(events.pop(0))
            if solver.step % s.checkpoint_every == 0:
                self._checkpoint(solver, f"step {solver.step}", "schedule")
        if not s.killed:
            self._checkpoint(solver, "end", "final")
            self.records.append(
                SegmentEnd(
                    segment=1 if s.restart else 0,
                    ending="finished",
                    ended=STARTED + 60,
                    step=solver.step,
                )
            )

    def _begin(self, index: int, step: int) -> None:
        s = self.setup
        self._segment = index
        environment = self._store(Environment(sections=dict(s.environment)))
        node = Node(host=s.host, ranks=tuple(range(s.ranks)), environment=environment)
        place = self._store(Circumstances(sections={"host": {"name": s.host}}))
        self.records.append(
            Segment(
                index=index,
                started=STARTED,
                ranks=s.ranks,
                start_step=step,
                resumed_from=self._parents[0] if index else None,
                nodes=(node,),
                circumstances=place,
            )
        )
        layout = Decomposition(global_shape=(s.n, s.n), patches=patches(s.n, s.ranks))
        self.records.append(
            SegmentSchema(
                segment=index,
                schema=self._store(self.schema),
                decomposition=self._store(layout),
                start_step=step,
            )
        )

    def _sample(self, solver: Solver) -> None:
        x = solver.x.astype(np.float64)
        finite = x[np.isfinite(x)]
        nan = int(np.isnan(x).sum())
        values = [
            float("nan") if nan else fsum(x.ravel()) / x.size,
            finite.min() if finite.size else np.nan,
            finite.max() if finite.size else np.nan,
            nan,
            0,
            0,
            self.setup.dt * self.setup.rate,
            self.setup.dt,
        ]
        self.records.append(
            Sample(
                step=solver.step,
                t=solver.step * self.setup.dt,
                wall=STARTED + solver.step,
                values=np.array(values, "<f8").tobytes(),
                digests=self._digests(solver.x) * len(self.schema.tiles),
            )
        )

    def _tiles(self, x: np.ndarray) -> Iterator[np.ndarray]:
        for i in range(0, len(x), self.edge):
            for j in range(0, len(x), self.edge):
                yield x[i : i + self.edge, j : j + self.edge]

    def _digests(self, x: np.ndarray) -> bytes:
        return b"".join(blake2b(t.tobytes(), digest_size=8).digest() for t in self._tiles(x))

    def _checkpoint(self, solver: Solver, label: str, reason: Any) -> None:
        s = self.setup
        tiles = [t.astype(np.float64) for t in self._tiles(solver.x)]
        for name in s.fields:
            self.records.append(
                TileRow(
                    step=solver.step,
                    field=name,
                    minimum=np.array([t.min() for t in tiles], "<f8").tobytes(),
                    maximum=np.array([t.max() for t in tiles], "<f8").tobytes(),
                    mean=np.array([t.mean() for t in tiles], "<f8").tobytes(),
                )
            )
        settings = {"rate": s.rate, "dt": s.dt, "precision": s.precision}
        parameters = {"n": s.n, "seed": s.seed, "amplitude": s.amplitude, "bundle": s.name}
        parameters |= {"steps": s.steps, "dt": s.dt, "rate": s.rate, **s.parameters}
        if s.chaotic:
            parameters["chaotic"] = True
        manifest = Manifest(
            stage=Stage(),
            command=("solver.py", s.name),
            working_directory=f"/scratch/{s.name}",
            driver="solver:main",
            parameters=parameters,
            inputs=tuple(
                InputFile(path=p, size=10, mtime=1.0, hash=h) for p, h in s.inputs.items()
            ),
            outputs=("out/*.nc",),
            modules=(CodeModule(name="solver", path="solver.py", hash=s.code * 64),),
            repositories=(Repository(root="/src/solver", commit=s.code * 40),),
            packages=self._store(Packages(versions=dict(s.packages))),
            simckpt_version="0.1.0",
        )
        parts = Parts(
            manifest=self._store(manifest),
            specification=self._store(Specification(facts={"parameters": parameters})),
            spec_diff=self._store(SpecDiff()),
            environment=self._store(Environment(sections=dict(s.environment))),
            intent=self._store(Intent(goal=f"try {s.name}")),
            numerics=self._store(NumericalSettings(requested=settings, effective=settings)),
            random=self._store(RandomState(seeds={"seed": s.seed}, generators=self._generators())),
        )
        checkpoint = Checkpoint(
            parents=self._parents,
            segment=self._segment,
            index=self._index,
            label=label,
            reason=reason,
            step=solver.step,
            t=solver.step * s.dt,
            wall=STARTED + solver.step,
            parts=parts,
            state=StateDescriptor(step=solver.step, t=solver.step * s.dt),
            cost=Cost(wall=10.0, samples=0.03, reductions=0.01, checkpoints=0.02),
        ).identified()
        self._index += 1
        self._parents = (checkpoint.id,)
        self.records.append(checkpoint)

    def _generators(self) -> dict[str, Any]:
        """Each generator's state at this checkpoint: the last of its states stays."""
        return {
            name: {"declared": False, "state": states[min(self._index, len(states) - 1)]}
            for name, states in self.setup.generators.items()
        }

    def _store(self, document: Document) -> str:
        found = content_hash(document)
        if found not in self._stored:
            self._stored.add(found)
            self.records.append(StoredDocument(hash=found, json=canonical_json(document)))
        return found


_FIELD_COLUMNS: dict[str, Any] = {
    "min": "minimum",
    "max": "maximum",
    "nan": "count",
    "posinf": "count",
    "neginf": "count",
}

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


class Twin:
    """A run held in memory, with the face of a bundle."""

    def __init__(self, path: str, records: list[JournalRecord]) -> None:
        self.path = path
        self._documents = {
            r.hash: msgspec.json.decode(r.json, type=_tagged(r.json))
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


def _tagged(json: bytes) -> type[Document]:
    kind = msgspec.json.decode(json)["kind"]
    return next(k for k in _KINDS if k.__struct_config__.tag == kind)


def run(setup: Setup | None = None, **changes: Any) -> Twin:
    """Run the solver and hold its record in memory."""
    setup = (setup or Setup()).but(**changes)
    return Twin(f"{setup.name}.simckpt.h5", Recording(setup).records)


def write(path: Path, setup: Setup, *, keep_open: bool = False) -> Any:
    """Write the same run as a real bundle; with `keep_open`, leave its writer to the caller."""
    from simckpt.bundle.writer import BundleWriter

    first, *records = Recording(setup).records
    assert isinstance(first, RunOpened)
    writer = BundleWriter.create(path, first)
    for record in records:
        if isinstance(record, Checkpoint):
            writer.commit(record)
        elif isinstance(record, StoredDocument):
            writer.store(msgspec.json.decode(record.json, type=_tagged(record.json)))
        else:
            writer.append(record)
    if keep_open:
        return writer
    writer.close()
    return None


def edited(setup: Setup, edit: Callable[[JournalRecord], JournalRecord | None]) -> Twin:
    """The same with every record passed through `edit`; None drops it."""
    kept = [e for r in Recording(setup).records if (e := edit(r)) is not None]
    return Twin(f"{setup.name}.simckpt.h5", kept)


__all__ = ["Recording", "Setup", "Solver", "Twin", "edited", "run", "write"]
