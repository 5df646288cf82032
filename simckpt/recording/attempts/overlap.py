"""Restart reproducibility: whether a continued run repeats what was recorded before.

The samples that an attempt took past the step at which the next one begins are superseded by that
one's. Until then the two overlap, and where they do their digests must be equal, bit for bit, if
the restart is exact. This costs a look at the digests that are there anyway.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...bundle.reading.reader import open_bundle
from ...errors import BundleError
from ...model.segment import Event

if TYPE_CHECKING:
    from ...diagnostics.probe import Reading
    from ...model.series import SeriesSchema

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

    def look(self, reading: Reading, schema: SeriesSchema, digests: Bits) -> Event | None:
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

    def _differing(self, reading: Reading, schema: SeriesSchema, digests: Bits) -> list[str]:
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
