"""The artifact index, made in a thread that the run does not wait for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle.contents import content_hashes
from ..capture.files.artifacts import index_artifacts

if TYPE_CHECKING:
    from ..model.artifact import ArtifactIndex

SETTLED = 2.0
"""Seconds for which an output has not changed before it is hashed while the run goes on."""

QUIET = 0.5
"""Seconds without a change that the end of a run asks of what was written last."""

HASHING_LIMIT = 240.0
"""Seconds for hashing outputs when the run ends; what is left is named and not hashed."""

LONGEST_WAIT = 300.0
"""Seconds that the end of a run waits for the index: a file server may never answer."""


class Indexer:
    """Keeps the last index of the outputs, and makes the next one.

    Parameters
    ----------
    patterns : tuple of str
        The outputs; there is no index without any.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns
        self._root = Path.cwd()
        self._done: ArtifactIndex | None = None
        self._thread: threading.Thread | None = None

    def index(self, *, wait: bool) -> ArtifactIndex | None:
        """The index that was last finished, and a new one begun; with `wait`, that new one."""
        if not self._patterns:
            return None
        limit = LONGEST_WAIT if wait else 0.0
        if self._thread is not None:
            self._thread.join(limit)
        if self._thread is None or not self._thread.is_alive():
            self._begin(0.0 if wait else SETTLED, QUIET if wait else 0.0)
            if wait and self._thread is not None:
                self._thread.join(limit)
        return self._done

    def _begin(self, settled: float, quiet: float) -> None:
        def run() -> None:
            self._done = index_artifacts(
                self._patterns,
                self._root,
                content_hashes,
                settled=settled,
                quiet=quiet,
                limit=HASHING_LIMIT,
                previous=self._done,
            )

        # A daemon: one that hangs must not hold up the end of the program.
        self._thread = threading.Thread(target=run, name="simckpt-index", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread can be had any more
            self._thread = None
