"""Two ways of waiting for storage: here and now, or beside the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

Pieces = Iterator["bool | None"]
"""Work that is done piece by piece; it yields True when it can only wait."""

Waits = Callable[[Callable[[], None]], Pieces]
"""Does what it is given, and yields as long as that is not done."""


def at_once(operation: Callable[[], None]) -> Pieces:
    """Do it, and wait for it."""
    operation()
    yield False


def beside(operation: Callable[[], None]) -> Pieces:
    """Do it in a thread, which waits for storage and for nothing else."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            operation()
        except BaseException as problem:  # noqa: BLE001 - it is raised where it is waited for
            problems.append(problem)

    thread = threading.Thread(target=run, name="simckpt storage", daemon=True)
    thread.start()
    while thread.is_alive():
        yield True
    if problems:
        raise problems[0]
