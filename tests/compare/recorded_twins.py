"""Runs to compare, without files: the journal records of a small solver, and a view of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from math import fsum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from twin_solver import Setup, Solver, patches
from twin_view import Twin, tagged

from simckpt import Intent
from simckpt.model.changes import SpecDiff, Specification
from simckpt.model.documents import (
    Circumstances,
    CodeModule,
    Environment,
    InputFile,
    Manifest,
    Node,
    Packages,
    RandomState,
    Repository,
    Stage,
)
from simckpt.model.numerics import NumericalSettings
from simckpt.model.record import Document, canonical_json, content_hash
from simckpt.model.series import (
    Checkpoint,
    Column,
    Cost,
    Decomposition,
    FieldTiles,
    JournalRecord,
    Parts,
    RunOpened,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    StateDescriptor,
    StoredDocument,
    TileRow,
)

STARTED = 1_700_000_000.0


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
            loaded=tuple(name for name in sorted(s.packages) if name != "idle"),
            simckpt_version="0.1.0",
        )
        parts = Parts(
            manifest=self._store(manifest),
            specification=self._store(Specification(facts={"parameters": parameters})),
            spec_diff=self._store(SpecDiff()),
            environment=self._store(Environment(sections=dict(s.environment))),
            intent=self._store(Intent(goal=f"try {s.name}")),
            numerics=self._store(NumericalSettings(requested=settings, effective=settings)),
            random=self._store(
                RandomState(
                    seeds={"seed": s.seed}, generators=self._generators(), streams=s.streams
                )
            ),
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
            writer.store(msgspec.json.decode(record.json, type=tagged(record.json)))
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
