"""Signals that ask a run to end: noted, acted on by the recorder, and passed on.

A driver that asks `simckpt.stopping` leaves its loop by itself, on all ranks at one step. For
any other driver rank 0 commits a checkpoint as soon as the signal is seen, and then what would
have happened without simckpt happens: the previous handler is called, or the default action is
taken. Only the default action of SIGUSR1, which SLURM sends as a warning, is left out. Where that
is to end, ranks other than 0 go on for a few seconds: rank 0 may be waiting for them, and acts on
the signal once it has left the exchange it is in.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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
