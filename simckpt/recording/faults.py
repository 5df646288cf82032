"""Where faults of the instrumentation end: each is recorded, and none reaches the simulation.

With ``strict=True`` they are raised instead. Of a fault that repeats at every step the first ones
are recorded and the rest is counted, so that it cannot fill the bundle.
"""

from __future__ import annotations

import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..capture.redaction import redact_text
from ..capture.values import clean_text
from ..errors import InstrumentError, SimckptWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_RECORDED = 20


class RecordFault(Protocol):
    """Records a fault as an event."""

    def __call__(self, name: str, text: str, *, step: int | None = None) -> None: ...


class Faults:
    """The faults of one rank.

    Parameters
    ----------
    strict : bool
        Raise `InstrumentError` instead.
    record : callable
        Takes the stable name of a fault, a sentence, and the step.
    prefix : str
        Begins each warning, where several ranks write to one terminal.
    """

    def __init__(self, *, strict: bool, record: RecordFault, prefix: str = "") -> None:
        self.strict = strict
        self._prefix = prefix
        self._record = record
        self._reported: set[str] = set()
        self._counts: Counter[str] = Counter()

    def note(self, name: str, text: str, *, step: int | None = None, warn: bool = True) -> None:
        """Record a fault, and `warn` of the first of its name."""
        if self.strict:
            raise InstrumentError(f"{name}: {text}")
        self._counts[name] += 1
        if self._counts[name] <= MOST_RECORDED:
            self._record(name, text, step=step)
        if warn:
            self._warn(name, f"{name}: {text}")

    def note_once(self, name: str, text: str) -> None:
        """The same for a fault that is recorded once, however often it occurs."""
        if text not in self._reported:
            self._reported.add(text)
            self.note(name, text)

    def absorb(self, activity: str, error: Exception, *, recorded: bool = True) -> None:
        """Make a fault of an exception that was caught; one text is recorded once."""
        if isinstance(error, InstrumentError):
            raise error
        if self.strict:
            raise InstrumentError(f"{activity}: {text_of(error)}") from error
        text = f"{activity} failed: {one_line(error)}"
        if self._warn(text, text) and recorded:
            self._record("instrument_failed", text)

    @contextmanager
    def contained(self, activity: str, *, recorded: bool = True) -> Iterator[None]:
        """An exception inside becomes a fault."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the simulation
            self.absorb(activity, error, recorded=recorded)

    def count(self) -> None:
        """Record how often faults occurred that are not all recorded."""
        for name, times in self._counts.items():
            if times > MOST_RECORDED:
                self._record(name, f"{times} times in all, the first {MOST_RECORDED} are recorded")

    def _warn(self, key: str, text: str) -> bool:
        if key in self._reported:
            return False
        self._reported.add(key)
        warnings.warn(f"{self._prefix}{text}", SimckptWarning, stacklevel=4)
        return True


def one_line(error: BaseException | None) -> str:
    """An exception's type and text in one line of at most 500 characters."""
    if error is None:
        return ""
    # Redacted before lines are joined, since they separate secrets from words, and before the cut.
    message = " ".join(redact_text(clean_text(text_of(error))).split())
    return f"{type(error).__name__}: {message}"[:500]


def text_of(error: BaseException) -> str:
    """An exception's own text; a class of the user's may fail to give one."""
    try:
        return str(error)
    except BaseException as fault:  # noqa: BLE001 - it must not take the place of the first
        return f"<its text could not be had: str() raised {type(fault).__name__}>"
