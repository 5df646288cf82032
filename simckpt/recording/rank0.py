"""Rank 0's writer: what happens in a run becomes records of its bundle."""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bundle.writer import CheckpointHeld
from ..errors import SetupError, SimckptWarning
from ..model.series import (
    Checkpoint,
    Event,
    Parts,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    StateDescriptor,
    TileRow,
)
from .moving_boxes import DecompositionEvents
from .redacted_texts import redact_event, redacted
from .resume import EarlierSamples, OverlapCheck, ResumePoints, SpecDiffs, declarations_in
from .sample_checks import MonotoneCheck, NonFiniteCheck, reversal_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.writer import BundleWriter
    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.changes import SpecDiff, Specification
    from ..model.record import Hash, Json
    from ..model.series import Cost, Decomposition, Ending, Reason
    from .captures import Captures
    from .moving_boxes import DecompositionAt
    from .resume import Upstream
    from .trigger_engine import TriggerEngine


class StorageOutage:
    """A time in which storage refuses: reported once as it begins, and once as it is over."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._start = 0.0
        self._reason = ""
        self._late = 0
        self._lost = 0

    def refuse(self, step: int, reason: str) -> bool:
        """Storage refused the checkpoint of `step`; whether an outage begins with it."""
        self._late += 1
        self._reason = reason
        if self._since is not None:
            return False
        self._since, self._start = step, time.time()
        return True

    def end(self, step: int, lost: int) -> Event | None:
        """Storage took the checkpoint of `step`: the event, if it had refused before.

        `lost` is how many samples and rows of tiles the writer could not hold since it began.
        """
        if self._since is None:
            return None
        now, new = time.time(), lost - self._lost
        event = Event(
            name="storage_back",
            severity="error" if new else "warning",
            step=step,
            wall=now,
            text=f"storage refused from step {self._since} on ({self._reason}) and took everything "
            f"again at step {step}: {self._late} checkpoints were late, "
            + (f"{new} samples or rows of tiles are lost" if new else "nothing is lost"),
            facts={
                "since_step": self._since,
                "since": self._start,
                "reason": self._reason,
                "late_checkpoints": self._late,
                "lost": new,
            },
        )
        self._since, self._late, self._lost = None, 0, lost
        return event

    def unresolved(self, lost: int) -> str:
        """What is lost with this process if storage refuses to the end; empty if all is well."""
        if self._since is None:
            return ""
        more = f" {lost} samples or rows of tiles could not even be held." if lost else ""
        return (
            f"storage refused from step {self._since} to the end of the run ({self._reason}): "
            f"what was recorded since the checkpoint before that may be lost.{more}"
        )


class Rank0Writer:
    """Writes one segment of a run.

    Parameters
    ----------
    writer : BundleWriter
        The bundle, created or resumed.
    captures : Captures
        The facts behind the parts.
    triggers : TriggerEngine
        Looks at what happens, and captures more where a trigger fires.
    segment : Segment
        This job attempt; its documents are stored already.
    previous : Checkpoint or None
        The last checkpoint of the run's earlier segments.
    specification : Specification or None
        What that checkpoint's specification was.
    upstream : tuple of (Hash, Specification or None)
        Ids of the checkpoints this run starts from, and what was specified there.
    resume_points : ResumePoints
        The checkpoints of the run's earlier segments that this one may go on from.
    earlier : EarlierSamples
        The samples of those segments.

    Attributes
    ----------
    append : callable
        Takes an event that has no secrets.
    triggers : TriggerEngine
        As above.
    effective : EffectiveSettings
        The numerical settings in effect.
    """

    def __init__(
        self,
        writer: BundleWriter,
        captures: Captures,
        triggers: TriggerEngine,
        segment: Segment,
        *,
        previous: Checkpoint | None = None,
        specification: Specification | None = None,
        upstream: Upstream = (),
        resume_points: ResumePoints | None = None,
        earlier: EarlierSamples | None = None,
    ) -> None:
        self.append = writer.append
        self.triggers = triggers
        self.effective = captures.effective
        self._writer = writer
        self._outage = StorageOutage()
        self._captures = captures
        self._segment = segment
        self._previous = previous
        self._spec_diffs = SpecDiffs(specification, upstream)
        if specification is not None:
            # An earlier segment's declarations are in force until the first sample.
            captures.declarations = declarations_in(specification)
        self._upstream = upstream
        self._resume_points = resume_points or ResumePoints()
        self._start_step = segment.start_step
        self._schema = SeriesSchema(columns=())
        self._sample: ReducedSample | None = None
        self._tiled: ReducedSample | None = None
        self._samples = 0
        self._non_finite = NonFiniteCheck()
        self._decomposition = DecompositionEvents(writer.store)
        self._overlap = OverlapCheck(earlier or EarlierSamples())
        self._monotone = MonotoneCheck(self._schema)
        writer.append(segment)

    @property
    def awaits_step(self) -> bool:
        """Whether the run goes on from a step that is not known yet."""
        return bool(self._resume_points.points) and not self._segment.start_step

    def describe(
        self,
        schema: SeriesSchema,
        decomposition: Decomposition,
        step: int,
        declarations: Mapping[str, Json],
        joint: bool = False,
    ) -> None:
        """The first sample is set up: what samples mean, and which rank holds what.

        With `joint` it is taken only because the segment begins there; likewise in `end`.
        """
        self._schema = schema
        self._monotone = MonotoneCheck(schema)
        self._captures.declarations = declarations
        stored = self._writer.store(schema)
        self.triggers.describe(schema, stored)
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
        self._record_settings(self.effective.read(step), step)

    def sample(
        self, sample: ReducedSample, wall: float, boxes: DecompositionAt | None = None
    ) -> None:
        """A sample is complete; `wall` is when it was taken, `boxes` where its boxes were."""
        self._sample = sample
        self._samples += 1
        self._writer.append(
            Sample(
                step=sample.step,
                t=sample.t,
                wall=wall,
                values=np.asarray(sample.values, "<f8").tobytes(),
                digests=np.asarray(sample.digests, "<u8").tobytes(),
                faults=sample.faults,
            )
        )
        for event in self._non_finite.events(sample, wall):
            self.event(event)
        if self._decomposition.concerns(sample):
            for event in self._decomposition.of(sample, wall, boxes):
                self.event(event)
        if self._overlap.active:
            digests = _field_digests(self._schema, sample.digests)
            if repeated := self._overlap.check(sample, self._schema, digests):
                self.event(repeated)
        for reversal in self._monotone.check(sample):
            self.event(reversal_event(reversal, wall))
        self.triggers.sample(sample, wall)

    def event(self, event: Event) -> None:
        """Something happened."""
        self.append(redact_event(event))

    def report_settings(self, things: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
        """Numerical settings as they are in effect: solver objects, and settings by name."""
        step = self._sample.step if self._sample else self._segment.start_step
        self._record_settings(self.effective.report(things, settings, step), step)

    def checkpoint(
        self, label: str, reason: Reason, step: int, t: float, why: str, cost: Cost
    ) -> Checkpoint | None:
        """Commit a checkpoint; None while storage refuses."""
        if not isinstance(label, str):
            raise SetupError("label", label, "is not text", mend="Write checkpoint('...').")
        self._store_tile_rows()
        if reason == "start":
            self._start_step = step
        else:
            self._record_settings(self.effective.read(step), step)
        specification = self._captures.specification()
        # The text of a checkpoint that the driver did not ask for is no reason for a change.
        change_reason = why if reason == "user" else ""
        spec_diff, spec_reason = self._spec_diffs.next(specification, change_reason)
        previous = self._previous
        parents = (previous.id,) if previous else tuple(id_ for id_, _ in self._upstream)
        checkpoint = Checkpoint(
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
            why=redacted(why) or spec_reason,
        )
        try:
            self._previous = self._writer.commit(checkpoint)
        except CheckpointHeld as refusal:
            # It is written with the next one, whose parent it is.
            self._previous = refusal.checkpoint
            self.triggers.committed(checkpoint.index)
            if self._outage.refuse(step, self._writer.trouble):
                raise
            return None
        self.triggers.committed(checkpoint.index)
        self._warn_of_mishaps()
        if event := self._outage.end(step, self._writer.losses):
            warnings.warn(event.text, SimckptWarning, stacklevel=4)
            self.event(event)
        return self._previous

    def end(self, ending: Ending, step: int, why: str, joint: bool = False) -> None:
        """The segment ends: commit the rest and close the bundle."""
        if self._writer.losses:
            text = f"{self._writer.losses} samples are lost: {self._writer.trouble}"
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
        if unresolved := self._outage.unresolved(self._writer.losses):
            warnings.warn(unresolved, SimckptWarning, stacklevel=3)
        self._writer.close()
        self._warn_of_mishaps()

    def _warn_of_mishaps(self) -> None:
        for text in self._writer.mishaps:
            warnings.warn(text, SimckptWarning, stacklevel=5)
        self._writer.mishaps.clear()

    def _resumed_from(self) -> Hash | None:
        """The checkpoint that the segment continues, if that was not known when it began."""
        checkpoint = self._resume_points.before(self._start_step)
        return None if checkpoint == self._segment.resumed_from else checkpoint

    def _record_settings(self, events: list[Event], step: int) -> None:
        for event in events:
            self.event(event)
        if changed := self.effective.loosened:
            self.triggers.fire("environment", f"tolerances in effect changed: {changed}", step)

    def _parts(
        self, step: int, specification: Specification, spec_diff: SpecDiff, *, wait: bool
    ) -> Parts:
        store, captures = self._writer.store, self._captures
        artifacts = captures.artifacts(wait=wait)
        transforms = captures.transforms()
        environment = captures.start.environment
        self.triggers.checkpoint(environment, specification, step, captures.nodes)
        return Parts(
            manifest=store(captures.start.manifest),
            specification=store(specification),
            spec_diff=store(spec_diff),
            environment=store(environment),
            intent=store(captures.intent) if captures.intent else None,
            artifacts=store(artifacts) if artifacts else None,
            numerics=store(captures.numerics),
            random=store(captures.random()),
            transforms=store(transforms) if transforms else None,
            configuration=tuple(store(text) for text in captures.configuration()),
        )

    def _state(self) -> StateDescriptor | None:
        sample = self._sample
        if sample is None:
            return None
        names = (column.name for column in self._schema.columns)
        values = dict(zip(names, map(float, sample.values), strict=True))
        return StateDescriptor(
            step=sample.step,
            t=sample.t if math.isfinite(sample.t) else None,
            values={k: v for k, v in values.items() if math.isfinite(v)},
            non_finite={k: str(v) for k, v in values.items() if not math.isfinite(v)},
            digests=_field_digests(self._schema, sample.digests),
        )

    def _store_tile_rows(self) -> None:
        sample = self._sample
        if sample is None or sample is self._tiled:
            return
        self._tiled = sample
        for name, rows in sample.tiles.items():
            self._writer.append(
                TileRow(
                    step=sample.step,
                    field=name,
                    minimum=np.asarray(rows.minimum, "<f8").tobytes(),
                    maximum=np.asarray(rows.maximum, "<f8").tobytes(),
                    mean=np.asarray(rows.mean, "<f8").tobytes(),
                )
            )


def _field_digests(schema: SeriesSchema, digests: np.ndarray) -> dict[str, str]:
    whole: dict[str, str] = {}
    start = 0
    for tiles in schema.tiles:
        total = int(digests[start : start + tiles.size].sum(dtype=np.uint64))
        whole[tiles.field] = f"{total:016x}"
        start += tiles.size
    return whole
