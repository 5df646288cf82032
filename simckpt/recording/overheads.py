"""Whose samples a run takes, and whose steps it counts: those of one step object.

An object that was made since the other was last used takes its place: a driver may make one for
each step. Of two that are used in turn, one counts; the other's samples would hold other arrays.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

from ..capture.redaction import redact_text
from ..capture.values import clean_text
from ..errors import InstrumentError, SimckptWarning
from ..model.series import Cost
from .cadence import cadence_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from ..diagnostics.declarations import Declarations
    from ..model.record import Facts
    from ..parallel.comm import Comm, Vote
    from .cadence import Beat, Cadence

_MEND = "One run has one step object, which counts its steps: put all fields and diagnostics in it"


class Counting:
    """What the samples of one run are, and which step object takes them.

    Parameters
    ----------
    faults : Faults
        Takes what is refused.
    """

    def __init__(self, faults: Faults) -> None:
        self.declarations: Declarations | None = None
        self._faults = faults
        self._owner = 0
        self._latest = 0

    def foreign(self, declarations: Declarations) -> bool:
        """Whether these are not the declarations of the run's samples, which is then said."""
        known = self.declarations
        if known is None or known is declarations or known == declarations:
            return False
        changes = "; ".join(known.changes(declarations))
        text = f"a sample with other declarations was skipped: {changes}. {_MEND}"
        self._faults.note_once("declarations_changed", text)
        return True

    def rival(self, number: int, latest: int) -> bool:
        """Whether step object `number` is not the one that counts, which is then said.

        `latest` is the number of the object that was made last.
        """
        if number != self._owner and number <= self._latest:
            text = f"steps and samples of a second step object were skipped. {_MEND}"
            self._faults.note_once("second_step_object", text)
            return True
        self._owner, self._latest = number, latest
        return False


# The cadence of one run on one rank: what it is asked, and what it may know of the run.


class Pace:
    """When samples are due.

    Parameters
    ----------
    votes : Comm
        Carries the ranks' votes and nothing else.
    spent : callable
        Seconds that samples have taken on this rank.
    event : callable
        Takes the name, the sentence and the facts of an event.
    faults : Faults
        Takes what keeps the cadence from asking for samples.
    alike : dict of str
        Takes the cadence in words: it must be the same on every rank.
    """

    def __init__(
        self,
        votes: Comm,
        spent: Callable[[], float],
        event: Callable[..., None],
        faults: Faults,
        alike: MutableMapping[str, str],
    ) -> None:
        self._votes = votes
        self.spent = spent
        self._event = event
        self._faults = faults
        self._alike = alike
        self._beat: Beat | None = None

    def due(self, cadence: Cadence, step: int, t: float) -> bool:
        """Whether a sample is due; asked once a step, on every rank."""
        if self._beat is None:
            self._alike["every"] = cadence_text(cadence)
            self._beat = cadence.start(self)
        return self._beat.due(step, t)

    def vote(self, value: float) -> Vote:
        """Start to find the largest `value` of all ranks."""
        return self._votes.vote(value)

    def settled(self, interval: int, facts: Facts) -> None:
        """Record the interval that an overhead cadence has settled on."""
        if self._votes.rank == 0:
            text = f"a sample is taken every {interval} steps from here on"
            self._event("cadence_settled", text, interval=interval, **facts)

    def hampered(self, name: str, text: str) -> None:
        """Record and say why samples are not taken as the cadence means them to be."""
        if self._votes.rank == 0:
            self._faults.note(name, text)


# What the instrument costs: seconds by kind of work, on this rank.


Work = Literal["setup", "samples", "reductions", "checkpoints", "captures"]


class Ledger:
    """Adds up the time spent; work inside other work is counted once, as the outer kind."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._spent: dict[Work, float] = dict.fromkeys(
            ("setup", "samples", "reductions", "checkpoints", "captures"), 0.0
        )
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether the instrumentation is at work."""
        return self._busy

    @contextmanager
    def spending(self, work: Work) -> Iterator[None]:
        """Count the time of the body as `work`."""
        if self._busy:
            yield
            return
        self._busy = True
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._spent[work] += time.perf_counter() - begun
            self._busy = False

    @property
    def sampling(self) -> float:
        """Seconds that samples have taken so far."""
        return self._spent["samples"] + self._spent["reductions"]

    def cost(self) -> Cost:
        """The account so far."""
        return Cost(wall=time.perf_counter() - self._begun, **self._spent)


# Where faults of the instrument end: each is recorded and said, and none reaches the simulation.
#
# With ``strict=True`` they are raised instead. A fault that repeats at every step is recorded so
# many times and counted from then on, so that it cannot fill the bundle.


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
