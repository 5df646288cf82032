"""When a sample is due: it depends on step and simulated time alone, so that all ranks agree."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import SetupError

if TYPE_CHECKING:
    from ..model.record import Facts
    from ..parallel.comm import Vote


class Beat(Protocol):
    """A cadence in one run."""

    @abstractmethod
    def due(self, step: int, t: float) -> bool:
        """Whether a sample is due after `step`, at simulated time `t`. Asked once a step."""


class Meter(Protocol):
    """What a cadence may know of the run it beats in."""

    @abstractmethod
    def spent(self) -> float:
        """Seconds that samples have taken on this rank."""

    @abstractmethod
    def vote(self, value: float) -> Vote:
        """Start to find the largest `value` of all ranks."""

    @abstractmethod
    def settled(self, interval: int, facts: Facts) -> None:
        """The cadence is settled on `interval` steps, because of these facts."""


class Cadence(Protocol):
    """A rule for the steps at which samples are taken: a frozen value."""

    @abstractmethod
    def start(self, meter: Meter) -> Beat:
        """The cadence at the beginning of a run."""


@dataclass(frozen=True)
class EverySteps:
    """At step 0 and at each multiple of `n`."""

    n: int

    def start(self, meter: Meter) -> Beat:
        return self

    def due(self, step: int, t: float) -> bool:
        return step % self.n == 0


@dataclass(frozen=True)
class AtSteps:
    """At the steps listed."""

    steps: frozenset[int]

    def start(self, meter: Meter) -> Beat:
        return self

    def due(self, step: int, t: float) -> bool:
        return step in self.steps


@dataclass(frozen=True)
class EveryTime:
    """At the first step at or past each multiple of `interval` of simulated time."""

    interval: float

    def start(self, meter: Meter) -> Beat:
        return _TimeBeat(self.interval)


class _TimeBeat:
    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last = -math.inf

    def due(self, step: int, t: float) -> bool:
        # A multiple that is missed by the roundoff of adding up dt is taken as reached.
        count = math.floor(t / self._interval + 1e-9) if math.isfinite(t) else self._last
        if count <= self._last:
            return False
        self._last = count
        return True


_CHOICES = (
    "a positive int (steps)",
    "a positive float (simulated time)",
    "a list of steps",
    "simckpt.overhead(share)",
)


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
    if callable(getattr(every, "start", None)):
        return every
    raise SetupError("every", every, "is not a cadence", choices=_CHOICES)
