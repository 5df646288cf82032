"""What a kind of run records beyond the common parts."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..model.transform import TransformManifest


class Profile(Protocol):
    """Asked for its parts at each checkpoint, on rank 0."""

    @abstractmethod
    def transforms(self) -> TransformManifest | None:
        """What was done to data so far; None for nothing."""


class SimulationProfile:
    """A simulation: the common parts say all of it."""

    def transforms(self) -> TransformManifest | None:
        return None
