"""The exceptions and warnings of simckpt; this module imports nothing of the package."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Characters that could steer a terminal, and halves of characters that it cannot print."""


def harmless(text: str) -> str:
    """`text` on one line, with what could steer a terminal shown as escapes."""
    return UNSAFE.sub(lambda m: m.group().encode("unicode_escape").decode(), text)


class SimckptError(Exception):
    """Base of every error that simckpt raises."""


class SetupError(SimckptError, ValueError):
    """A wrong argument or declaration, found before anything is recorded.

    Parameters
    ----------
    argument : str
        The argument as the user wrote it, such as ``conserved['mass']``.
    value : object
        What was given.
    problem : str
        What is wrong with it, one sentence without a full stop.
    choices : iterable of str, optional
        What would be accepted.
    mend : str, optional
        What to do about it, an imperative sentence.
    """

    def __init__(
        self,
        argument: str,
        value: object,
        problem: str,
        *,
        choices: Iterable[str] = (),
        mend: str = "",
    ) -> None:
        self.argument = argument
        self.value = value
        self.problem = problem
        self.choices = tuple(choices)
        self.mend = mend
        super().__init__(argument, value, problem)

    def __str__(self) -> str:
        value = _value_text(self.value)
        if len(value) > 200:
            value = value[:197] + "..."
        text = f"{self.argument} = {value}: {self.problem}."
        if self.choices:
            text += f" Choices: {', '.join(self.choices)}."
        if self.mend:
            text += f" {self.mend}"
        # The values may be arrays, which are shown on several lines.
        return "\n".join(map(harmless, text.split("\n")))

    def __reduce__(self) -> tuple[object, ...]:
        # Setup errors travel between ranks by pickle; the default would lose the keywords.
        return _rebuild_setup_error, (
            self.argument,
            _value_text(self.value),
            self.problem,
            self.choices,
            self.mend,
        )


def _value_text(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a user's object, or a number of too many digits
        return f"<{type(value).__name__} that cannot be printed>"


def _rebuild_setup_error(
    argument: str, text: str, problem: str, choices: tuple[str, ...], mend: str
) -> SetupError:
    return SetupError(argument, _RemoteValue(text), problem, choices=choices, mend=mend)


class _RemoteValue(str):
    """A value of another rank, of which only the text arrived."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class BundleError(SimckptError):
    """A bundle that cannot be read or written; the message starts with its path.

    What a stranger's file says may be part of it, so that it is escaped where it is shown.
    """

    def __init__(self, path: object, problem: str, mend: str = "") -> None:
        self.path = str(path)
        self.problem = problem
        self.mend = mend
        super().__init__(self.path, problem, mend)

    def __str__(self) -> str:
        text = f"{self.path}: {self.problem}." + (f" {self.mend}" if self.mend else "")
        return harmless(text)


class NotABundleError(BundleError):
    """The file is missing, or is something other than a bundle or its journal."""


class DamagedBundleError(BundleError):
    """A checksum does not hold; the message says what is damaged and what can be had."""


class NewerFormatError(BundleError):
    """The bundle was written in a format version that this simckpt does not know."""


class DoubtfulFormatError(NewerFormatError, DamagedBundleError):
    """It says a later format version and its checksum does not hold: it may be either."""

    def __init__(self, path: object, version: int, newest: int) -> None:
        super().__init__(
            path,
            f"says that it is of format version {version}, and its checksum does not hold; this "
            f"simckpt knows versions up to {newest}",
            "Install a newer simckpt, or if none wrote it: simckpt recover --salvage <bundle>.",
        )


class BundleNotWritableError(BundleError):
    """The bundle's place cannot be written to."""


class BundleBusyError(BundleError):
    """Another live run is writing this bundle."""


class InstrumentError(SimckptError):
    """A fault inside the instrumentation; raised only with ``strict=True``."""


class SimckptWarning(UserWarning):
    """A fault inside the instrumentation that was recorded while the run goes on."""
