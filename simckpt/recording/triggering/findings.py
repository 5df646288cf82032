"""What a rule has found: the reason, in words, and the values it rests on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...diagnostics.probe import Reading


@dataclass(frozen=True)
class Finding:
    """Why a rule fires: a clause for a person, and values for a program."""

    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Rule(Protocol):
    """A rule at work on the samples of one job attempt."""

    @abstractmethod
    def look(self, reading: Reading) -> Finding | None:
        """What the rule finds in the next sample; None if it has nothing to say."""
