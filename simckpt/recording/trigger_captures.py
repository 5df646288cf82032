"""What a firing captures: documents, and the event that says which trigger fired with what."""

from __future__ import annotations

import math
import re
import time
import traceback
from bisect import bisect_right
from collections import deque
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capture.configuration import tail_logs
from ..capture.redaction import redact_text
from ..capture.values import clean_text, plain
from ..model.changes import diff
from ..model.documents import Flight, FlightSample, Text, TileExtremes
from ..model.series import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.changes import Change, Specification
    from ..model.documents import Environment
    from ..model.record import Document, Facts, Hash
    from ..model.series import FieldTiles, Severity
    from .captures import Captures
    from .triggers import Firing

# The flight recorder: the last samples, kept in memory on rank 0 until a trigger wants them.


SAMPLES = 32
"""Samples that are kept."""

KEPT_BYTES = 64 << 20
"""Bytes that they may take in memory."""

DUMPED_BYTES = 4 << 20
"""Bytes of one dump, before its encoding as text."""

_TILE_BYTES = 640
"""About what the message behind a sample holds for each tile."""

_DUMPED_TILE_BYTES = 32


class FlightRecorder:
    """A ring of the last samples, bounded in number and in bytes.

    A reading works out its tile statistics when it is asked for them, so that keeping one costs
    a reference.

    Parameters
    ----------
    samples : int
        How many to keep.
    kept_bytes, dumped_bytes : int
        Bounds in memory and of one dump; the newest sample is kept and dumped in any case.
    """

    def __init__(
        self,
        samples: int = SAMPLES,
        kept_bytes: int = KEPT_BYTES,
        dumped_bytes: int = DUMPED_BYTES,
    ) -> None:
        self._ring: deque[tuple[ReducedSample, float]] = deque()
        self._samples = samples
        self._kept_bytes = kept_bytes
        self._dumped_bytes = dumped_bytes
        self._held = 0

    def __len__(self) -> int:
        return len(self._ring)

    def note(self, reading: ReducedSample, wall: float) -> None:
        """Keep a sample, and let go of the oldest where there is no room."""
        self._ring.append((reading, wall))
        self._held += _size(reading, _TILE_BYTES)
        while len(self._ring) > 1 and (
            len(self._ring) > self._samples or self._held > self._kept_bytes
        ):
            self._held -= _size(self._ring.popleft()[0], _TILE_BYTES)

    def dump(self, schema: Hash) -> Flight | None:
        """What is in memory, as a document; None where no sample was taken yet."""
        chosen: list[tuple[ReducedSample, float]] = []
        room = self._dumped_bytes
        for reading, wall in reversed(self._ring):
            room -= _size(reading, _DUMPED_TILE_BYTES)
            if chosen and room < 0:
                break
            chosen.append((reading, wall))
        if not chosen:
            return None
        return Flight(
            schema=schema,
            samples=tuple(_sample(reading, wall) for reading, wall in reversed(chosen)),
            omitted=len(self._ring) - len(chosen),
        )


def _size(reading: ReducedSample, bytes_per_tile: int) -> int:
    return int(reading.values.nbytes) + bytes_per_tile * int(reading.digests.size)


def _sample(reading: ReducedSample, wall: float) -> FlightSample:
    return FlightSample(
        step=reading.step,
        t=reading.t if math.isfinite(reading.t) else None,
        wall=wall,
        values=_bytes(reading.values, "<f8"),
        digests=_bytes(reading.digests, "<u8"),
        faults=reading.faults,
        tiles={
            name: TileExtremes(
                minimum=_bytes(rows.minimum, "<f8"),
                maximum=_bytes(rows.maximum, "<f8"),
                mean=_bytes(rows.mean, "<f8"),
            )
            for name, rows in reading.tiles.items()
        },
    )


def _bytes(values: np.ndarray, dtype: str) -> bytes:
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


LONGEST_TRACE = 32 * 2**10


class Evidence:
    """Gathers the documents of a capture, on rank 0.

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
        self._flight = FlightRecorder()
        self._schema: Hash | None = None

    def describe(self, schema: Hash) -> None:
        """The samples that follow mean this; those before are of no use with them."""
        self._schema = schema
        self._flight = FlightRecorder()

    def note(self, reading: ReducedSample, wall: float) -> None:
        """Keep a sample in the flight recorder."""
        self._flight.note(reading, wall)

    def event(
        self, firing: Firing, checkpoint: int, error: BaseException | None = None
    ) -> tuple[Event, tuple[str, ...]]:
        """The event of a firing, its documents stored, and what could not be captured."""
        trigger, finding = firing.trigger, firing.finding
        facts: Facts = {
            "trigger": trigger.name,
            "rule": trigger.kind,
            "values": plain(dict(finding.values)),
            "actions": list(trigger.actions),
        }
        problems: list[str] = []
        if firing.captures:
            documents, problems = self._documents(trigger.actions, error)
            facts |= {"documents": documents, "checkpoint": checkpoint}
        reason = redact_text(clean_text(finding.reason))
        capped = "" if firing.captures else "; nothing is captured, as the cap is reached"
        event = Event(
            name="capture" if firing.captures else "trigger",
            severity=_severity(trigger.kind),
            step=firing.step,
            wall=time.time(),
            text=f"{trigger.name}: {reason}{capped}",
            facts=facts,
        )
        return event, tuple(problems)

    def _documents(
        self, actions: Iterable[str], error: BaseException | None
    ) -> tuple[dict[str, Any], list[str]]:
        """Hashes by name; one part that fails does not take the others with it."""
        found: dict[str, Any] = {}
        problems: list[str] = []
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "environment": self._environment,
            "recent_samples": self._dump,
            "logs": self._tails,
        }
        wanted = [(name, parts[name]) for name in actions if name in parts]
        if error is not None:
            wanted.append(("traceback", lambda: {"traceback": self._store(trace(error))}))
        for name, part in wanted:
            try:
                found |= part()
            except Exception as problem:  # noqa: BLE001 - the rest of the capture is worth having
                problems.append(
                    f"{name} could not be captured: {type(problem).__name__}: {problem}"
                )
        return found, problems

    def _environment(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            name: self._store(d) for name, d in self._captures.surroundings().items()
        }
        nodes = self._captures.nodes
        if len(nodes) > 1:
            # As they told when the job began: rank 0 cannot read another node, and no rank waits.
            found["nodes"] = {host: self._store(told) for host, told in nodes.items()}
        return found

    def _dump(self) -> dict[str, Any]:
        flight = self._flight.dump(self._schema) if self._schema else None
        return {"recent_samples": self._store(flight)} if flight else {}

    def _tails(self) -> dict[str, Any]:
        texts = tail_logs(self._logs) if self._logs else ()
        return {"logs": [self._store(text) for text in texts]} if texts else {}


def trace(error: BaseException) -> Text:
    """The traceback of an error, without secrets."""
    text = redact_text(clean_text("".join(traceback.format_exception(error))))
    kept = text[-LONGEST_TRACE:]
    return Text(name="traceback", text=kept, truncated=len(kept) < len(text))


def _severity(kind: str) -> Severity:
    # Exceptions and signals are in the record as such.
    return "note" if kind in ("environment", "exception", "signal") else "warning"


# Whether a run is somewhere else, or something else, than the run or job attempt before it.


CLASSES: dict[str, re.Pattern[str]] = {
    "machine": re.compile(r"cpu\.(vendor|model|implementer|part|sockets|cores)\b|os\.machine\b"),
    "accelerator": re.compile(
        r"accelerators\.(?!.*(driver|firmware|bios))|gpu\.(count|devices)\b(?!.*bios)"
    ),
    "dependencies": re.compile(r"(lockfile|container|modules)\b|packages\.hash|.*\.conda\b"),
    "toolchain": re.compile(
        r"python\.(implementation|version|compiler)\b|jit\b|blas\b|mpi\.library|os\.libc"
        r"|accelerators\..*(driver|firmware)|gpu\.(driver|cuda)\b"
    ),
}
"""The stable facts of an environment by what a change of them means."""

SPECIFIED: dict[str, re.Pattern[str]] = {
    "simulator version": re.compile(r"code\b"),
    "tolerances": re.compile(
        r"(numerics|parameters|configuration)\..*(tol(erance)?s?\b|max_iter)", re.IGNORECASE
    ),
}
"""The same for what the user specified."""


def environment_changes(before: Environment, now: Environment) -> dict[str, tuple[Change, ...]]:
    """The classes of facts that changed, each with the changes."""
    return _classed(diff(before.sections, now.sections), CLASSES)


def node_changes(
    before: Iterable[Environment], now: Mapping[str, Environment]
) -> dict[str, dict[str, tuple[Change, ...]]]:
    """For each host that is like no node before, what sets it apart from the one most like it."""
    known = {environment.fingerprint: environment for environment in before}
    found: dict[str, dict[str, tuple[Change, ...]]] = {}
    if not known:
        return found
    for host, environment in now.items():
        if environment.fingerprint in known:
            continue
        changes = [environment_changes(old, environment) for old in known.values()]
        nearest = min(changes, key=lambda classes: sum(map(len, classes.values())))
        if nearest:
            found[host] = nearest
    return found


def specification_changes(
    before: Specification, now: Specification
) -> dict[str, tuple[Change, ...]]:
    """Changes of the simulator's version and of tolerances."""
    return _classed(diff(before.facts, now.facts), SPECIFIED)


def _classed(
    changes: tuple[Change, ...], classes: dict[str, re.Pattern[str]]
) -> dict[str, tuple[Change, ...]]:
    found = {
        name: tuple(change for change in changes if pattern.match(change.path))
        for name, pattern in classes.items()
    }
    return {name: members for name, members in found.items() if members}


# Where fields cease to be finite: the first cell, its tile, and how large values were before.


KINDS = {"nan": "NaN", "posinf": "+Inf", "neginf": "-Inf"}


class Origins:
    """Tells of each field once, when it is not finite for the first time in a job attempt."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._before: ReducedSample | None = None

    def events(self, reading: ReducedSample, wall: float) -> Iterator[Event]:
        """The fields that are not finite in `reading` and were till then."""
        for field, index in reading.origins.items():
            if field not in self._told:
                self._told.add(field)
                yield self._event(reading, wall, field, index)
        if not reading.faults:
            self._before = reading

    def _event(
        self, reading: ReducedSample, wall: float, field: str, index: tuple[int, ...]
    ) -> Event:
        found = {kind: reading[f"{field}.{kind}"] for kind in KINDS}
        counts = {kind: int(n) for kind, n in found.items() if isfinite(n)}
        tile = _tile(next(t for t in reading.schema.tiles if t.field == field), index)
        facts: Facts = {"field": field, "index": list(index), "tile": list(tile), **counts}
        told = ", ".join(f"{n} {KINDS[kind]}" for kind, n in counts.items() if n)
        text = f"{field} is not finite for the first time{': ' if told else ''}{told}; "
        if field.startswith("particles."):
            text += f"the first is the particle with the id {index[0]}"
        else:
            text += f"the first cell is ({_listed(index)}), in tile ({_listed(tile)})"
        if self._before is not None:
            low, high = self._before[f"{field}.min"], self._before[f"{field}.max"]
            if isfinite(low) and isfinite(high):
                facts["last_finite"] = {"step": self._before.step, "min": low, "max": high}
                text += f"; it was in {low:.6g} ... {high:.6g} at step {self._before.step}"
        return Event(
            name="non_finite",
            severity="error",
            step=reading.step,
            wall=wall,
            text=text,
            facts=facts,
            rank=-1,
        )


def _tile(tiles: FieldTiles, index: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(bisect_right(e, i) - 1 for e, i in zip(tiles.edges, index, strict=True))


def _listed(index: tuple[int, ...]) -> str:
    return ", ".join(map(str, index))
