"""When a sample is due: it depends on step and simulated time alone, so that all ranks agree."""

from __future__ import annotations

import math
import numbers
import time
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.record import Facts
    from ..parallel.comm import Comm, Vote
    from .faults import Faults


class Schedule(Protocol):
    """A cadence in one run."""

    @abstractmethod
    def due(self, step: int, t: float) -> bool:
        """Whether a sample is due after `step`, at simulated time `t`. Called once a step."""


@dataclass(frozen=True)
class Meter:
    """What a cadence may know of the run, and what it says.

    Parameters
    ----------
    votes : Comm
        Carries the ranks' votes and nothing else.
    spent : callable
        Seconds that samples have taken on this rank.
    record : callable
        Takes the name, the sentence and the facts of an event.
    faults : Faults
        Takes what keeps the cadence from asking for samples.
    """

    votes: Comm
    spent: Callable[[], float]
    record: Callable[..., None]
    faults: Faults

    def record_interval(self, interval: int, facts: Facts) -> None:
        """An overhead cadence has settled on `interval` steps, because of these facts."""
        if self.votes.rank == 0:
            text = f"a sample is taken every {interval} steps from here on"
            self.record("cadence_settled", text, facts={"interval": interval, **facts})

    def warn(self, name: str, text: str) -> None:
        """Samples are not taken as the cadence means them to be: why, and the fix."""
        if self.votes.rank == 0:
            self.faults.note(name, text)


class Cadence(Protocol):
    """A rule for the steps at which samples are taken: a frozen value."""

    @abstractmethod
    def start(self, meter: Meter) -> Schedule:
        """The cadence at the beginning of a run."""


@dataclass(frozen=True)
class EverySteps:
    """At step 0 and at each multiple of `n`."""

    n: int

    def start(self, meter: Meter) -> Schedule:
        return self

    def due(self, step: int, t: float) -> bool:
        return step % self.n == 0


@dataclass(frozen=True)
class AtSteps:
    """At the steps listed."""

    steps: frozenset[int]

    def start(self, meter: Meter) -> Schedule:
        return self

    def due(self, step: int, t: float) -> bool:
        return step in self.steps


@dataclass(frozen=True)
class EveryTime:
    """At the first step at or past each multiple of `interval` of simulated time."""

    interval: float

    def start(self, meter: Meter) -> Schedule:
        return _TimeSchedule(self.interval, meter)


class _TimeSchedule:
    def __init__(self, interval: float, meter: Meter) -> None:
        self._interval = interval
        self._meter = meter
        self._last = -math.inf
        self._before = -math.inf
        self._warned: set[str] = set()

    def due(self, step: int, t: float) -> bool:
        if not math.isfinite(t):
            self._warn(
                "time_missing",
                f"every={self._interval!r} is simulated time, and at step {step} there is none "
                f"(t = {t!r}): no sample is due while that is so. Say time=lambda sim: sim.t, or "
                "count steps by a whole number, as in every=10",
            )
            return False
        # A multiple that is missed by the roundoff of adding up dt is taken as reached.
        reached = t / self._interval + 1e-9
        count = math.floor(reached) if math.isfinite(reached) else reached
        if count < self._last:
            self._warn(
                "time_went_back",
                f"at step {step} the simulated time went back to {t!r}, from {self._before!r}: "
                f"samples are taken every {self._interval!r} from there again. If the run was set "
                "back to an earlier state, record it as a continued run, with its start_step=",
            )
        due = count != self._last
        self._last, self._before = count, t
        return due

    def _warn(self, name: str, text: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self._meter.warn(name, text)


_CHOICES = (
    "a positive int (steps)",
    "a positive float (simulated time)",
    "a list of steps",
    "simckpt.MaxOverhead(share)",
)
_MEND = (
    "Write every=10 for steps, every=0.5 for simulated time, every=[0, 100] for a list, or "
    "every=simckpt.MaxOverhead(0.01) for one per cent of the wall time."
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
    every = _bare(every)
    if isinstance(every, type):
        raise _refused(every, "is a class, not a cadence: its argument is missing")
    if isinstance(every, bool | str | bytes):
        raise _refused(every, "is not a cadence")
    # NumPy's numbers are registered as these.
    if isinstance(every, numbers.Integral):
        n = int(every)
        if n < 1:
            raise _refused(every, "is not positive")
        return EverySteps(n)
    if isinstance(every, numbers.Real):
        interval = float(every)
        if not 0 < interval < math.inf:
            raise _refused(every, "is not a positive time")
        return EveryTime(interval)
    if isinstance(every, Iterable):
        steps = [_bare(step) for step in every]
        if not steps or not all(_is_step(step) for step in steps):
            raise _refused(steps, "is not a list of step numbers")
        return AtSteps(frozenset(map(int, steps)))
    if callable(getattr(every, "start", None)):
        return cast("Cadence", every)
    raise _refused(every, "is not a cadence")


def _refused(every: object, problem: str) -> SetupError:
    return SetupError("every", every, problem, choices=_CHOICES, mend=_MEND)


def _bare(value: Any) -> Any:
    """The number in an array without axes, which is neither a number nor iterable."""
    return value.item() if getattr(value, "shape", None) == () else value


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


# A cadence that keeps to a share of the run's wall time.
#
# Costs are measured over the first steps, the ranks agree on the largest ratio of a sample's cost
# to a step's, and the interval is the next power of two: the same on all ranks, recorded, and
# such that two runs which settle on different intervals still share the steps of the longer one.


MEASURED_STEPS = 4
"""Steps at the start that are all sampled and timed; the first of them loads the kernels."""

VOTING_STEPS = 4
"""Steps that the ranks' votes may take to travel, before they are waited for."""

VOTE_TIMEOUT = 60.0
LONGEST_INTERVAL = 1 << 20


@dataclass(frozen=True)
class MaxOverhead:
    """Samples as often as a share of the wall time allows.

    Parameters
    ----------
    share : float
        Part of the time that the steps take, such as 0.01.

    Raises
    ------
    SetupError
        If it is not between 0 and 1.
    """

    share: float

    def __post_init__(self) -> None:
        share: Any = self.share
        if getattr(share, "shape", None) == ():  # an array without axes
            share = share.item()
        number = isinstance(share, numbers.Real) and not isinstance(share, bool)
        if not number or not 0 < share < 1:
            raise SetupError(
                "MaxOverhead",
                self.share,
                "is not a share of the wall time between 0 and 1",
                mend="Write simckpt.MaxOverhead(0.01) for one per cent.",
            )
        # The ranks compare their cadences by what they print.
        object.__setattr__(self, "share", float(share))

    def start(self, meter: Meter) -> Schedule:
        return OverheadSchedule(self.share, meter)


class OverheadSchedule:
    """The cadence in one run: it measures, votes, and settles."""

    def __init__(
        self, share: float, meter: Meter, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._share = share
        self._meter = meter
        self._clock = clock
        self._calls = 0
        self._times: list[tuple[float, float]] = []
        self._vote: Vote | None = None
        self._interval = 0

    def due(self, step: int, t: float) -> bool:
        if self._interval:
            return step % self._interval == 0
        self._calls += 1
        self._times.append((self._clock(), self._meter.spent()))
        if self._calls <= MEASURED_STEPS:
            return True
        if self._vote is None:
            self._vote = self._meter.votes.vote(self._ratio())
        if self._calls <= MEASURED_STEPS + VOTING_STEPS:
            return False
        self._settle(self._vote.outcome(VOTE_TIMEOUT))
        return step % self._interval == 0

    def _ratio(self) -> float:
        """Cost of a sample over that of a step, on this rank; the first of each is left out."""
        rounds = [
            (after - before, (end - start) - (after - before))
            for (start, before), (end, after) in zip(self._times[1:], self._times[2:], strict=False)
        ]
        sample = min(cost for cost, _ in rounds)
        step = min(duration for _, duration in rounds)
        return sample / step if step > 0 else math.inf

    def _settle(self, ratio: float | None) -> None:
        # Without an answer the ranks are out of step in any case: sample rarely.
        needed = LONGEST_INTERVAL if ratio is None else ratio / self._share
        self._interval = 1
        while self._interval < min(needed, LONGEST_INTERVAL):
            self._interval *= 2
        self._meter.record_interval(
            self._interval, {"share": self._share, "sample_over_step": ratio or 0.0}
        )
