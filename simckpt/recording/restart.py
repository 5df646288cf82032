"""Restart reproducibility: whether a continued run repeats what was recorded before.

The samples that an attempt took past the step at which the next one begins are superseded by that
one's. Until then the two overlap, and where they do their digests must be equal, bit for bit, if
the restart is exact. This costs a look at the digests that are there anyway.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..bundle.reader import open_bundle
from ..errors import BundleError
from ..model.changes import SpecDiff, UpstreamDiff, diff
from ..model.series import Event
from .begin import alike, comparable
from .redacted_texts import redacted

if TYPE_CHECKING:
    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.changes import Specification
    from ..model.record import Hash
    from ..model.series import SeriesSchema

MOST_SAMPLES = 10_000
"""The last samples of the earlier attempts that are kept for this."""

Bits = Mapping[str, str]


@dataclass(frozen=True)
class Known:
    """The samples of earlier attempts: the bits of each quantity and field, by step."""

    values: Mapping[int, Bits]
    digests: Mapping[int, Bits]


NOTHING = Known({}, {})


def known_samples(path: str) -> Known:
    """Those in the bundle at `path`; none where they cannot be read."""
    try:
        with open_bundle(path) as bundle:
            series = bundle.series()
            steps = [int(step) for step in series.step[-MOST_SAMPLES:]]
            columns = {name: series[name][-MOST_SAMPLES:] for name in series}
            digests: dict[int, dict[str, str]] = {}
            for field in bundle.fields:
                found = bundle.digests(field)
                for step, whole in zip(found.step, found.whole, strict=True):
                    digests.setdefault(int(step), {})[field] = f"{int(whole):016x}"
            values = {
                step: {name: _bits(float(column[i])) for name, column in columns.items()}
                for i, step in enumerate(steps)
            }
            return Known(values, digests)
    except (BundleError, OSError, ValueError):
        return NOTHING


class Overlap:
    """Compares the samples of this attempt with those before it, until it has passed them.

    Parameters
    ----------
    known : Known
        The samples of earlier attempts.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._last = max(known.values, default=-1)
        self._repeated: list[int] = []

    @property
    def going_on(self) -> bool:
        """Whether there is something left to compare with."""
        return self._last >= 0

    def look(self, reading: ReducedSample, schema: SeriesSchema, digests: Bits) -> Event | None:
        """The event that a sample gives: the first difference, or the end of the overlap."""
        step = reading.step
        if self._last < 0 or reading.faults:
            return None
        differing = self._differing(reading, schema, digests)
        if differing:
            self._last = -1
            return self._differs(step, differing)
        if step in self._known.values:
            self._repeated.append(step)
        if step < self._last:
            return None
        self._last = -1
        return self._same(step) if self._repeated else None

    def _differing(self, reading: ReducedSample, schema: SeriesSchema, digests: Bits) -> list[str]:
        """The fields that differ at this step; without fields, the exact quantities."""
        before = self._known.digests.get(reading.step, {})
        shared = before.keys() & digests.keys()
        if shared:
            return sorted(name for name in shared if before[name] != digests[name])
        values = self._known.values.get(reading.step, {})
        return [
            column.name
            for column, value in zip(schema.columns, reading.values, strict=True)
            if column.exact and values.get(column.name, _bits(float(value))) != _bits(float(value))
        ]

    def _differs(self, step: int, differing: list[str]) -> Event:
        shown = ", ".join(differing[:3]) + (" and others" if len(differing) > 3 else "")
        verb = "is" if len(differing) == 1 else "are"
        count = len(self._repeated)
        before = f"; {count} before {'repeats' if count == 1 else 'repeat'} it" if count else ""
        return Event(
            name="restart_differs",
            severity="warning",
            step=step,
            wall=time.time(),
            text=f"the restart does not repeat the earlier attempt: {shown} {verb} different at "
            f"step {step}{before}",
            facts={"step": step, "differing": differing, "repeated": len(self._repeated)},
        )

    def _same(self, step: int) -> Event:
        first, last = self._repeated[0], self._repeated[-1]
        count = len(self._repeated)
        plural = "sample" if count == 1 else "samples"
        return Event(
            name="restart_repeats",
            severity="note",
            step=step,
            wall=time.time(),
            text=f"the restart repeats {count} {plural} of the earlier attempt bit for bit, from "
            f"step {first} to {last}",
            facts={"first": first, "last": last, "repeated": count},
        )


def _bits(value: float) -> str:
    return struct.pack("<d", value).hex()


# What changed in the specification since the last checkpoint and since the upstream ones, and why.
#
# The reason that the user gives belongs to a change. One that stands in the environment of a whole
# job (``SIMCKPT_WHY``) is that of the job's first checkpoint and of those at which something
# changed; the others have none.


class SpecDiffs:
    """The spec diffs of one job attempt.

    Parameters
    ----------
    last : Specification or None
        That of the last checkpoint of the run's earlier segments.
    upstream : tuple of (Hash, Specification or None)
        Ids of the checkpoints this run starts from, and what was specified there.
    """

    def __init__(
        self,
        last: Specification | None,
        upstream: tuple[tuple[Hash, Specification | None], ...],
    ) -> None:
        self._last = last
        self._upstream = upstream
        self._began = False
        self._since: SpecDiff | None = None
        self._why = ""

    def next(self, specification: Specification, why: str) -> tuple[SpecDiff, str]:
        """The diff of the next checkpoint, and the reason that the checkpoint itself tells.

        `why` is what the driver says at this checkpoint.
        """
        last, self._last = self._last, specification
        same = last == specification
        changes = () if last is None or same else diff(*comparable(last, specification))
        reason = redacted(why)
        if not reason and (changes or not self._began):
            reason = redacted(os.environ.get("SIMCKPT_WHY", ""))
        if not self._began:
            self._began = True
            self._why = reason
        if self._since is None or not same:
            self._since = self._since_upstream(specification)
        if changes:
            return replace(self._since, changes=changes, why=reason), reason
        differs = self._since.since_upstream or self._since.further
        return replace(self._since, why=self._why if differs else ""), reason

    def _since_upstream(self, specification: Specification) -> SpecDiff:
        found: list[UpstreamDiff] = []
        unlike: list[Hash] = []
        for id_, before in self._upstream:
            if before is None:
                continue
            if alike(before, specification):
                changes = diff(*comparable(before, specification))
                found.append(UpstreamDiff(upstream=id_, changes=changes))
            else:
                unlike.append(id_)
        return SpecDiff(
            upstream=found[0].upstream if found else None,
            since_upstream=found[0].changes if found else (),
            further=tuple(found[1:]),
            unlike=tuple(unlike),
        )
