"""How long a rank waits for the others: shorter once one has left, and never without a word."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GRACE = 3.0
"""Seconds that the other ranks are still waited for once it is known that one has left."""

QUIET = 5.0
"""Seconds that rank 0 waits before it says so."""


class Patience:
    """One wait: called with the time now and then, it says until when to wait.

    Parameters
    ----------
    what : str
        What is waited for, as part of a sentence.
    began, deadline : float
        On the clock of the calls.
    gone : callable
        Which ranks have left, as far as is known, and why.
    say : callable
        Takes a sentence for the terminal.
    """

    def __init__(
        self,
        what: str,
        began: float,
        deadline: float,
        gone: Callable[[], Mapping[int, str]],
        say: Callable[[str], None],
    ) -> None:
        self._what = what
        self._began = began
        self._deadline = deadline
        self._gone = gone
        self._say = say
        self._told = self._shortened = False

    def __call__(self, now: float) -> float:
        if not self._shortened and self._gone():
            self._shortened = True
            self._deadline = min(self._deadline, now + GRACE)
        if not self._told and now - self._began > QUIET and now < self._deadline:
            self._told = True
            self._say(f"waiting for {self._what}, for {self._deadline - now:.0f} s more at most")
        return self._deadline


def say_on_terminal(text: str) -> None:
    """A line on standard error; a terminal that is gone is no reason to stop."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"simckpt: {text}\n")
        sys.stderr.flush()


def say_nothing(text: str) -> None:
    """Of many ranks that wait, one tells."""
