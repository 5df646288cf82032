"""Rank 0's scribe: what happens in a run becomes records of its bundle."""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bundle.writing.writer import CheckpointHeld
from ..errors import SetupError, SimckptWarning
from ..model.checkpoint import Checkpoint, Cost, Parts, Reason, StateDescriptor
from ..model.segment import Event, Segment, SegmentEnd, SegmentSchema
from ..model.series import Sample, SeriesSchema, TileRow
from .attempts.declared import declared_in
from .attempts.overlap import NOTHING, Known, Overlap
from .attempts.spec_diffs import SpecDiffs
from .attempts.waypoints import NO_WAYPOINTS
from .disclosed import redacted, told
from .outage import Outage
from .samples.boxes import Boxes
from .triggering.monotone import Monotone, wrong_way
from .triggering.origins import Origins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..bundle.writing.writer import BundleWriter
    from ..diagnostics.probe import Reading
    from ..model.changes import SpecDiff, Specification
    from ..model.record import Hash, Json
    from ..model.segment import Decomposition, Ending
    from .attempts.waypoints import Waypoints
    from .captures import Captures
    from .samples.placements import Placed
    from .triggering.sentry import Sentry, Wishes
    from .triggering.triggers import Kind


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
    waypoints : Waypoints
        The checkpoints of the run's earlier segments that this one may go on from.
    known : Known
        The samples of those segments.
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
        waypoints: Waypoints = NO_WAYPOINTS,
        known: Known = NOTHING,
    ) -> None:
        self._writer = writer
        self._outage = Outage()
        self._captures = captures
        self._sentry = sentry
        self._segment = segment
        self._previous = previous
        self._spec_diffs = SpecDiffs(specification, upstream)
        if specification is not None:
            # Until the first sample says otherwise, an earlier segment's declarations stand.
            captures.declared(declared_in(specification))
        self._upstream = upstream
        self._waypoints = waypoints
        self._start_step = segment.start_step
        self._schema: SeriesSchema | None = None
        self._reading: Reading | None = None
        self._tiled: Reading | None = None
        self._samples = 0
        self._origins = Origins()
        self._boxes = Boxes(writer.store)
        self._overlap = Overlap(known)
        self._monotone = Monotone(SeriesSchema(columns=()))
        writer.append(segment)

    @property
    def awaits_step(self) -> bool:
        return bool(self._waypoints.passed) and not self._segment.start_step

    def describe(
        self,
        schema: SeriesSchema,
        decomposition: Decomposition,
        step: int,
        declarations: Mapping[str, Json],
        joint: bool = False,
    ) -> None:
        self._schema = schema
        self._monotone = Monotone(schema)
        self._captures.declared(declarations)
        stored = self._writer.store(schema)
        self._sentry.describe(schema, stored)
        self._writer.append(
            SegmentSchema(
                segment=self._segment.index,
                schema=stored,
                decomposition=self._writer.store(decomposition),
                start_step=step,
                joint=joint,
                resumed_from=self._resumed_from(),
            )
        )
        # Solvers that were given to the run are configured by now, and were not when it began.
        self._in_effect(self._captures.in_effect.read(step), step)

    def sample(self, reading: Reading, wall: float, placed: Placed | None = None) -> None:
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
        for found in (
            *self._origins.events(reading, wall),
            *self._boxes.events(reading, wall, placed),
        ):
            self.event(found)
        if self._overlap.going_on and self._schema is not None:
            digests = _field_digests(self._schema, reading.digests)
            if repeated := self._overlap.look(reading, self._schema, digests):
                self.event(repeated)
        for reversal in self._monotone.look(reading):
            self.event(wrong_way(reversal, wall))
        self._sentry.sample(reading, wall)

    def event(self, event: Event) -> None:
        self._writer.append(told(event))

    def effective(self, things: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
        step = self._reading.step if self._reading else self._segment.start_step
        self._in_effect(self._captures.in_effect.report(things, settings, step), step)

    def follow(self, source: Callable[[], Any]) -> None:
        self._captures.in_effect.follow(source)

    def checkpoint(
        self, label: str, reason: Reason, step: int, t: float, why: str, cost: Cost
    ) -> Checkpoint | None:
        if not isinstance(label, str):
            raise SetupError("label", label, "is not text", mend="Write checkpoint('...').")
        self._store_tile_rows()
        if reason == "start":
            self._start_step = step
        else:
            self._in_effect(self._captures.in_effect.read(step), step)
        specification = self._captures.specification()
        # What else ends up at a checkpoint, such as an exception, is no reason for a change.
        given = why if reason == "user" else ""
        spec_diff, reasoned = self._spec_diffs.next(specification, given)
        previous = self._previous
        parents = (previous.id,) if previous else tuple(id_ for id_, _ in self._upstream)
        made = Checkpoint(
            parents=parents,
            segment=self._segment.index,
            index=previous.index + 1 if previous else 0,
            label=redacted(label),
            reason=reason,
            step=step,
            t=t if math.isfinite(t) else None,
            wall=time.time(),
            parts=self._parts(step, specification, spec_diff, wait=reason == "final"),
            state=self._state(),
            samples=self._samples,
            cost=cost,
            why=redacted(why) or reasoned,
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
        self._tell_mishaps()
        if over := self._outage.over(step, self._writer.lost):
            warnings.warn(over.text, SimckptWarning, stacklevel=4)
            self.event(over)
        return self._previous

    def met(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        self._sentry.met(kind, reason, step, error)

    def wishes(self) -> Wishes:
        return self._sentry.wishes()

    def end(self, ending: Ending, step: int, why: str, joint: bool = False) -> None:
        if self._writer.lost:
            text = f"{self._writer.lost} samples are lost: {self._writer.trouble}"
            self.event(
                Event(name="samples_lost", severity="error", step=step, wall=time.time(), text=text)
            )
        self._writer.append(
            SegmentEnd(
                segment=self._segment.index,
                ending=ending,
                ended=time.time(),
                step=step,
                why=redacted(why),
                joint=joint,
            )
        )
        if unresolved := self._outage.unresolved(self._writer.lost):
            warnings.warn(unresolved, SimckptWarning, stacklevel=3)
        self._writer.close()
        self._tell_mishaps()

    def _tell_mishaps(self) -> None:
        for text in self._writer.mishaps:
            warnings.warn(text, SimckptWarning, stacklevel=5)
        self._writer.mishaps.clear()

    def _resumed_from(self) -> Hash | None:
        """The checkpoint that the segment continues, if that was not known when it began."""
        found = self._waypoints.before(self._start_step)
        return None if found == self._segment.resumed_from else found

    def _in_effect(self, events: list[Event], step: int) -> None:
        for event in events:
            self.event(event)
        if loosened := self._captures.in_effect.loosened:
            self.met("environment", f"tolerances in effect changed: {loosened}", step)

    def _parts(
        self, step: int, specification: Specification, spec_diff: SpecDiff, *, wait: bool
    ) -> Parts:
        store, captures = self._writer.store, self._captures
        artifacts = captures.artifacts(wait=wait)
        transforms = captures.transforms()
        environment = captures.beginning.environment
        self._sentry.checkpoint(environment, specification, step, captures.nodes)
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
