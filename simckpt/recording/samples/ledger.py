"""What the instrument costs: seconds by kind of work, on this rank."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from ...model.checkpoint import Cost

if TYPE_CHECKING:
    from collections.abc import Iterator

Work = Literal["setup", "samples", "reductions", "checkpoints", "captures"]


class Ledger:
    """Adds up the time spent; work inside other work is counted once, as the outer kind."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._spent: dict[Work, float] = dict.fromkeys(
            ("setup", "samples", "reductions", "checkpoints", "captures"), 0.0
        )
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether the instrumentation is at work."""
        return self._busy

    @contextmanager
    def spending(self, work: Work) -> Iterator[None]:
        """Count the time of the body as `work`."""
        if self._busy:
            yield
            return
        self._busy = True
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._spent[work] += time.perf_counter() - begun
            self._busy = False

    @property
    def sampling(self) -> float:
        """Seconds that samples have taken so far."""
        return self._spent["samples"] + self._spent["reductions"]

    def cost(self) -> Cost:
        """The account so far."""
        return Cost(wall=time.perf_counter() - self._begun, **self._spent)
