"""How a job attempt goes on from what was recorded before it: in its own run, or upstream."""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from ..bundle.reader import open_bundle
from ..errors import BundleError
from ..model.changes import SpecDiff, Specification, UpstreamDiff, diff
from ..model.documents import Environment
from ..model.series import Event
from .redacted_texts import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..bundle.reader import Bundle
    from ..compare.run_view import SegmentView
    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.record import Facts, Hash
    from ..model.series import Checkpoint, SeriesSchema

MOST_SAMPLES = 10_000
"""Samples of the earlier attempts that a restart is compared with, the last ones."""

Bits = Mapping[str, str]
Upstream = tuple[tuple["Hash", Specification | None], ...]


# The checkpoints of a run that its next job attempt may go on from.


@dataclass(frozen=True)
class ResumePoints:
    """Steps and ids of the checkpoints that no later job attempt went back behind."""

    points: tuple[tuple[int, Hash], ...] = ()

    @classmethod
    def of(cls, checkpoints: Iterable[Checkpoint], segments: Sequence[SegmentView]) -> Self:
        """Those of a recorded run.

        The checkpoint with which a restarted attempt began counts if the attempt got as far as
        its first step.
        """
        limits: dict[int, float] = {}
        first_steps: dict[int, int] = {}
        limit = math.inf
        for view in reversed(segments):
            index = view.segment.index
            limits[index] = limit
            if view.start_step or view.schema is not None or view is segments[0]:
                first_steps[index] = view.start_step
            limit = min(limit, view.start_step)
        return cls(
            tuple(
                (c.step, c.id)
                for c in checkpoints
                if c.step <= limits.get(c.segment, limit)
                and (c.reason != "start" or c.step == first_steps.get(c.segment))
            )
        )

    @property
    def last(self) -> Hash | None:
        """The latest one: what a run goes on from as long as it does not say otherwise."""
        return self.points[-1][1] if self.points else None

    def before(self, step: int) -> Hash | None:
        """The latest checkpoint at or before `step`; None if there is none."""
        earlier = [point for point in self.points if point[0] <= step]
        # Of several at one step the last counts.
        return max(reversed(earlier), key=lambda point: point[0])[1] if earlier else None


# The run's own earlier attempts, or the run upstream.


@dataclass(frozen=True)
class PreviousRun:
    """What triggers compare a job attempt with.

    Parameters
    ----------
    exists : bool
        False at the beginning of a campaign.
    continued : bool
        It is the same run, in its earlier attempts.
    environment, specification
        Those of the last checkpoint, where its bundle can be read.
    nodes : tuple of Environment
        Those of the nodes of the last job attempt, each once.
    first_values : mapping of str to float
        Values of the run's first sample by column; empty for a new run.
    captures : mapping of str to int
        The run's last capture of each trigger, as the number of its checkpoint.
    resume_points : ResumePoints
        The run's checkpoints that it may go on from.
    """

    exists: bool = False
    continued: bool = False
    environment: Environment | None = None
    specification: Specification | None = None
    nodes: tuple[Environment, ...] = ()
    first_values: Mapping[str, float] = field(default_factory=dict)
    captures: Mapping[str, int] = field(default_factory=dict)
    resume_points: ResumePoints = field(default_factory=ResumePoints)


def previous_run(
    continued: str, upstream: tuple[str, ...], quantities: frozenset[str] = frozenset()
) -> PreviousRun:
    """What came before: in the bundle that is `continued`, if any, and else `upstream`.

    Of the run's first sample, the values of `quantities` are read. The run does not depend on
    what cannot be read.
    """
    if continued:
        try:
            with open_bundle(continued) as bundle:
                return PreviousRun(
                    **_last_checkpoint(bundle),
                    continued=True,
                    first_values=_first_values(bundle, quantities),
                    captures=_last_captures(bundle),
                    resume_points=ResumePoints.of(bundle.checkpoints, bundle.segments),
                )
        except (BundleError, OSError):
            return PreviousRun(exists=True, continued=True)
    for entry in upstream:
        try:
            with open_bundle(entry) as bundle:
                return PreviousRun(**_last_checkpoint(bundle))
        except (BundleError, OSError):
            continue  # a checkpoint id whose bundle is elsewhere
    return PreviousRun(exists=bool(upstream))


def _last_captures(bundle: Bundle) -> dict[str, int]:
    captures: dict[str, int] = {}
    for event in bundle.events:
        number = event.facts.get("checkpoint")
        if event.name == "capture" and isinstance(number, int):
            captures[str(event.facts.get("trigger"))] = number
    return captures


def _last_checkpoint(bundle: Bundle) -> Facts:
    if not bundle.checkpoints:
        return {}
    last = bundle.checkpoints[-1]
    nodes = bundle.segments[-1].segment.nodes if bundle.segments else ()
    return {
        "exists": True,
        "environment": _environment(bundle, last.parts.environment),
        "specification": specification_at(bundle, last),
        "nodes": tuple(
            environment
            for reference in dict.fromkeys(node.environment for node in nodes)
            if (environment := _environment(bundle, reference)) is not None
        ),
    }


def _environment(bundle: Bundle, reference: Hash | None) -> Environment | None:
    document = bundle.document(reference) if reference else None
    return document if isinstance(document, Environment) else None


def specification_at(bundle: Bundle, checkpoint: Checkpoint) -> Specification | None:
    """The specification that `checkpoint` refers to, if it does."""
    if checkpoint.parts.specification is None:
        return None
    document = bundle.document(checkpoint.parts.specification)
    return document if isinstance(document, Specification) else None


def _first_values(bundle: Bundle, quantities: frozenset[str]) -> dict[str, float]:
    if not quantities:
        return {}
    series = bundle.series()
    columns = quantities.intersection(series) if len(series.step) else ()
    first = {name: float(series[name][0]) for name in columns}
    return {name: value for name, value in first.items() if math.isfinite(value)}


# Restart reproducibility: whether a continued run repeats what was recorded before.
#
# The samples that an attempt took past the step at which the next one begins are superseded by
# those of the next. Where the two overlap, the digests must be equal if the restart is exact.


@dataclass(frozen=True)
class EarlierSamples:
    """The samples of earlier attempts: the bits of each quantity and field, by step."""

    values: Mapping[int, Bits] = field(default_factory=dict)
    digests: Mapping[int, Bits] = field(default_factory=dict)


def earlier_samples(path: str) -> EarlierSamples:
    """Those in the bundle at `path`; none where they cannot be read."""
    try:
        with open_bundle(path) as bundle:
            series = bundle.series()
            columns = {name: series[name][-MOST_SAMPLES:] for name in series}
            digests: dict[int, dict[str, str]] = {}
            for field_name in bundle.fields:
                recorded = bundle.digests(field_name)
                for step, total in zip(recorded.step, recorded.whole, strict=True):
                    digests.setdefault(int(step), {})[field_name] = f"{int(total):016x}"
            values = {
                int(step): {name: _bits(float(column[i])) for name, column in columns.items()}
                for i, step in enumerate(series.step[-MOST_SAMPLES:])
            }
            return EarlierSamples(values, digests)
    except (BundleError, OSError, ValueError):
        return EarlierSamples()


class OverlapCheck:
    """Compares the samples of this attempt with those before it, until it has passed them.

    Parameters
    ----------
    earlier : EarlierSamples
        The samples of earlier attempts.
    """

    def __init__(self, earlier: EarlierSamples) -> None:
        self._earlier = earlier
        self._last = max(earlier.values, default=-1)
        self._repeated: list[int] = []

    @property
    def active(self) -> bool:
        """Whether there is something left to compare with."""
        return self._last >= 0

    def check(self, sample: ReducedSample, schema: SeriesSchema, digests: Bits) -> Event | None:
        """The event that a sample gives: the first difference, or the end of the overlap."""
        step = sample.step
        if self._last < 0 or sample.faults:
            return None
        if differing := self._differing(sample, schema, digests):
            self._last = -1
            return self._differs(step, differing)
        if step in self._earlier.values:
            self._repeated.append(step)
        if step < self._last:
            return None
        self._last = -1
        return self._repeats(step) if self._repeated else None

    def _differing(self, sample: ReducedSample, schema: SeriesSchema, digests: Bits) -> list[str]:
        """The fields that differ at this step; without fields, the exact quantities."""
        before = self._earlier.digests.get(sample.step, {})
        if shared := before.keys() & digests.keys():
            return sorted(name for name in shared if before[name] != digests[name])
        values = self._earlier.values.get(sample.step, {})
        return [
            column.name
            for column, value in zip(schema.columns, sample.values, strict=True)
            if column.exact and values.get(column.name, _bits(float(value))) != _bits(float(value))
        ]

    def _differs(self, step: int, differing: list[str]) -> Event:
        names = ", ".join(differing[:3]) + (" and others" if len(differing) > 3 else "")
        verb = "is" if len(differing) == 1 else "are"
        count = len(self._repeated)
        before = f"; {count} before {'repeats' if count == 1 else 'repeat'} it" if count else ""
        return Event(
            name="restart_differs",
            severity="warning",
            step=step,
            wall=time.time(),
            text=f"the restart does not repeat the earlier attempt: {names} {verb} different at "
            f"step {step}{before}",
            facts={"step": step, "differing": differing, "repeated": count},
        )

    def _repeats(self, step: int) -> Event:
        first, last, count = self._repeated[0], self._repeated[-1], len(self._repeated)
        samples = "1 sample" if count == 1 else f"{count} samples"
        return Event(
            name="restart_repeats",
            severity="note",
            step=step,
            wall=time.time(),
            text=f"the restart repeats {samples} of the earlier attempt bit for bit, "
            f"from step {first} to {last}",
            facts={"first": first, "last": last, "repeated": count},
        )


def _bits(value: float) -> str:
    return struct.pack("<d", value).hex()


# What changed in the specification since the last checkpoint and since the upstream ones, and why.
#
# The reason that the user gives belongs to a change. SIMCKPT_WHY gives that of the job's first
# checkpoint and of those at which something changed; the others have none.

_DECLARATIONS = "declarations"
_LATER_PARTS = (_DECLARATIONS, "captures")
"""Parts that are filled at the first sample, which is no change of them."""

_OPTIONAL_PARTS = ("configuration",)
"""Parts that early versions did not record."""


class SpecDiffs:
    """The spec diffs of one job attempt.

    Parameters
    ----------
    last : Specification or None
        That of the last checkpoint of the run's earlier segments.
    upstream : tuple of (Hash, Specification or None)
        Ids of the checkpoints this run starts from, and what was specified there.
    """

    def __init__(self, last: Specification | None, upstream: Upstream) -> None:
        self._last = last
        self._upstream = upstream
        self._since: SpecDiff | None = None
        self._first_why = ""

    def next(self, specification: Specification, why: str) -> tuple[SpecDiff, str]:
        """The diff of the next checkpoint, and the reason of the checkpoint itself.

        `why` is what the driver says at this checkpoint.
        """
        last, self._last = self._last, specification
        same, first = last == specification, self._since is None
        changes = () if last is None or same else diff(*_comparable(last, specification))
        reason = redacted(why)
        if not reason and (changes or first):
            reason = redacted(os.environ.get("SIMCKPT_WHY", ""))
        if first:
            self._first_why = reason
        if self._since is None or not same:
            self._since = self._since_upstream(specification)
        if changes:
            return replace(self._since, changes=changes, why=reason), reason
        differs = self._since.since_upstream or self._since.further
        return replace(self._since, why=self._first_why if differs else ""), reason

    def _since_upstream(self, specification: Specification) -> SpecDiff:
        diffs: list[UpstreamDiff] = []
        unlike: list[Hash] = []
        for id_, before in self._upstream:
            if before is None:
                continue
            if same_program(before, specification):
                changes = diff(*_comparable(before, specification))
                diffs.append(UpstreamDiff(upstream=id_, changes=changes))
            else:
                unlike.append(id_)
        return SpecDiff(
            upstream=diffs[0].upstream if diffs else None,
            since_upstream=diffs[0].changes if diffs else (),
            further=tuple(diffs[1:]),
            unlike=tuple(unlike),
        )


def declarations_in(specification: Specification) -> Facts:
    """The declarations in `specification`; empty before the first sample."""
    return _part(specification, _DECLARATIONS)


def same_program(old: Specification, new: Specification) -> bool:
    """Whether two specifications are of one program: then what differs was changed.

    They have the same role in their chains, and modules of the user's own in common. A driver
    whose file alone has another name has the same arguments.
    """
    if _part(old, "stage").get("role") != _part(new, "stage").get("role"):
        return False
    modules = _part(old, "code"), _part(new, "code")
    if modules[0].keys() & modules[1].keys():
        return True
    same_driver = old.facts.get("driver") == new.facts.get("driver")
    arguments = _part(old, "parameters").keys() & _part(new, "parameters").keys()
    return same_driver and bool(arguments or not all(modules))


def _comparable(old: Specification, new: Specification) -> tuple[Facts, Facts]:
    """The facts of both, without the parts that one side does not have."""
    absent = {key for key in _LATER_PARTS if not (old.facts.get(key) and new.facts.get(key))}
    absent |= {key for key in _OPTIONAL_PARTS if not (key in old.facts and key in new.facts)}
    first, second = (
        {key: value for key, value in side.facts.items() if key not in absent}
        for side in (old, new)
    )
    return first, second


def _part(specification: Specification, name: str) -> Facts:
    part = specification.facts.get(name)
    return part if isinstance(part, dict) else {}
