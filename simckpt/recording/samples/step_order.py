"""Steps that do not follow each other: a driver that numbers them wrongly, or goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...diagnostics.probe import Reading


class StepOrder:
    """The steps of one job attempt's samples, in the order in which they were taken."""

    def __init__(self) -> None:
        self._last: int | None = None

    def problem(self, reading: Reading) -> str:
        """What is wrong with the step of the next sample; empty if it is past the last one."""
        if not reading.aligned or not reading.ranks:
            return ""
        last, self._last = self._last, reading.step
        if last is not None and reading.step == last:
            return f"step {last} was sampled again; the last sample of a step counts"
        if last is not None and reading.step < last:
            return (
                f"the steps go back, from {last} to {reading.step}; of steps that are sampled "
                "again the last sample counts"
            )
        # Negative numbers may lead up to zero: the first one is enough.
        if last is None and reading.step < 0:
            return f"the steps begin with a negative number, {reading.step}"
        return ""
