"""Where faults of the instrument end: each is recorded and said, and none reaches the simulation.

With ``strict=True`` they are raised instead. A fault that repeats at every step is recorded so
many times and counted from then on, so that it cannot fill the bundle.
"""

from __future__ import annotations

import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..capture.secrets.redaction import redact_text
from ..capture.values import clean_text
from ..errors import InstrumentError, SimckptWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_RECORDED = 20


class Record(Protocol):
    """Puts a fault on record."""

    def __call__(self, name: str, text: str, *, step: int | None = None) -> None: ...


class Faults:
    """The faults of one rank.

    Parameters
    ----------
    strict : bool
        Raise `InstrumentError` instead.
    record : callable
        Takes the stable name of a fault, a sentence, and the step.
    who : str
        Begins what is said, where several ranks write to one terminal.
    """

    def __init__(self, *, strict: bool, record: Record, who: str = "") -> None:
        self.strict = strict
        self._who = who
        self._record = record
        self._said: set[str] = set()
        self._counts: Counter[str] = Counter()

    def note(self, name: str, text: str, *, step: int | None = None, said: bool = False) -> None:
        """Record a fault, and warn of the first of its `name` unless somebody has `said` it."""
        if self.strict:
            raise InstrumentError(f"{name}: {text}")
        self._counts[name] += 1
        if self._counts[name] <= MOST_RECORDED:
            self._record(name, text, step=step)
        if not said:
            self._say(name, f"{name}: {text}")

    def note_once(self, name: str, text: str) -> None:
        """The same for a fault that is recorded once, however often it is met."""
        if text not in self._said:
            self._said.add(text)
            self.note(name, text)

    @contextmanager
    def contained(self, doing: str, *, recorded: bool = True) -> Iterator[None]:
        """An exception inside becomes a fault; one text is recorded and said once."""
        try:
            yield
        except InstrumentError:
            raise
        except Exception as error:
            if self.strict:
                raise InstrumentError(f"{doing}: {text_of(error)}") from error
            text = f"{doing} failed: {one_line(error)}"
            if self._say(text, text) and recorded:
                self._record("instrument_failed", text)

    def count(self) -> None:
        """Record how often the faults were met that are not all recorded."""
        for name, met in self._counts.items():
            if met > MOST_RECORDED:
                self._record(name, f"{met} times in all, the first {MOST_RECORDED} are recorded")

    def _say(self, key: str, text: str) -> bool:
        if key in self._said:
            return False
        self._said.add(key)
        warnings.warn(f"{self._who}{text}", SimckptWarning, stacklevel=4)
        return True


def one_line(error: BaseException | None) -> str:
    """An exception's type and text in one line of at most 500 characters."""
    if error is None:
        return ""
    # Redacted as it is, since lines tell secrets from words, and before it is cut.
    message = " ".join(redact_text(clean_text(text_of(error))).split())
    return f"{type(error).__name__}: {message}"[:500]


def text_of(error: BaseException) -> str:
    """An exception's own text; a class of the user's may fail to give one."""
    try:
        return str(error)
    except BaseException as fault:  # noqa: BLE001 - it must not take the place of the first
        return f"<its text could not be had: str() raised {type(fault).__name__}>"
