"""Which run is active: the innermost one that has begun and not ended."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from ..errors import SetupError, SimckptWarning

if TYPE_CHECKING:
    from .recorder import Recorder

_active: list[Recorder] = []
_forked = False


def _leave_to_parent() -> None:
    """What a forked child has of its parent's runs is a copy that must touch nothing."""
    global _forked  # noqa: PLW0603 - a process is forked as a whole
    _forked = _forked or bool(_active)
    for recorder in _active:
        recorder.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def push(recorder: Recorder) -> None:
    """Make `recorder` the active one."""
    _active.append(recorder)


def pop(recorder: Recorder) -> None:
    """Take `recorder` off, wherever it stands."""
    if recorder in _active:
        _active.remove(recorder)


def current() -> Recorder | None:
    """The recorder of the active run, None outside of any."""
    return _active[-1] if _active else None


def forked() -> bool:
    """Whether this process was forked from one while a run was active there."""
    return _forked


def warn_of_fork() -> None:
    """Say that a child records nothing; the caller sees to it that this is said once."""
    text = "this process was forked from that of a run: nothing it does is recorded"
    warnings.warn(text, SimckptWarning, stacklevel=5)


def required(caller: str) -> Recorder:
    """The recorder of the active run.

    Raises
    ------
    SetupError
        If there is none; `caller` is what the user called.
    """
    recorder = current()
    if recorder is None:
        raise SetupError(
            caller,
            None,
            "was called outside of a run",
            mend="Decorate the driver with @simckpt.run(...), or use `with simckpt.run(...)`.",
        )
    return recorder


class OnceWarned:
    """Says once that a step function is called outside of a run, then stays silent."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, name: str) -> None:
        if not self._said:
            self._said = True
            warnings.warn(
                f"{name} is decorated with simckpt.step, but no simckpt.run is active: "
                "nothing is recorded",
                SimckptWarning,
                stacklevel=3,
            )
