"""What a trigger captures: documents, and the event that names the trigger and what it saw."""

from __future__ import annotations

import math
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capture.configuration import tail_logs
from ..capture.redaction import redact_text
from ..capture.values import clean_text, plain
from ..model.documents import Flight, FlightSample, Text, TileExtremes
from ..model.series import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.record import Document, Facts, Hash
    from .captures import Captures
    from .triggers import Trigger

SAMPLES = 32
"""Samples that are kept in memory."""

MEMORY_BYTES = 64 << 20
"""Bytes that they may take there."""

DUMP_BYTES = 4 << 20
"""Bytes of one dump, before its encoding as text."""

LONGEST_TRACEBACK = 32 * 2**10

_TILE_BYTES = 640
"""About what the message behind a sample holds for each tile."""

_DUMPED_TILE_BYTES = 32


@dataclass(frozen=True)
class TriggerHit:
    """A trigger that fired: why, in words and values, and whether the cap lets it capture."""

    trigger: Trigger
    reason: str
    step: int
    captures: bool
    values: Mapping[str, Any] = field(default_factory=dict)


class RecentSamples:
    """A ring of the last samples, bounded in number and in bytes.

    A sample computes its tile statistics when it is asked for them, so that keeping one costs a
    reference.

    Parameters
    ----------
    samples : int
        How many to keep.
    memory_bytes, dump_bytes : int
        Limits in memory and of one dump; the newest sample is in both in any case.
    """

    def __init__(
        self,
        samples: int = SAMPLES,
        memory_bytes: int = MEMORY_BYTES,
        dump_bytes: int = DUMP_BYTES,
    ) -> None:
        self._ring: deque[tuple[ReducedSample, float]] = deque()
        self._samples = samples
        self._memory_bytes = memory_bytes
        self._dump_bytes = dump_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, sample: ReducedSample, wall: float) -> None:
        """Add a sample, and drop the oldest ones where there is no room."""
        self._ring.append((sample, wall))
        self._bytes += _size(sample, _TILE_BYTES)
        while len(self._ring) > 1 and (
            len(self._ring) > self._samples or self._bytes > self._memory_bytes
        ):
            self._bytes -= _size(self._ring.popleft()[0], _TILE_BYTES)

    def dump(self, schema: Hash) -> Flight | None:
        """What is in memory, as a document; None before the first sample."""
        if not self._ring:
            return None
        count, room = 0, self._dump_bytes
        for sample, _ in reversed(self._ring):
            room -= _size(sample, _DUMPED_TILE_BYTES)
            if count and room < 0:
                break
            count += 1
        omitted = len(self._ring) - count
        return Flight(
            schema=schema,
            samples=tuple(_flight_sample(*item) for item in list(self._ring)[omitted:]),
            omitted=omitted,
        )


def _size(sample: ReducedSample, bytes_per_tile: int) -> int:
    return sample.values.nbytes + bytes_per_tile * sample.digests.size


def _flight_sample(sample: ReducedSample, wall: float) -> FlightSample:
    return FlightSample(
        step=sample.step,
        t=sample.t if math.isfinite(sample.t) else None,
        wall=wall,
        values=_bytes(sample.values, "<f8"),
        digests=_bytes(sample.digests, "<u8"),
        faults=sample.faults,
        tiles={
            name: TileExtremes(
                minimum=_bytes(rows.minimum, "<f8"),
                maximum=_bytes(rows.maximum, "<f8"),
                mean=_bytes(rows.mean, "<f8"),
            )
            for name, rows in sample.tiles.items()
        },
    )


def _bytes(values: np.ndarray, dtype: str) -> bytes:
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


class CaptureWriter:
    """Stores the documents of a capture, on rank 0.

    Parameters
    ----------
    store : callable
        Stores a document and returns its hash.
    captures : Captures
        The facts of the machine.
    logs : tuple of str
        Patterns of the log files.
    """

    def __init__(
        self, store: Callable[[Document], Hash], captures: Captures, logs: tuple[str, ...]
    ) -> None:
        self._store = store
        self._captures = captures
        self._logs = logs
        self._schema: Hash | None = None
        self.recent = RecentSamples()

    def describe(self, schema: Hash) -> None:
        """Set what the samples that follow mean; those before are of no use with it."""
        self._schema = schema
        self.recent = RecentSamples()

    def capture(
        self, hit: TriggerHit, checkpoint: int, error: BaseException | None = None
    ) -> tuple[Event, tuple[str, ...]]:
        """The event of a hit, its documents stored, and what could not be captured."""
        trigger = hit.trigger
        facts: Facts = {
            "trigger": trigger.name,
            "rule": trigger.kind,
            "values": plain(dict(hit.values)),
            "actions": list(trigger.actions),
        }
        problems: list[str] = []
        if hit.captures:
            documents, problems = self._documents(trigger, error)
            facts |= {"documents": documents, "checkpoint": checkpoint}
        reason = redact_text(clean_text(hit.reason))
        capped = "" if hit.captures else "; nothing is captured, as the cap is reached"
        # Exceptions and signals are in the record as such.
        routine = trigger.kind in ("environment", "exception", "signal")
        event = Event(
            name="capture" if hit.captures else "trigger",
            severity="note" if routine else "warning",
            step=hit.step,
            wall=time.time(),
            text=f"{trigger.name}: {reason}{capped}",
            facts=facts,
        )
        return event, tuple(problems)

    def _documents(self, trigger: Trigger, error: BaseException | None) -> tuple[Facts, list[str]]:
        """Hashes by name; one part that fails does not take the others with it."""
        parts: dict[str, Callable[[], Facts]] = {
            "environment": self._environment,
            "recent_samples": self._recent_samples,
            "logs": self._log_tails,
        }
        chosen: dict[str, Callable[[], Facts]] = {
            name: parts[name] for name in trigger.actions if name in parts
        }
        if error is not None:
            chosen["traceback"] = lambda: {"traceback": self._store(traceback_text(error))}
        documents: Facts = {}
        problems: list[str] = []
        for name, part in chosen.items():
            try:
                documents |= part()
            except Exception as problem:  # noqa: BLE001 - the rest of the capture is worth having
                problems.append(
                    f"{name} could not be captured: {type(problem).__name__}: {problem}"
                )
        return documents, problems

    def _environment(self) -> Facts:
        documents: Facts = {
            name: self._store(d) for name, d in self._captures.surroundings().items()
        }
        nodes = self._captures.nodes
        if len(nodes) > 1:
            # As they were when the job began: rank 0 cannot read another node, and no rank waits.
            documents["nodes"] = {host: self._store(facts) for host, facts in nodes.items()}
        return documents

    def _recent_samples(self) -> Facts:
        document = self.recent.dump(self._schema) if self._schema else None
        return {"recent_samples": self._store(document)} if document else {}

    def _log_tails(self) -> Facts:
        texts = tail_logs(self._logs) if self._logs else ()
        return {"logs": [self._store(text) for text in texts]} if texts else {}


def traceback_text(error: BaseException) -> Text:
    """The end of an error's traceback, without secrets."""
    text = redact_text(clean_text("".join(traceback.format_exception(error))))
    end = text[-LONGEST_TRACEBACK:]
    return Text(name="traceback", text=end, truncated=len(end) < len(text))
