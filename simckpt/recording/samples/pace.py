"""The cadence of one run on one rank: what it is asked, and what it may know of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cadence import cadence_text

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from ...model.record import Facts
    from ...parallel.comm import Comm, Vote
    from ..faults import Faults
    from .cadence import Beat, Cadence


class Pace:
    """When samples are due.

    Parameters
    ----------
    votes : Comm
        Carries the ranks' votes and nothing else.
    spent : callable
        Seconds that samples have taken on this rank.
    event : callable
        Takes the name, the sentence and the facts of an event.
    faults : Faults
        Takes what keeps the cadence from asking for samples.
    alike : dict of str
        Takes the cadence in words: it must be the same on every rank.
    """

    def __init__(
        self,
        votes: Comm,
        spent: Callable[[], float],
        event: Callable[..., None],
        faults: Faults,
        alike: MutableMapping[str, str],
    ) -> None:
        self._votes = votes
        self.spent = spent
        self._event = event
        self._faults = faults
        self._alike = alike
        self._beat: Beat | None = None

    def due(self, cadence: Cadence, step: int, t: float) -> bool:
        """Whether a sample is due; asked once a step, on every rank."""
        if self._beat is None:
            self._alike["every"] = cadence_text(cadence)
            self._beat = cadence.start(self)
        return self._beat.due(step, t)

    def vote(self, value: float) -> Vote:
        """Start to find the largest `value` of all ranks."""
        return self._votes.vote(value)

    def settled(self, interval: int, facts: Facts) -> None:
        """Record the interval that an overhead cadence has settled on."""
        if self._votes.rank == 0:
            text = f"a sample is taken every {interval} steps from here on"
            self._event("cadence_settled", text, interval=interval, **facts)

    def hampered(self, name: str, text: str) -> None:
        """Record and say why samples are not taken as the cadence means them to be."""
        if self._votes.rank == 0:
            self._faults.note(name, text)
