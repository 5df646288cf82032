"""Samples that were refused because storage failed for too long, and how the bundle says so."""

from __future__ import annotations

from ...model.segment import Event


class Losses:
    """What was lost since it was last said.

    Attributes
    ----------
    lost : int
        Samples and rows of tiles that were refused, in all.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._missing: tuple[int, ...] = ()

    def note(self, step: int) -> None:
        """One of `step` was refused."""
        self.lost += 1
        self._missing = (*self._missing[:1], step)

    def said(self, wall: float, trouble: str) -> tuple[Event, ...]:
        """The event that says what was lost since the last one, if anything was."""
        if not self._missing:
            return ()
        first, last = self._missing[0], self._missing[-1]
        self._missing = ()
        return (
            Event(
                name="samples_lost",
                severity="error",
                step=first,
                wall=wall,
                text=f"samples of the steps {first} to {last} were lost: storage refused them "
                f"for too long ({trouble})",
                facts={"first": first, "last": last, "lost": self.lost},
            ),
        )
