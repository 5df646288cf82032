"""Rank 0's scribe: what happens in a run becomes records of its bundle."""

from __future__ import annotations

import math
import os
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..bundle.writer import CheckpointHeld
from ..errors import SimckptWarning
from ..model.changes import SpecDiff, Specification, diff
from ..model.checkpoint import Checkpoint, Cost, Parts, Reason, StateDescriptor
from ..model.segment import Event, Segment, SegmentEnd, SegmentSchema
from ..model.series import Sample, SeriesSchema, TileRow
from .declared import comparable, declared_in
from .origins import Origins
from .outage import Outage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.writer import BundleWriter
    from ..diagnostics.probe import Reading
    from ..model.record import Facts, Hash, Json
    from ..model.segment import Decomposition, Ending
    from .captures import Captures
    from .sentry import Sentry, Wishes
    from .triggers import Kind


class BundleScribe:
    """Writes one segment of a run.

    Parameters
    ----------
    writer : BundleWriter
        The bundle, created or resumed.
    captures : Captures
        The facts behind the parts.
    sentry : Sentry
        Watches what happens, and captures more where a trigger fires.
    segment : Segment
        This job attempt; its documents are stored already.
    previous : Checkpoint or None
        The last checkpoint of the run's earlier segments.
    specification : Specification or None
        What that checkpoint's specification was.
    upstream : tuple of (Hash, Specification or None)
        Ids of the checkpoints this run starts from, and what was specified there.
    """

    unsaid: tuple[Event, ...] = ()

    def __init__(
        self,
        writer: BundleWriter,
        captures: Captures,
        sentry: Sentry,
        segment: Segment,
        *,
        previous: Checkpoint | None = None,
        specification: Specification | None = None,
        upstream: tuple[tuple[Hash, Specification | None], ...] = (),
    ) -> None:
        self._writer = writer
        self._outage = Outage()
        self._captures = captures
        self._sentry = sentry
        self._segment = segment
        self._previous = previous
        self._specification = specification
        if specification is not None:
            # Until the first sample says otherwise, an earlier segment's declarations stand.
            captures.declared(declared_in(specification))
        self._upstream = upstream
        self._schema: SeriesSchema | None = None
        self._reading: Reading | None = None
        self._tiled: Reading | None = None
        self._samples = 0
        self._origins = Origins()
        writer.append(segment)

    def describe(
        self,
        schema: SeriesSchema,
        decomposition: Decomposition,
        step: int,
        declarations: Mapping[str, Json],
    ) -> None:
        self._schema = schema
        self._captures.declared(declarations)
        stored = self._writer.store(schema)
        self._sentry.describe(schema, stored)
        self._writer.append(
            SegmentSchema(
                segment=self._segment.index,
                schema=stored,
                decomposition=self._writer.store(decomposition),
                start_step=step,
            )
        )

    def sample(self, reading: Reading, wall: float) -> None:
        self._reading = reading
        self._samples += 1
        self._writer.append(
            Sample(
                step=reading.step,
                t=reading.t,
                wall=wall,
                values=_bytes(reading.values, "<f8"),
                digests=_bytes(reading.digests, "<u8"),
                faults=reading.faults,
            )
        )
        for found in self._origins.events(reading, wall):
            self.event(found)
        self._sentry.sample(reading, wall)

    def event(self, event: Event) -> None:
        self._writer.append(event)

    def effective(self, settings: Facts) -> None:
        for name, (requested, effective) in self._captures.effective(settings).items():
            self.event(
                Event(
                    name="numerics_fallback",
                    severity="warning",
                    step=self._reading.step if self._reading else self._segment.start_step,
                    wall=time.time(),
                    text=f"{name} was requested as {requested!r} and is {effective!r} in effect",
                    facts={"setting": name, "requested": requested, "effective": effective},
                )
            )

    def checkpoint(
        self, label: str, reason: Reason, step: int, t: float, why: str, cost: Cost
    ) -> Checkpoint | None:
        self._store_tile_rows()
        why = why or os.environ.get("SIMCKPT_WHY", "")
        previous = self._previous
        parents = (previous.id,) if previous else tuple(id_ for id_, _ in self._upstream)
        made = Checkpoint(
            parents=parents,
            segment=self._segment.index,
            index=previous.index + 1 if previous else 0,
            label=label,
            reason=reason,
            step=step,
            t=t if math.isfinite(t) else None,
            wall=time.time(),
            parts=self._parts(step, why, wait=reason == "final"),
            state=self._state(),
            samples=self._samples,
            cost=cost,
            why=why,
        )
        try:
            self._previous = self._writer.commit(made)
        except CheckpointHeld as held:
            # It is written with the next one, whose parent it is.
            self._previous = held.checkpoint
            self._sentry.committed(made.index)
            if self._outage.refused(step, self._writer.trouble):
                raise
            return None
        self._sentry.committed(made.index)
        if over := self._outage.over(step, self._writer.lost):
            warnings.warn(over.text, SimckptWarning, stacklevel=4)
            self.event(over)
        return self._previous

    def met(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        self._sentry.met(kind, reason, step, error)

    def wishes(self) -> Wishes:
        return self._sentry.wishes()

    def end(self, ending: Ending, step: int, why: str) -> None:
        self._captures.close()
        if self._writer.lost:
            text = f"{self._writer.lost} samples are lost: {self._writer.trouble}"
            self.event(
                Event(name="samples_lost", severity="error", step=step, wall=time.time(), text=text)
            )
        self._writer.append(
            SegmentEnd(
                segment=self._segment.index, ending=ending, ended=time.time(), step=step, why=why
            )
        )
        if unresolved := self._outage.unresolved(self._writer.lost):
            warnings.warn(unresolved, SimckptWarning, stacklevel=3)
        self._writer.close()

    def _parts(self, step: int, why: str, *, wait: bool) -> Parts:
        store, captures = self._writer.store, self._captures
        specification = captures.specification()
        artifacts = captures.artifacts(wait=wait)
        transforms = captures.transforms()
        spec_diff = self._spec_diff(specification, why)
        self._specification = specification
        self._sentry.checkpoint(captures.beginning.environment, specification, step)
        return Parts(
            manifest=store(captures.beginning.manifest),
            specification=store(specification),
            spec_diff=store(spec_diff),
            environment=store(captures.beginning.environment),
            intent=store(captures.intent) if captures.intent else None,
            artifacts=store(artifacts) if artifacts else None,
            numerics=store(captures.numerics),
            random=store(captures.random()),
            transforms=store(transforms) if transforms else None,
            configuration=tuple(store(text) for text in captures.configuration()),
        )

    def _spec_diff(self, specification: Specification, why: str) -> SpecDiff:
        since = self._specification
        known = [s for _, s in self._upstream if s is not None]
        changes = diff(*comparable(since, specification)) if since else ()
        return SpecDiff(
            changes=changes,
            since_upstream=diff(*comparable(known[0], specification)) if known else (),
            why=why if changes else "",
        )

    def _state(self) -> StateDescriptor | None:
        reading, schema = self._reading, self._schema
        if reading is None or schema is None:
            return None
        named = dict(zip((c.name for c in schema.columns), map(float, reading.values), strict=True))
        return StateDescriptor(
            step=reading.step,
            t=reading.t if math.isfinite(reading.t) else None,
            values={k: v for k, v in named.items() if math.isfinite(v)},
            non_finite={k: str(v) for k, v in named.items() if not math.isfinite(v)},
            digests=_field_digests(schema, reading.digests),
        )

    def _store_tile_rows(self) -> None:
        reading = self._reading
        if reading is None or reading is self._tiled:
            return
        self._tiled = reading
        for name, rows in reading.tiles.items():
            self._writer.append(
                TileRow(
                    step=reading.step,
                    field=name,
                    minimum=_bytes(rows.minimum, "<f8"),
                    maximum=_bytes(rows.maximum, "<f8"),
                    mean=_bytes(rows.mean, "<f8"),
                )
            )


def _bytes(values: np.ndarray, dtype: str) -> bytes:
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def _field_digests(schema: SeriesSchema, digests: np.ndarray) -> dict[str, str]:
    whole: dict[str, str] = {}
    at = 0
    for tiles in schema.tiles:
        total = int(digests[at : at + tiles.size].sum(dtype=np.uint64))
        whole[tiles.field] = f"{total:016x}"
        at += tiles.size
    return whole
