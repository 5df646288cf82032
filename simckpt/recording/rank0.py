"""What a recorder tells about a run, and the scribe of the ranks that do not write.

Rank 0 has a `BundleScribe`, which makes records of it. The others have a `SilentScribe`, so
that nobody has to ask which rank it is.
"""

from __future__ import annotations

import math
import time
import warnings
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..bundle.writer import CheckpointHeld
from ..errors import SetupError, SimckptWarning
from ..model.series import (
    Checkpoint,
    Cost,
    Event,
    Parts,
    Reason,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    StateDescriptor,
    TileRow,
)
from .anomaly import Monotone, wrong_way
from .begin import declared_in
from .moving_boxes import Boxes
from .redacted_texts import redacted, told
from .restart import NOTHING, Known, Overlap, SpecDiffs
from .resume_points import NO_WAYPOINTS
from .trigger_captures import Origins
from .trigger_engine import NO_WISHES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..bundle.writer import BundleWriter
    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.changes import SpecDiff, Specification
    from ..model.record import Hash, Json
    from ..model.series import Checkpoint, Cost, Decomposition, Ending, Event, Reason, SeriesSchema
    from .captures import Captures
    from .moving_boxes import Placed
    from .resume_points import Waypoints
    from .trigger_engine import Sentry, Wishes
    from .triggers import Kind

MOST_KEPT_EVENTS = 100


class Scribe(Protocol):
    """Takes down what happens in a run."""

    @abstractmethod
    def describe(
        self,
        schema: SeriesSchema,
        decomposition: Decomposition,
        step: int,
        declarations: Mapping[str, Json],
        joint: bool = False,
    ) -> None:
        """The first sample is set up: what samples mean, which rank holds what, what was asked.

        With `joint` it is taken only because the segment begins there; likewise in `end`.
        """

    @abstractmethod
    def sample(self, reading: ReducedSample, wall: float, placed: Placed | None = None) -> None:
        """A sample is complete; `wall` is when it was taken, `placed` where its boxes lay."""

    @abstractmethod
    def event(self, event: Event) -> None:
        """Something happened."""

    @abstractmethod
    def report_settings(self, things: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
        """Numerical settings as they are in effect: solver objects, and settings by name."""

    @abstractmethod
    def follow(self, source: Callable[[], Any]) -> None:
        """Where to find the solver objects whenever their settings are read."""

    @abstractmethod
    def checkpoint(
        self, label: str, reason: Reason, step: int, t: float, why: str, cost: Cost
    ) -> Checkpoint | None:
        """Commit a checkpoint; None on ranks that do not write."""

    @abstractmethod
    def met(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        """An exception or a signal ends the run."""

    @abstractmethod
    def wishes(self) -> Wishes:
        """What triggers ask of the recorder, since this was last asked."""

    @abstractmethod
    def end(self, ending: Ending, step: int, why: str, joint: bool = False) -> None:
        """The segment ends: commit what is left and close the bundle."""

    @property
    @abstractmethod
    def awaits_step(self) -> bool:
        """Whether the run goes on from a step that has not been told yet."""

    @property
    @abstractmethod
    def unsaid(self) -> tuple[Event, ...]:
        """Events that this rank keeps for rank 0."""


class SilentScribe:
    """The scribe of a rank that does not write: it keeps its events for rank 0."""

    awaits_step = False

    def __init__(self) -> None:
        self._events: list[Event] = []

    def describe(
        self,
        schema: SeriesSchema,
        decomposition: Decomposition,
        step: int,
        declarations: Mapping[str, Json],
        joint: bool = False,
    ) -> None:
        """Nothing to do."""

    def sample(self, reading: ReducedSample, wall: float, placed: Placed | None = None) -> None:
        """Nothing to do: only rank 0 receives readings."""

    def event(self, event: Event) -> None:
        if len(self._events) < MOST_KEPT_EVENTS:
            self._events.append(event)

    def report_settings(self, things: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
        """Nothing to do: rank 0 reports the settings."""

    def follow(self, source: Callable[[], Any]) -> None:
        """Nothing to do: rank 0 reads them."""

    def checkpoint(
        self, label: str, reason: Reason, step: int, t: float, why: str, cost: Cost
    ) -> Checkpoint | None:
        return None

    def met(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        """Nothing to do: rank 0 captures."""

    def wishes(self) -> Wishes:
        return NO_WISHES

    def end(self, ending: Ending, step: int, why: str, joint: bool = False) -> None:
        """Nothing to do."""

    @property
    def unsaid(self) -> tuple[Event, ...]:
        return tuple(self._events)


# A time in which storage refuses: told once as it begins, and once as it is over.


class Outage:
    """What is known of the outage under way, if there is one."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._began = 0.0
        self._reason = ""
        self._held = 0
        self._lost = 0

    def refused(self, step: int, reason: str) -> bool:
        """Storage refused the checkpoint of `step`; whether an outage begins with it."""
        self._held += 1
        self._reason = reason
        if self._since is not None:
            return False
        self._since, self._began = step, time.time()
        return True

    def over(self, step: int, lost: int) -> Event | None:
        """Storage took the checkpoint of `step`: what to say, if it had refused before.

        `lost` is how many samples and rows of tiles the writer could not hold since it began.
        """
        if self._since is None:
            return None
        now, gone = time.time(), lost - self._lost
        event = Event(
            name="storage_back",
            severity="error" if gone else "warning",
            step=step,
            wall=now,
            text=f"storage refused from step {self._since} on ({self._reason}) and took everything "
            f"again at step {step}: {self._held} checkpoints were late, "
            + (f"{gone} samples or rows of tiles are lost" if gone else "nothing is lost"),
            facts={
                "since_step": self._since,
                "since": self._began,
                "reason": self._reason,
                "late_checkpoints": self._held,
                "lost": gone,
            },
        )
        self._since, self._held, self._lost = None, 0, lost
        return event

    def unresolved(self, lost: int) -> str:
        """What is lost with this process if storage refuses to the end; empty if all is well."""
        if self._since is None:
            return ""
        gone = f" {lost} samples or rows of tiles could not even be held." if lost else ""
        return (
            f"storage refused from step {self._since} to the end of the run ({self._reason}): "
            f"what was recorded since the checkpoint before that may be lost.{gone}"
        )


# Rank 0's scribe: what happens in a run becomes records of its bundle.


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
        self._reading: ReducedSample | None = None
        self._tiled: ReducedSample | None = None
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

    def sample(self, reading: ReducedSample, wall: float, placed: Placed | None = None) -> None:
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

    def report_settings(self, things: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
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
