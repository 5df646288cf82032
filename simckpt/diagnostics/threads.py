"""How many threads share the work of a sample on one rank."""

from __future__ import annotations

import os

from ..errors import SetupError

VARIABLE = "SIMCKPT_THREADS"
MOST = 1024


def threads_wanted() -> int:
    """The number of threads that SIMCKPT_THREADS asks for; 1 without it.

    Raises
    ------
    SetupError
        If it is something else than a number of threads.
    """
    text = os.environ.get(VARIABLE, "1")
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= MOST:
        raise SetupError(
            VARIABLE,
            text,
            f"is not a number of threads from 1 to {MOST}",
            mend=f"Set the environment variable to a number, or unset it: unset {VARIABLE}.",
        )
    return int(text)
