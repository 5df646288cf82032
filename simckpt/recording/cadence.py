"""When a sample is due: it depends on step and simulated time alone, so that all ranks agree."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import SetupError


class Cadence(Protocol):
    """A rule for the steps at which samples are taken."""

    @abstractmethod
    def due(self, step: int, t: float) -> bool:
        """Whether a sample is due after `step`, at simulated time `t`. Asked once a step."""


@dataclass(frozen=True)
class EverySteps:
    """At step 0 and at each multiple of `n`."""

    n: int

    def due(self, step: int, t: float) -> bool:
        return step % self.n == 0


@dataclass(frozen=True)
class AtSteps:
    """At the steps listed."""

    steps: frozenset[int]

    def due(self, step: int, t: float) -> bool:
        return step in self.steps


@dataclass
class EveryTime:
    """At the first step at or past each multiple of `interval` of simulated time."""

    interval: float
    _last: float = field(default=-math.inf, repr=False)

    def due(self, step: int, t: float) -> bool:
        # A multiple that is missed by the roundoff of adding up dt is taken as reached.
        count = math.floor(t / self.interval + 1e-9)
        if count <= self._last:
            return False
        self._last = count
        return True


_CHOICES = ("a positive int (steps)", "a positive float (simulated time)", "a list of steps")


def cadence(every: int | float | Iterable[int] | Cadence) -> Cadence:
    """The cadence that ``every=`` asks for.

    Parameters
    ----------
    every : int, float, iterable of int, or Cadence
        An int counts steps, a float is an interval of simulated time, an iterable lists steps.

    Raises
    ------
    SetupError
        For zero, negative or non-finite values, and for anything else.
    """
    if isinstance(every, bool | str):
        raise SetupError("every", every, "is not a cadence", choices=_CHOICES)
    if isinstance(every, int):
        if every < 1:
            raise SetupError("every", every, "is not positive", choices=_CHOICES)
        return EverySteps(every)
    if isinstance(every, float):
        if not 0 < every < math.inf:
            raise SetupError("every", every, "is not a positive time", choices=_CHOICES)
        return EveryTime(every)
    if isinstance(every, Iterable):
        steps = list(every)
        if not steps or not all(isinstance(s, int) and s >= 0 for s in steps):
            raise SetupError("every", steps, "is not a list of step numbers", choices=_CHOICES)
        return AtSteps(frozenset(steps))
    if callable(getattr(every, "due", None)):
        return every
    raise SetupError("every", every, "is not a cadence", choices=_CHOICES)
