"""Folding while the run goes on: in pieces of a few milliseconds, at most a tenth of the time.

What is folded is all that was committed when the fold began; nothing of that changes any more.
The run appends to the same journal meanwhile. When the new ``.h5`` has taken its place, both
files hold the records that were folded, which readers tell by their numbers; then a journal
without them takes the place of the former, again piece by piece.

There is no thread: in many builds the HDF5 of h5py is also that of other libraries of the
program, which do not know of h5py's lock. Only waiting for storage is done beside the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

from ...errors import DamagedBundleError
from ..files import open_to_read
from ..format.seal import SealCheck
from ..paths import BundlePaths
from ..reading.folded import FoldedFile
from ..reading.journal import Journal, read_header
from ..reading.recorded import Recorded
from .appender import Appender
from .fold import fold_in_pieces
from .options import WriterOptions
from .succession import Header, shortened
from .waiting import Pieces, beside

_WINDOW = 256 << 10


class Folding:
    """A fold under way.

    Parameters
    ----------
    paths : BundlePaths
        The bundle's files.
    header : Header
        Of the journal that will be left: its first record is the first that is not folded.
    journal : callable
        The journal that is being written, all of which is synced when the fold begins. It may
        be another later, with the same bytes.
    options : WriterOptions
        How it is written.

    Attributes
    ----------
    size : int
        Bytes of the journal that are folded.
    """

    def __init__(
        self,
        paths: BundlePaths,
        header: Header,
        journal: Callable[[], Appender],
        options: WriterOptions,
    ) -> None:
        self.size = journal().synced
        self._paths = paths
        self._header = header
        self._journal = journal
        self._options = options
        self._work = self._all(os.dup(journal().handle))
        self._began = options.clock()
        self._worked = 0.0

    def advance(self) -> Appender | None:
        """Do some of the work, if it is time to; the new journal, once all of it is done.

        Raises
        ------
        OSError, RuntimeError, BundleError
            If it cannot be done; the bundle is as it was.
        """
        clock = self._options.clock
        now = began = clock()
        due = self._options.fold_share * (now - self._began) - self._worked
        until = began + min(due, self._options.fold_seconds)
        try:
            while now < until and not next(self._work):
                now = clock()
        except StopIteration as done:
            journal: Appender = done.value
            return journal
        self._worked += clock() - began
        return None

    def close(self) -> None:
        """Leave it; nothing of it is left behind."""
        self._work.close()

    def _all(self, handle: int) -> Generator[bool | None, None, Appender]:
        with ExitStack() as opened:
            opened.callback(os.close, handle)
            yield from self._fold(opened, handle)
        return (
            yield from shortened(self._paths, self._header, self.size, self._journal, self._options)
        )

    def _fold(self, opened: ExitStack, handle: int) -> Pieces:
        h5 = self._paths.h5
        folded = None
        if h5.exists():
            yield from self._checked()
            folded = FoldedFile(h5, sealed=False, guarded=False)
            opened.callback(folded.close)
        header = read_header(self._paths.journal, handle)
        assert header is not None
        journal = Journal(
            self._paths.journal,
            os.dup(handle),
            header,
            folded.next if folded is not None else 0,
            upto=self.size,
            scanned=False,
        )
        opened.callback(journal.close)
        yield from journal.scan(_WINDOW)
        recorded = Recorded(h5, folded, journal)
        check_complete(recorded, self._header.first)
        yield from fold_in_pieces(recorded, self._header.link, h5, self._options.files, beside)

    def _checked(self) -> Iterator[None]:
        handle = open_to_read(self._paths.h5)
        try:
            yield from SealCheck(self._paths.h5, handle, _WINDOW)
        finally:
            os.close(handle)


def check_complete(recorded: Recorded, records: int) -> None:
    """DamagedBundleError if storage does not hold all that was written to it."""
    if recorded.next != records:
        raise DamagedBundleError(
            recorded.path, f"holds {recorded.next} records where {records} were written"
        )
