"""Runs readers of facts, each within a time limit; what fails becomes a reason, not an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..model.record import Facts
from .redaction import redact_text
from .values import clean_text

DEFAULT_LIMIT = 1.0
"""Seconds that one probe may take."""


@dataclass(frozen=True)
class Findings:
    """What one source told.

    Attributes
    ----------
    stable : dict
        Facts that are the same in the next run on this machine with this software.
    volatile : dict
        Facts of this process, this job or this moment.
    unavailable : dict
        Names of facts that could not be had, with the reason.
    """

    stable: Facts = field(default_factory=dict)
    volatile: Facts = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """A source of facts, the section that they go into, and how many seconds it may take.

    ``limit=None`` runs it in the calling thread, for facts that belong to this thread and
    for readers that cannot wait for anything.
    """

    section: str
    read: Callable[[], Findings]
    limit: float | None = DEFAULT_LIMIT


@dataclass
class Harvest:
    """The findings of many probes by section."""

    stable: dict[str, Facts] = field(default_factory=dict)
    volatile: dict[str, Facts] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)

    def add(self, section: str, findings: Findings) -> None:
        if findings.stable:
            self.stable.setdefault(section, {}).update(findings.stable)
        if findings.volatile:
            self.volatile.setdefault(section, {}).update(findings.volatile)
        for fact, reason in findings.unavailable.items():
            self.unavailable[f"{section}.{fact}"] = reason


def harvest(probes: Iterable[Probe], budget: float) -> Harvest:
    """The findings of `probes`, none begun once `budget` seconds are used up."""
    result = Harvest()
    start = time.monotonic()
    for probe in probes:
        if time.monotonic() - start > budget:
            result.unavailable[probe.section] = "not read: the time for all probes was used up"
            continue
        findings, reason = attempt(probe.read, probe.limit)
        if findings is None:
            result.unavailable[probe.section] = reason
        else:
            result.add(probe.section, findings)
    return result


def attempt(read: Callable[[], Any], limit: float | None) -> tuple[Any, str]:
    """The result of `read()` and "", or None and why there is none.

    A reader that is still at work after `limit` seconds is left to a daemon thread.
    """
    outcome: list[tuple[Any, str]] = []

    def run() -> None:
        try:
            outcome.append((read(), ""))
        except Exception as error:  # noqa: BLE001 - a probe's failure is a fact, whatever it is
            outcome.append((None, reason_of(error)))

    if limit is None:
        run()
        return outcome[0]
    thread = threading.Thread(target=run, name="simckpt-probe", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # no thread can be had any more
        return None, reason_of(error)
    thread.join(limit)
    return outcome[0] if outcome else (None, out_of_time(limit))


def out_of_time(limit: float) -> str:
    """The reason that `attempt` gives for a reader which took too long."""
    return f"took longer than {limit:g} s"


def reason_of(error: BaseException) -> str:
    """An error in one line, without secrets."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = str(error)
    # Redacted as it is, since lines tell secrets from words.
    line = " ".join(redact_text(clean_text(text)).split())[:300]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
