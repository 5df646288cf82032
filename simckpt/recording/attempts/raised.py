"""What is recorded of the exception by which a rank leaves a run."""

from __future__ import annotations

import os
import resource
import time
import traceback
from typing import TYPE_CHECKING

from ...capture.machine.memory import read_memory
from ...capture.machine.process import read_process
from ...capture.probes import attempt
from ...capture.secrets.redaction import redact_text
from ...capture.values import clean_text
from ...model.segment import Event
from ..faults import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...model.record import Facts

RAISED = "rank_raised"
MOST_TOLD = 8
"""Exceptions of other ranks that rank 0 records: a thousand ranks fail for one reason."""

_LONGEST_TEXT = 1000
_LONGEST_TRACEBACK = 8000


def raised(error: BaseException, rank: int, step: int) -> Event:
    """The event that says which rank raised what, at which step and where in the code.

    It also has what the rank's node and process are like at that moment, such as free memory:
    rank 0 may be on another node.
    """
    # Redacted as it is, since lines tell secrets from words.
    message = " ".join(redact_text(clean_text(text_of(error))).split())
    return Event(
        name=RAISED,
        severity="error",
        step=step,
        wall=time.time(),
        rank=rank,
        text=f"{type(error).__name__}: {message}"[:_LONGEST_TEXT],
        facts={
            "exception": type(error).__name__,
            # The end of a traceback says where it happened.
            "traceback": redact_text(clean_text(_traceback(error)))[-_LONGEST_TRACEBACK:],
            **_surroundings(),
        },
    )


def _traceback(error: BaseException) -> str:
    """Where it was raised; without what led to it where that cannot be told."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as fault:  # noqa: BLE001 - notes and causes may be any object
        frames = "".join(traceback.format_tb(error.__traceback__))
        return f"{frames}{type(error).__name__} (its own account raised {type(fault).__name__})"


def _surroundings() -> Facts:
    facts: Facts = {}
    for name, read in (("memory", read_memory), ("process", read_process)):
        found, _ = attempt(read, None)
        if found is not None:
            facts[name] = found.volatile
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return facts | {"host": os.uname().nodename, "peak_memory_KiB": peak}


def bounded(events: Iterable[Event]) -> Iterator[Event]:
    """`events`, of which no more than `MOST_TOLD` are exceptions of ranks."""
    told = 0
    for event in events:
        told += event.name == RAISED
        if event.name != RAISED or told <= MOST_TOLD:
            yield event
