"""A time in which storage refuses: told once as it begins, and once as it is over."""

from __future__ import annotations

import time

from ..model.segment import Event


class Outage:
    """What is known of the outage under way, if there is one."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._began = 0.0
        self._reason = ""
        self._held = 0
        self._lost = 0

    def refused(self, step: int, reason: str) -> bool:
        """Storage refused the checkpoint of `step`; whether an outage begins with it."""
        self._held += 1
        self._reason = reason
        if self._since is not None:
            return False
        self._since, self._began = step, time.time()
        return True

    def over(self, step: int, lost: int) -> Event | None:
        """Storage took the checkpoint of `step`: what to say, if it had refused before.

        `lost` is how many samples and rows of tiles the writer could not hold since it began.
        """
        if self._since is None:
            return None
        now, gone = time.time(), lost - self._lost
        event = Event(
            name="storage_back",
            severity="error" if gone else "warning",
            step=step,
            wall=now,
            text=f"storage refused from step {self._since} on ({self._reason}) and took everything "
            f"again at step {step}: {self._held} checkpoints were late, "
            + (f"{gone} samples or rows of tiles are lost" if gone else "nothing is lost"),
            facts={
                "since_step": self._since,
                "since": self._began,
                "reason": self._reason,
                "late_checkpoints": self._held,
                "lost": gone,
            },
        )
        self._since, self._held, self._lost = None, 0, lost
        return event

    def unresolved(self, lost: int) -> str:
        """What is lost with this process if storage refuses to the end; empty if all is well."""
        if self._since is None:
            return ""
        gone = f" {lost} samples or rows of tiles could not even be held." if lost else ""
        return (
            f"storage refused from step {self._since} to the end of the run ({self._reason}): "
            f"what was recorded since the checkpoint before that may be lost.{gone}"
        )
