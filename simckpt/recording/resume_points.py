"""The checkpoints of a run that its next job attempt may go on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..compare.run_view import SegmentView
    from ..model.record import Hash
    from ..model.series import Checkpoint


@dataclass(frozen=True)
class Waypoints:
    """Steps and ids of the checkpoints that no later job attempt went back behind."""

    passed: tuple[tuple[int, Hash], ...] = ()

    @classmethod
    def of(cls, checkpoints: Iterable[Checkpoint], segments: Sequence[SegmentView]) -> Self:
        """Those of a recorded run.

        The one with which a restarted attempt began is one of them if the attempt got so far as
        to say at which step that was.
        """
        limits: dict[int, float] = {}
        began: dict[int, int] = {}
        limit = float("inf")
        for view in reversed(segments):
            index = view.segment.index
            limits[index] = limit
            if view.start_step or view.schema is not None or view is segments[0]:
                began[index] = view.start_step
            limit = min(limit, view.start_step)
        return cls(
            tuple(
                (checkpoint.step, checkpoint.id)
                for checkpoint in checkpoints
                if checkpoint.step <= limits.get(checkpoint.segment, limit)
                and (
                    checkpoint.reason != "start" or checkpoint.step == began.get(checkpoint.segment)
                )
            )
        )

    @property
    def last(self) -> Hash | None:
        """The latest one: what a run goes on from as long as it does not say otherwise."""
        return self.passed[-1][1] if self.passed else None

    def before(self, step: int) -> Hash | None:
        """The latest checkpoint at or before `step`; None if there is none."""
        found: tuple[int, Hash] | None = None
        for waypoint in self.passed:
            if waypoint[0] <= step and (found is None or waypoint[0] >= found[0]):
                found = waypoint
        return found[1] if found else None


NO_WAYPOINTS = Waypoints()
