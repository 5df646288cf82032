"""A trigger's rule that is the user's own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..disclosed import redacted
from .findings import Finding

if TYPE_CHECKING:
    from ...diagnostics.probe import Reading


class PredicateRule:
    """Asks the user's predicate about each sample.

    Parameters
    ----------
    predicate : callable
        Gets the sample; says whether to fire, or why as a text, or as a dict of values.
    """

    def __init__(self, predicate: Callable[[Reading], Any]) -> None:
        self._predicate = predicate

    def look(self, reading: Reading) -> Finding | None:
        answer = self._predicate(reading)
        if isinstance(answer, dict):
            return Finding("the predicate holds", answer) if answer else None
        if isinstance(answer, str):
            return Finding(redacted(answer)[:500]) if answer else None
        return Finding("the predicate holds") if bool(answer) else None
