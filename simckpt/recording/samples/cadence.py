"""When a sample is due: it depends on step and simulated time alone, so that all ranks agree."""

from __future__ import annotations

import math
import numbers
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Protocol, cast

from ...errors import SetupError

if TYPE_CHECKING:
    from ...model.record import Facts
    from ...parallel.comm import Vote


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
    if isinstance(every, bool | str | bytes):
        raise SetupError("every", every, "is not a cadence", choices=_CHOICES)
    # NumPy's numbers are registered as these.
    if isinstance(every, numbers.Integral):
        n = int(every)
        if n < 1:
            raise SetupError("every", every, "is not positive", choices=_CHOICES)
        return EverySteps(n)
    if isinstance(every, numbers.Real):
        interval = float(every)
        if not 0 < interval < math.inf:
            raise SetupError("every", every, "is not a positive time", choices=_CHOICES)
        return EveryTime(interval)
    if isinstance(every, Iterable):
        steps = list(every)
        if not steps or not all(_is_step(step) for step in steps):
            raise SetupError("every", steps, "is not a list of step numbers", choices=_CHOICES)
        return AtSteps(frozenset(map(int, steps)))
    if callable(getattr(every, "start", None)):
        return cast("Cadence", every)
    raise SetupError("every", every, "is not a cadence", choices=_CHOICES)


def cadence_text(rule: Cadence) -> str:
    """The rule in words that are the same in every process."""
    match rule:
        case EverySteps(n):
            return f"{n} steps"
        case EveryTime(interval):
            return f"a simulated time of {interval!r}"
        case AtSteps(steps):
            return f"the steps {', '.join(map(str, sorted(steps)))}"
    return repr(rule) if is_dataclass(rule) else type(rule).__qualname__


def _is_step(value: object) -> bool:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and int(value) >= 0  # type: ignore[call-overload]
