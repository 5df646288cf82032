"""Whose samples a run takes, and whose steps it counts: those of one step object.

An object that was made since the other was last used takes its place: a driver may make one for
each step. Of two that are used in turn, one counts; the other's samples would hold other arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...diagnostics.declarations import Declarations
    from ..faults import Faults

_MEND = "One run has one step object, which counts its steps: put all fields and diagnostics in it"


class Counting:
    """What the samples of one run are, and which step object takes them.

    Parameters
    ----------
    faults : Faults
        Takes what is refused.
    """

    def __init__(self, faults: Faults) -> None:
        self.declarations: Declarations | None = None
        self._faults = faults
        self._owner = 0
        self._latest = 0

    def foreign(self, declarations: Declarations) -> bool:
        """Whether these are not the declarations of the run's samples, which is then said."""
        known = self.declarations
        if known is None or known is declarations or known == declarations:
            return False
        changes = "; ".join(known.changes(declarations))
        text = f"a sample with other declarations was skipped: {changes}. {_MEND}"
        self._faults.note_once("declarations_changed", text)
        return True

    def rival(self, number: int, latest: int) -> bool:
        """Whether step object `number` is not the one that counts, which is then said.

        `latest` is the number of the object that was made last.
        """
        if number != self._owner and number <= self._latest:
            text = f"steps and samples of a second step object were skipped. {_MEND}"
            self._faults.note_once("second_step_object", text)
            return True
        self._owner, self._latest = number, latest
        return False
