"""What a firing captures: documents, and the event that says which trigger fired with what."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

from ...capture.files.log_tails import tail_logs
from ...capture.secrets.redaction import redact_text
from ...capture.values import clean_text, plain
from ...model.manifest import Text
from ...model.segment import Event
from .flight import FlightRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...diagnostics.probe import Reading
    from ...model.record import Document, Facts, Hash
    from ...model.segment import Severity
    from ..captures import Captures
    from .watch import Firing

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

    def note(self, reading: Reading, wall: float) -> None:
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
            "actions": list(trigger.then),
        }
        problems: list[str] = []
        if firing.captures:
            documents, problems = self._documents(trigger.then, error)
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
            "flight": self._dump,
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
        return {"flight": self._store(flight)} if flight else {}

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
