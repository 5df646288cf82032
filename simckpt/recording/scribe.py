"""What a recorder tells about a run, and the scribe of the ranks that do not write.

Rank 0 has a `BundleScribe`, which makes records of it. The others have a `SilentScribe`, so
that nobody has to ask which rank it is.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from .triggering.sentry import NO_WISHES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..diagnostics.probe import Reading
    from ..model.checkpoint import Checkpoint, Cost, Reason
    from ..model.record import Json
    from ..model.segment import Decomposition, Ending, Event
    from ..model.series import SeriesSchema
    from .samples.placements import Placed
    from .triggering.sentry import Wishes
    from .triggering.triggers import Kind

MOST_KEPT_EVENTS = 100


class Scribe(Protocol):
    """Takes down what happens in a run."""

    @abstractmethod
    def describe(
        self,
        schema: SeriesSchema,
        decomposition: Decomposition,
        step: int,
        declarations: Mapping[str, Json],
        joint: bool = False,
    ) -> None:
        """The first sample is set up: what samples mean, which rank holds what, what was asked.

        With `joint` it is taken only because the segment begins there; likewise in `end`.
        """

    @abstractmethod
    def sample(self, reading: Reading, wall: float, placed: Placed | None = None) -> None:
        """A sample is complete; `wall` is when it was taken, `placed` where its boxes lay."""

    @abstractmethod
    def event(self, event: Event) -> None:
        """Something happened."""

    @abstractmethod
    def effective(self, things: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
        """Numerical settings as they are in effect: solver objects, and settings by name."""

    @abstractmethod
    def follow(self, source: Callable[[], Any]) -> None:
        """Where to find the solver objects whenever their settings are read."""

    @abstractmethod
    def checkpoint(
        self, label: str, reason: Reason, step: int, t: float, why: str, cost: Cost
    ) -> Checkpoint | None:
        """Commit a checkpoint; None on ranks that do not write."""

    @abstractmethod
    def met(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        """An exception or a signal ends the run."""

    @abstractmethod
    def wishes(self) -> Wishes:
        """What triggers ask of the recorder, since this was last asked."""

    @abstractmethod
    def end(self, ending: Ending, step: int, why: str, joint: bool = False) -> None:
        """The segment ends: commit what is left and close the bundle."""

    @property
    @abstractmethod
    def awaits_step(self) -> bool:
        """Whether the run goes on from a step that has not been told yet."""

    @property
    @abstractmethod
    def unsaid(self) -> tuple[Event, ...]:
        """Events that this rank keeps for rank 0."""


class SilentScribe:
    """The scribe of a rank that does not write: it keeps its events for rank 0."""

    awaits_step = False

    def __init__(self) -> None:
        self._events: list[Event] = []

    def describe(
        self,
        schema: SeriesSchema,
        decomposition: Decomposition,
        step: int,
        declarations: Mapping[str, Json],
        joint: bool = False,
    ) -> None:
        """Nothing to do."""

    def sample(self, reading: Reading, wall: float, placed: Placed | None = None) -> None:
        """Nothing to do: only rank 0 receives readings."""

    def event(self, event: Event) -> None:
        if len(self._events) < MOST_KEPT_EVENTS:
            self._events.append(event)

    def effective(self, things: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
        """Nothing to do: rank 0 reports the settings."""

    def follow(self, source: Callable[[], Any]) -> None:
        """Nothing to do: rank 0 reads them."""

    def checkpoint(
        self, label: str, reason: Reason, step: int, t: float, why: str, cost: Cost
    ) -> Checkpoint | None:
        return None

    def met(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        """Nothing to do: rank 0 captures."""

    def wishes(self) -> Wishes:
        return NO_WISHES

    def end(self, ending: Ending, step: int, why: str, joint: bool = False) -> None:
        """Nothing to do."""

    @property
    def unsaid(self) -> tuple[Event, ...]:
        return tuple(self._events)
