"""What a kind of run records beyond the common parts."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..model.transform import StagePart, TransformManifest


class Profile(Protocol):
    """Asked for its parts at each checkpoint, on rank 0."""

    @abstractmethod
    def transforms(self) -> TransformManifest | None:
        """What was done to data so far; None for nothing."""

    @abstractmethod
    def parting(self) -> StagePart | None:
        """What this rank has to tell the others when the run ends."""

    @abstractmethod
    def gather(self, parts: tuple[StagePart | None, ...]) -> None:
        """Take in what all ranks have told, in the order of ranks."""


class SimulationProfile:
    """A simulation: the common parts say all of it."""

    def transforms(self) -> TransformManifest | None:
        return None

    def parting(self) -> StagePart | None:
        return None

    def gather(self, parts: tuple[StagePart | None, ...]) -> None:
        """Nothing to do."""
