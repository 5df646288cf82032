"""Which run is active: the innermost one that has begun and not ended."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from ..errors import SetupError, SimckptWarning

if TYPE_CHECKING:
    from .recorder import Recorder

recorders: list[Recorder] = []
"""Those of the runs that have begun and not ended; the last one is active."""

_forked = False


def _after_fork() -> None:
    """What a forked child has of its parent's runs is a copy that must touch nothing."""
    global _forked  # noqa: PLW0603 - a process is forked as a whole
    _forked = _forked or bool(recorders)
    for recorder in recorders:
        recorder.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def current() -> Recorder | None:
    """The recorder of the active run, None outside of any."""
    return recorders[-1] if recorders else None


def is_forked() -> bool:
    """Whether this process was forked from one while a run was active there."""
    return _forked


def required(caller: str) -> Recorder:
    """The recorder of the active run.

    Raises
    ------
    SetupError
        If there is none; `caller` is what the user called.
    """
    if not recorders:
        raise SetupError(
            caller,
            None,
            "was called outside of a run",
            mend="Decorate the driver with @simckpt.run(...), or use `with simckpt.run(...)`.",
        )
    return recorders[-1]


class OutsideWarning:
    """Warns once that a step function is called outside of a run."""

    def __init__(self) -> None:
        self._done = False

    def __call__(self, name: str) -> None:
        if not self._done:
            self._done = True
            warnings.warn(
                f"{name} is decorated with simckpt.step, but no simckpt.run is active: "
                "nothing is recorded",
                SimckptWarning,
                stacklevel=3,
            )
