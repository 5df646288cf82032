"""How the ranks of a run take leave: each says how it ended, and waits a bounded time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...parallel.comm import ExchangeFailed

if TYPE_CHECKING:
    from ...model.checkpoint import Reason
    from ...model.segment import Ending, Event
    from ...model.transform import StagePart
    from ...parallel.comm import Comm

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
