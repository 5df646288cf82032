"""How a run ends on one rank: what the ranks say to each other, what is recorded, and signals."""

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
from .settings import EXCHANGE_TIMEOUT, EXIT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..model.record import Facts
    from ..model.series import Ending, Reason
    from ..model.transform import StagePart
    from ..parallel.comm import Comm, Vote
    from .faults import Faults
    from .sampling import Sampling
    from .settings import RunSettings

EXCEPTION_EVENT = "rank_raised"
MOST_EXCEPTIONS = 8
"""Exceptions of other ranks that rank 0 records: a thousand ranks fail for one reason."""

_LONGEST_TEXT = 1000
_LONGEST_TRACEBACK = 8000

_LAST_CHECKPOINTS: dict[Ending, tuple[str, Reason]] = {
    "finished": ("final", "final"),
    "signal": ("stopped by a signal", "signal"),
    "exception": ("exception", "exception"),
    "aborted": ("aborted", "exception"),
}


@dataclass(frozen=True)
class ExitStatus:
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
class Shutdown:
    """The exit statuses that arrived; with `missing`, only this rank's own.

    `failed` are ranks that left earlier by an exception, and which one.
    """

    statuses: tuple[ExitStatus, ...]
    missing: bool
    failed: tuple[tuple[int, str], ...] = ()

    @property
    def ending(self) -> tuple[Ending, str]:
        """How the run ended, and why if not well."""
        errors = ((status.rank, status.error) for status in self.statuses if status.error)
        for rank, error in (*errors, *self.failed):
            return "exception", f"rank {rank}: {error}"
        # Before a signal: the next job of a chain would run into the same again.
        if self.trigger:
            return "aborted", f"stopped by the trigger {self.trigger}"
        for status in self.statuses:
            if status.signal:
                return "signal", f"rank {status.rank} received {status.signal}"
        if self.missing:
            return "aborted", "not every rank reached the end of the run"
        return "finished", ""

    @property
    def last_checkpoint(self) -> tuple[str, Reason]:
        """Label and reason of the run's last checkpoint."""
        if self.trigger:
            return "stopped by a trigger", "trigger"
        return _LAST_CHECKPOINTS[self.ending[0]]

    @property
    def trigger(self) -> str:
        """The trigger that stopped the run, and why; empty if none did."""
        return next((status.trigger for status in self.statuses if status.trigger), "")

    @property
    def together(self) -> bool:
        """Whether all ranks left at one step, none by an exception."""
        sound = not self.missing and not any(status.error for status in self.statuses)
        return sound and len({(status.step, status.samples) for status in self.statuses}) == 1

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of ranks other than 0, in rank order, with a few of their exceptions."""
        events: list[Event] = []
        exceptions = 0
        for status in self.statuses[1:]:
            for event in status.events:
                exceptions += event.name == EXCEPTION_EVENT
                if event.name != EXCEPTION_EVENT or exceptions <= MOST_EXCEPTIONS:
                    events.append(event)
        return tuple(events)

    @property
    def problem(self) -> str:
        """A sign that the ranks did not sample together; empty if there is none."""
        fewest = min(self.statuses, key=lambda status: status.samples)
        most = max(self.statuses, key=lambda status: status.samples)
        if fewest.samples == most.samples:
            return ""
        return (
            f"rank {fewest.rank} took {fewest.samples} samples and rank {most.rank} took "
            f"{most.samples}: those that not every rank took are lost"
        )


def exchange_statuses(comm: Comm, own: ExitStatus, timeout: float) -> Shutdown:
    """Exchange exit statuses with the other ranks, waiting at most `timeout` seconds for them."""
    try:
        return Shutdown(tuple(comm.exchange("end", own, timeout)), missing=False)
    except ExchangeFailed:
        return Shutdown((own,), missing=True, failed=tuple(sorted(comm.gone.items())))


class ExitProtocol:
    """This rank's side of the end of a run.

    Parameters
    ----------
    settings : RunSettings
        Among them, whether all ranks end when one raises.
    comm : Comm
        All ranks.
    sampling : Sampling
        How many samples this rank took.
    stop : StopSignals
        Whether a signal or trigger ends the run.
    faults : Faults
        Takes what goes wrong meanwhile.
    """

    def __init__(
        self,
        settings: RunSettings,
        comm: Comm,
        sampling: Sampling,
        stop: StopSignals,
        faults: Faults,
    ) -> None:
        self._settings = settings
        self._comm = comm
        self._sampling = sampling
        self._stop = stop
        self._faults = faults

    def exchange(
        self,
        record: Callable[[Event], None],
        events: list[Event],
        error: BaseException | None,
        step: int,
        path: str | None,
    ) -> Shutdown:
        """Record this rank's exception and tell the others; collective, and bounded in time.

        `record` takes the event of the `error`; `events` are those that this rank has for rank 0.
        """
        exception = None
        if error is not None:
            with (
                self._stop.deferred(),
                self._faults.contained("recording the exception", recorded=False),
            ):
                exception = exception_event(error, self._comm.rank, step)
                record(exception)
        status = ExitStatus(
            rank=self._comm.rank,
            step=step,
            samples=self._sampling.taken,
            error=one_line(error),
            signal=self._stop.signal_name,
            trigger=self._stop.trigger,
            events=tuple(events),
            stage=self._settings.profile.rank_part(),
        )
        shutdown = Shutdown((status,), missing=self._comm.size > 1)
        if error is not None and not self._settings.abort_on_error:
            with self._faults.contained("telling the other ranks"):
                # They go on, and are not to wait for this one where they end.
                self._comm.leave(status.error)
        with self._faults.contained("taking leave of the other ranks"):
            timeout = EXCHANGE_TIMEOUT if error is None else EXIT_TIMEOUT
            shutdown = exchange_statuses(self._comm, status, timeout)
        if not shutdown.missing:
            self._settings.profile.gather(tuple(s.stage for s in shutdown.statuses))
        elif exception is not None and self._comm.rank and path:
            # Rank 0 may never hear of it.
            with self._faults.contained("writing the notice of an abort", recorded=False):
                write_notice(path, exception)
        return shutdown

    def record(self, append: Callable[[Event], None] | None, shutdown: Shutdown) -> None:
        """Record the events of the other ranks, with rank 0's `append`, and what went wrong."""
        if append is not None:
            for event in shutdown.events:
                with self._faults.contained("events of other ranks"):
                    append(event)
        if shutdown.problem:
            self._faults.note("ranks_out_of_step", shutdown.problem)
        if self._stop.unheard:
            text = "a trigger asked the run to stop; the driver never calls simckpt.should_stop()"
            self._faults.note("stop_unheard", text)

    def abort(self, error: BaseException | None, shutdown: Shutdown) -> None:
        """End all ranks if this one raised and others did not come to hear of it."""
        if error is None or not shutdown.missing or not self._settings.abort_on_error:
            return
        with self._faults.contained("printing the exception", recorded=False):
            sys.excepthook(type(error), error, error.__traceback__)
        self._comm.abort(1)


def exception_event(error: BaseException, rank: int, step: int) -> Event:
    """The event that says which rank raised what, at which step and where in the code.

    It also has what the rank's node and process are like at that moment, such as free memory:
    rank 0 may be on another node.
    """
    # Redacted before the lines are joined: a secret is recognised by its line.
    message = " ".join(redact_text(clean_text(text_of(error))).split())
    memory: Facts = {}
    for name, read in (("memory", read_memory), ("process", read_process)):
        facts, _ = attempt(read, None)
        if facts is not None:
            memory[name] = facts.volatile
    return Event(
        name=EXCEPTION_EVENT,
        severity="error",
        step=step,
        wall=time.time(),
        rank=rank,
        text=f"{type(error).__name__}: {message}"[:_LONGEST_TEXT],
        facts={
            "exception": type(error).__name__,
            # The end of a traceback says where it happened.
            "traceback": redact_text(clean_text(_traceback(error)))[-_LONGEST_TRACEBACK:],
            **memory,
            "host": os.uname().nodename,
            "peak_memory_KiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        },
    )


def _traceback(error: BaseException) -> str:
    """Where it was raised; without its causes where these cannot be formatted."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as fault:  # noqa: BLE001 - notes and causes may be any object
        frames = "".join(traceback.format_tb(error.__traceback__))
        return f"{frames}{type(error).__name__} (its own account raised {type(fault).__name__})"


# A driver that asks `simckpt.should_stop` leaves its loop by itself, on all ranks at one step. For
# any other driver rank 0 commits a checkpoint as soon as the signal is seen, and then what would
# have happened without simckpt happens: the previous handler is called, or the default action is
# taken. Only the default action of SIGUSR1, which SLURM sends as a warning, is left out. Where that
# is to end, ranks other than 0 go on for a few seconds: rank 0 may be waiting for them, and acts on
# the signal once it has left the exchange it is in.

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """Signals and triggers that ask a run to stop, and the ranks' votes on doing so.

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
        self._previous: dict[int, Any] = {}
        self._received = ""
        self._postponed = False
        self._deferrals = 0
        self._vote: Vote | None = None
        self._request = ""
        self._agreed = False
        self._alone = False

    def watch(self) -> None:
        """Put the handlers in place; only the main thread of a program can."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)

    def close(self) -> None:
        """Put the previous handlers back, except where somebody replaced ours since."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_DFL if previous is None else previous)
        self._previous.clear()

    @property
    def signal_name(self) -> str:
        """The signal this rank received, if the ranks agreed to stop."""
        return self._received if self._agreed else ""

    @property
    def trigger(self) -> str:
        """Why a trigger of this rank asked to stop, if the ranks agreed to."""
        return self._request if self._agreed else ""

    @property
    def unheard(self) -> bool:
        """Whether a trigger asked to stop, in a run whose driver does not ask `agreed`."""
        return bool(self._request) and self._vote is None

    def ask(self, why: str) -> None:
        """Vote for stopping from now on."""
        self._request = self._request or why

    def agreed(self, timeout: float) -> bool:
        """Whether any rank received a signal or asks to stop: the same answer on all ranks.

        Every rank asks once a step. The votes travel while the step computes, so the answer is
        that of the step before. Once some ranks have not voted in time, each decides for itself.
        """
        own = bool(self._received or self._request)
        if self._alone:
            self._agreed = self._agreed or own
            return self._agreed
        previous, self._vote = self._vote, self._comm.vote(float(own))
        outcome = previous.outcome(timeout) if previous is not None else 0.0
        # A rank that has left votes no more, and to wait for it at each step would be for ever.
        self._alone = outcome is None
        self._agreed = self._agreed or bool(outcome)
        return self._agreed

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """In the body the bundle is being written: a signal waits for `attend`."""
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1

    def attend(self) -> None:
        """Act on a signal that came while the recorder was busy."""
        if self._postponed and not self._deferrals:
            self._postponed = False
            if self._answer(self._received):
                self._pass_on(signal.Signals[self._received], None)

    def fatal(self, name: str) -> bool:
        """Whether passing on the signal `name` ends this process at once."""
        number = signal.Signals[name]
        default = self._previous.get(number, signal.SIG_DFL) is signal.SIG_DFL
        return default and number != signal.SIGUSR1

    def end_later(self, name: str, seconds: float) -> None:
        """Let the signal `name` end this process after so long, or when it comes once more.

        Until then the program goes on, so that other ranks leave the exchanges they are in.
        """
        number = signal.Signals[name]
        signal.signal(number, signal.SIG_DFL)
        # The default action needs no interpreter: it ends a process that waits in an exchange.
        timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    def _handle(self, number: int, frame: Any) -> None:
        name = signal.Signals(number).name
        first, self._received = not self._received, name
        if first and self._vote is not None:
            return  # the driver asks, and leaves its loop by itself
        if first and (self._deferrals or self._busy()):
            self._postponed = True
            return
        if not first or self._answer(name):
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: Any) -> None:
        """Do what would have been done with the signal without simckpt."""
        previous = self._previous.get(number, signal.SIG_DFL)
        if callable(previous):
            previous(number, frame)
        elif self.fatal(signal.Signals(number).name):
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
