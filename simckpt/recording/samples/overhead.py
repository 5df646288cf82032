"""A cadence that keeps to a share of the run's wall time.

Costs are measured over the first steps, the ranks agree on the largest ratio of a sample's cost to
a step's, and the interval is the next power of two: the same on all ranks, recorded, and such
that two runs which settle on different intervals still share the steps of the longer one.
"""

from __future__ import annotations

import math
import numbers
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...parallel.comm import Vote
    from .cadence import Beat, Meter

MEASURED_STEPS = 4
"""Steps at the start that are all sampled and timed; the first of them loads the kernels."""

VOTING_STEPS = 4
"""Steps that the ranks' votes may take to travel, before they are waited for."""

VOTE_TIMEOUT = 60.0
LONGEST_INTERVAL = 1 << 20


@dataclass(frozen=True)
class Overhead:
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
                "overhead",
                self.share,
                "is not a share of the wall time between 0 and 1",
                mend="Write simckpt.overhead(0.01) for one per cent.",
            )
        # The ranks hold their cadences against each other by what they print.
        object.__setattr__(self, "share", float(share))

    def start(self, meter: Meter) -> Beat:
        return OverheadBeat(self.share, meter)


class OverheadBeat:
    """The cadence in one run: it measures, votes, and settles."""

    def __init__(
        self, share: float, meter: Meter, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._share = share
        self._meter = meter
        self._clock = clock
        self._asked = 0
        self._seen: list[tuple[float, float]] = []
        self._vote: Vote | None = None
        self._interval = 0

    def due(self, step: int, t: float) -> bool:
        if self._interval:
            return step % self._interval == 0
        self._asked += 1
        self._seen.append((self._clock(), self._meter.spent()))
        if self._asked <= MEASURED_STEPS:
            return True
        if self._vote is None:
            self._vote = self._meter.vote(self._ratio())
        if self._asked <= MEASURED_STEPS + VOTING_STEPS:
            return False
        self._settle(self._vote.outcome(VOTE_TIMEOUT))
        return step % self._interval == 0

    def _ratio(self) -> float:
        """Cost of a sample over that of a step, on this rank; the first of each is left out."""
        rounds = [
            (spent - before, (now - then) - (spent - before))
            for (then, before), (now, spent) in zip(self._seen[1:], self._seen[2:], strict=False)
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
        self._meter.settled(
            self._interval, {"share": self._share, "sample_over_step": ratio or 0.0}
        )
