"""How one rank leaves a run: what it says first, and what becomes of the others."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..bundle.abort_notice import write_notice
from ..capture.hardware import read_memory
from ..capture.probes import attempt
from ..capture.redaction import redact_text
from ..capture.software import read_process
from ..capture.values import clean_text
from ..model.series import Event
from ..parallel.comm import ExchangeFailed
from .faults import one_line, text_of
from .settings import EXCHANGE_TIMEOUT, PARTING_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..model.record import Facts
    from ..model.series import Ending, Event, Reason
    from ..model.transform import StagePart
    from ..parallel.comm import Comm, Vote
    from .faults import Faults
    from .sampling import Sampling
    from .settings import RunSettings

# How the ranks of a run take leave: each says how it ended, and waits a bounded time.


_LAST_CHECKPOINTS: dict[Ending, tuple[str, Reason]] = {
    "finished": ("final", "final"),
    "signal": ("stopped by a signal", "signal"),
    "exception": ("exception", "exception"),
    "aborted": ("aborted", "exception"),
}


@dataclass(frozen=True)
class Farewell:
    """What a rank says when it leaves.

    `samples` counts those it took part in; `error` is empty unless it leaves by an exception,
    and `signal` or `trigger` unless it leaves because one of these asked the run to stop.
    """

    rank: int
    step: int
    samples: int
    error: str
    signal: str
    events: tuple[Event, ...]
    trigger: str = ""
    stage: StagePart | None = None


@dataclass(frozen=True)
class Parting:
    """The farewells that arrived; with `missing`, only this rank's own.

    `gone` are ranks that had left before by an exception, and which one.
    """

    farewells: tuple[Farewell, ...]
    missing: bool
    gone: tuple[tuple[int, str], ...] = ()

    @property
    def ending(self) -> tuple[Ending, str]:
        """How the run ended, and why if not well."""
        for farewell in self.farewells:
            if farewell.error:
                return "exception", f"rank {farewell.rank}: {farewell.error}"
        for rank, error in self.gone:
            return "exception", f"rank {rank}: {error}"
        # Before a signal: the next job of a chain would run into the same again.
        if self.stopped:
            return "aborted", f"stopped by the trigger {self.stopped}"
        for farewell in self.farewells:
            if farewell.signal:
                return "signal", f"rank {farewell.rank} received {farewell.signal}"
        if self.missing:
            return "aborted", "not every rank reached the end of the run"
        return "finished", ""

    @property
    def last_checkpoint(self) -> tuple[str, Reason]:
        """Label and reason of the run's last checkpoint."""
        if self.stopped:
            return "stopped by a trigger", "trigger"
        return _LAST_CHECKPOINTS[self.ending[0]]

    @property
    def stopped(self) -> str:
        """The trigger that stopped the run, and why; empty if none did."""
        return next((f.trigger for f in self.farewells if f.trigger), "")

    @property
    def together(self) -> bool:
        """Whether all ranks left at one step, none by an exception."""
        sound = not self.missing and not any(f.error for f in self.farewells)
        return sound and len({(f.step, f.samples) for f in self.farewells}) == 1

    @property
    def events(self) -> tuple[Event, ...]:
        """What ranks other than 0 have to tell, in rank order."""
        return tuple(event for f in self.farewells if f.rank for event in f.events)

    @property
    def problems(self) -> tuple[str, ...]:
        """Signs that the ranks did not sample together."""
        counts = {f.samples for f in self.farewells}
        if len(counts) <= 1:
            return ()
        fewest, most = (
            next(f for f in self.farewells if f.samples == n) for n in (min(counts), max(counts))
        )
        text = (
            f"rank {fewest.rank} took {fewest.samples} samples and rank {most.rank} took "
            f"{most.samples}: those that not every rank took are lost"
        )
        return (text,)


def part(comm: Comm, mine: Farewell, timeout: float) -> Parting:
    """Exchange farewells with the other ranks, waiting at most `timeout` seconds for them."""
    try:
        return Parting(tuple(comm.exchange("end", mine, timeout)), missing=False)
    except ExchangeFailed:
        return Parting((mine,), missing=True, gone=tuple(sorted(comm.gone.items())))


# What is recorded of the exception by which a rank leaves a run.


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


class Leaving:
    """This rank's side of the end of a run.

    Parameters
    ----------
    settings : RunSettings
        Among them, whether all ranks end when one raises.
    comm : Comm
        All ranks.
    sampling : Sampling
        How many samples this rank took.
    stopping : Stopping
        Whether a signal or trigger ends the run.
    faults : Faults
        Takes what goes wrong meanwhile.
    """

    def __init__(
        self,
        settings: RunSettings,
        comm: Comm,
        sampling: Sampling,
        stopping: Stopping,
        faults: Faults,
    ) -> None:
        self._settings = settings
        self._comm = comm
        self._sampling = sampling
        self._stopping = stopping
        self._faults = faults

    def part(
        self,
        record: Callable[[Event], None],
        events: list[Event],
        error: BaseException | None,
        step: int,
        path: str | None,
    ) -> Parting:
        """Take leave of the other ranks; collective, and bounded in time.

        `record` takes the event of the `error`; `events` are those that this rank has for rank 0.
        """
        words = None if error is None else self._said(record, error, step)
        farewell = Farewell(
            rank=self._comm.rank,
            step=step,
            samples=self._sampling.taken,
            error=one_line(error),
            signal=self._stopping.reason,
            trigger=self._stopping.request,
            events=tuple(events),
            stage=self._settings.profile.parting(),
        )
        parting = Parting((farewell,), missing=self._comm.size > 1)
        if error is not None and not self._settings.abort_on_error:
            with self._faults.contained("telling the other ranks"):
                # They go on, and are not to wait for this one where they end.
                self._comm.leave(farewell.error)
        with self._faults.contained("taking leave of the other ranks"):
            timeout = EXCHANGE_TIMEOUT if error is None else PARTING_TIMEOUT
            parting = part(self._comm, farewell, timeout)
        if not parting.missing:
            self._settings.profile.gather(tuple(f.stage for f in parting.farewells))
        elif words is not None and self._comm.rank and path:
            # Rank 0 may never hear of it.
            with self._faults.contained("writing the notice of an abort", recorded=False):
                write_notice(path, words)
        return parting

    def tell(self, append: Callable[[Event], None] | None, parting: Parting) -> None:
        """Put on record what the others had to say; `append` is rank 0's."""
        if append is not None:
            for event in bounded(parting.events):
                with self._faults.contained("events of other ranks"):
                    append(event)
        for problem in parting.problems:
            self._faults.note("ranks_out_of_step", problem)
        if self._stopping.unheard:
            text = "a trigger asked the run to stop; the driver never calls simckpt.should_stop()"
            self._faults.note("stop_unheard", text)

    def abort(self, error: BaseException | None, parting: Parting) -> None:
        """End all ranks if this one raised and others did not come to hear of it."""
        if error is None or not parting.missing or not self._settings.abort_on_error:
            return
        with self._faults.contained("printing the exception", recorded=False):
            sys.excepthook(type(error), error, error.__traceback__)
        self._comm.abort(1)

    def _said(
        self, record: Callable[[Event], None], error: BaseException, step: int
    ) -> Event | None:
        words = None
        with (
            self._stopping.deferred(),
            self._faults.contained("recording the exception", recorded=False),
        ):
            words = raised(error, self._comm.rank, step)
            record(words)
        return words


# Signals that ask a run to end: noted, acted on by the recorder, and passed on.
#
# A driver that asks `simckpt.should_stop` leaves its loop by itself, on all ranks at one step. For
# any other driver rank 0 commits a checkpoint as soon as the signal is seen, and then what would
# have happened without simckpt happens: the previous handler is called, or the default action is
# taken. Only the default action of SIGUSR1, which SLURM sends as a warning, is left out. Where that
# is to end, ranks other than 0 go on for a few seconds: rank 0 may be waiting for them, and acts on
# the signal once it has left the exchange it is in.


WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class SignalWatch:
    """Watches for the signals while a run is open.

    Parameters
    ----------
    notice : callable
        Called with the signal's name, in the main thread between two bytecodes. It returns
        whether the signal is to be passed on now.
    """

    def __init__(self, notice: Callable[[str], bool]) -> None:
        self._notice = notice
        self._previous: dict[int, Any] = {}

    def start(self) -> None:
        """Put the handlers in place; only the main thread of a program can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in WATCHED:
            self._previous[number] = signal.signal(number, self._received)

    def stop(self) -> None:
        """Put the previous handlers back, except where somebody replaced ours since."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._received:
                signal.signal(number, signal.SIG_DFL if previous is None else previous)
        self._previous.clear()

    def fatal(self, name: str) -> bool:
        """Whether passing on the signal `name` ends this process at once."""
        number = signal.Signals[name]
        previous = self._previous.get(number, signal.SIG_DFL)
        return previous is signal.SIG_DFL and number != signal.SIGUSR1

    def pass_on(self, name: str) -> None:
        """Do what would have been done with the signal `name` without simckpt."""
        self._pass_on(signal.Signals[name], None)

    def pass_on_later(self, name: str, seconds: float) -> None:
        """Let the signal `name` end this process after so long, or when it comes once more.

        Until then the program goes on, so that other ranks leave the exchanges they are in.
        """
        number = signal.Signals[name]
        signal.signal(number, signal.SIG_DFL)
        # The default action needs no interpreter: it ends a process that waits in an exchange.
        timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    def _received(self, number: int, frame: Any) -> None:
        if self._notice(signal.Signals(number).name):
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: Any) -> None:
        previous = self._previous.get(number, signal.SIG_DFL)
        if callable(previous):
            previous(number, frame)
        elif self.fatal(signal.Signals(number).name):
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


# Whether a run is to stop: signals, triggers, and the ranks' agreement on the step.


class Stopping:
    """Notes signals while a run is open, and lets the ranks vote on leaving their loop.

    Parameters
    ----------
    comm : Comm
        A communicator that carries the votes and nothing else.
    answer : callable
        Acts on a signal, by name, if the driver does not ask `agreed`, and returns whether it is
        to be passed on now. It is called when `busy` says no: in the signal's handler, or by
        `attend` later.
    busy : callable
        Whether the recorder is in the middle of something.
    """

    def __init__(self, comm: Comm, answer: Callable[[str], bool], busy: Callable[[], bool]) -> None:
        self._comm = comm
        self._answer = answer
        self._busy = busy
        self._signals = SignalWatch(self._noticed)
        self._received = ""
        self._waiting = False
        self._deferring = 0
        self._vote: Vote | None = None
        self._wanted = ""
        self._agreed = False
        self._alone = False

    def watch(self) -> None:
        """Begin to note signals."""
        self._signals.start()

    def close(self) -> None:
        """Note them no more; the previous handlers are back."""
        self._signals.stop()

    @property
    def reason(self) -> str:
        """The signal this rank received, if the ranks agreed to stop."""
        return self._received if self._agreed else ""

    @property
    def request(self) -> str:
        """Why this rank asked to stop, if the ranks agreed to."""
        return self._wanted if self._agreed else ""

    @property
    def unheard(self) -> bool:
        """Whether this rank asked to stop, in a run whose driver does not ask `agreed`."""
        return bool(self._wanted) and self._vote is None

    def ask(self, why: str) -> None:
        """Vote for stopping from now on."""
        self._wanted = self._wanted or why

    def fatal(self, name: str) -> bool:
        """Whether the signal `name` ends this process once it is passed on."""
        return self._signals.fatal(name)

    def end_later(self, name: str, seconds: float) -> None:
        """Let the signal `name` end this process after so long, and go on until then."""
        self._signals.pass_on_later(name, seconds)

    def agreed(self, timeout: float) -> bool:
        """Whether any rank received a signal or asks to stop: the same answer on all ranks.

        Every rank asks once a step. The votes travel while the step computes, so the answer is
        that of the step before. Once some ranks have not voted in time, each decides for itself.
        """
        mine = bool(self._received or self._wanted)
        if self._alone:
            self._agreed = self._agreed or mine
            return self._agreed
        before, self._vote = self._vote, self._comm.vote(float(mine))
        outcome = before.outcome(timeout) if before is not None else 0.0
        # A rank that has left votes no more, and to wait for it at each step would be for ever.
        self._alone = outcome is None
        self._agreed = self._agreed or bool(outcome)
        return self._agreed

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """In the body the bundle is being written: a signal waits for `attend`."""
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1

    def attend(self) -> None:
        """Act on a signal that came while the recorder was busy."""
        if self._waiting and not self._deferring:
            self._waiting = False
            if self._answer(self._received):
                self._signals.pass_on(self._received)

    def _noticed(self, name: str) -> bool:
        first, self._received = not self._received, name
        if not first:
            return True
        if self._vote is not None:
            return False  # the driver asks, and leaves its loop by itself
        if self._deferring or self._busy():
            self._waiting = True
            return False
        return self._answer(name)
