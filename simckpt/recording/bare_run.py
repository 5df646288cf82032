"""What stands in a run's place where simckpt is turned off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from .run import F, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.checkpoint import Checkpoint


class BareRun(Run):
    """A run that records nothing: what `simckpt.run` makes under ``SIMCKPT_DISABLE=1``."""

    def __call__(self, driver: F) -> F:
        return driver

    def start(self, parameters: Mapping[str, Any] | None = None) -> Self:
        return self

    def checkpoint(self, label: str, *, why: str = "") -> Checkpoint | None:
        return None

    def resume(self, step: int) -> None:
        """Nothing to do."""

    def effective(self, *solvers: Any, **settings: Any) -> None:
        """Nothing to do."""

    def event(self, name: str, text: str = "", **facts: Any) -> None:
        """Nothing to do."""

    def account(self, name: str, amount: float) -> None:
        """Nothing to do."""

    def count(self, name: str, n: int = 1) -> None:
        """Nothing to do."""

    def residual(
        self,
        name: str,
        *,
        iterations: int,
        initial: float = float("nan"),
        final: float = float("nan"),
    ) -> None:
        """Nothing to do."""

    def scalar(self, name: str, value: float) -> None:
        """Nothing to do."""

    def sample(self, **state_and_declarations: Any) -> None:
        """Nothing to do."""
