"""Waiting with a time limit for something that another rank completes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_PAUSE = 0.002


def poll(
    ready: Callable[[], bool],
    deadline: float,
    meanwhile: Callable[[float], float] | None = None,
) -> bool:
    """Call `ready` until it says so (True) or ``time.monotonic()`` passes `deadline` (False).

    The pause between calls grows to 2 ms: a rank that waits for a straggler leaves it the
    processor. `meanwhile` is called with the time, and gives back the deadline as it is by then.
    """
    pause = 1e-6
    while not ready():
        now = time.monotonic()
        if meanwhile is not None:
            deadline = meanwhile(now)
        if now > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True
