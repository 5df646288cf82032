"""What is recorded of the exception by which a rank leaves a run."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

from ..capture.redaction import redact_text
from ..model.segment import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RAISED = "rank_raised"
MOST_TOLD = 8
"""Exceptions of other ranks that rank 0 records: a thousand ranks fail for one reason."""

_LONGEST_TEXT = 1000
_LONGEST_TRACEBACK = 8000


def raised(error: BaseException, rank: int, step: int) -> Event:
    """The event that says which rank raised what, at which step and where in the code."""
    lines = "".join(traceback.format_exception(error))
    message = " ".join(str(error).split())
    return Event(
        name=RAISED,
        severity="error",
        step=step,
        wall=time.time(),
        rank=rank,
        text=redact_text(f"{type(error).__name__}: {message}"[:_LONGEST_TEXT]),
        facts={
            "exception": type(error).__name__,
            # The end of a traceback says where it happened.
            "traceback": redact_text(lines[-_LONGEST_TRACEBACK:]),
        },
    )


def bounded(events: Iterable[Event]) -> Iterator[Event]:
    """`events`, of which no more than `MOST_TOLD` are exceptions of ranks."""
    told = 0
    for event in events:
        told += event.name == RAISED
        if event.name != RAISED or told <= MOST_TOLD:
            yield event
