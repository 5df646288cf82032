"""Whether a run is to stop: signals, triggers, and the ranks' agreement on the step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .signals import SignalWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..parallel.comm import Comm, Vote


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
