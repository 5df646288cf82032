"""Where a writer's frames go: to the journal, and by way of a fold into the ``.h5``.

It knows what storage has refused and when to ask it again, that the journal is to stay in its
place, and when it has grown so much that it is to be folded. Of records it knows their bytes.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from ...errors import BundleError
from ..format.framing import FRAME_SIZE, Origin
from ..paths import BundlePaths
from ..reading.opening import open_recorded
from .appender import Appender, JournalAltered
from .beginning import not_writable, reason
from .fold import fold
from .folding import Folding, check_complete
from .options import WriterOptions
from .remaking import Remains, remade
from .succession import Header, next_journal, put_back

RETRY_SECONDS = 1.0
"""Between commits, storage that refused is asked again no sooner."""


class Outlet:
    """One bundle's way to storage.

    Parameters
    ----------
    paths : BundlePaths
        The bundle's files.
    origin : Origin
        Whose journal it is.
    appender : Appender
        The journal.
    options : WriterOptions
        How it is written.

    Attributes
    ----------
    trouble : str
        Why storage last refused something, or an empty string while all is well.
    """

    def __init__(
        self, paths: BundlePaths, origin: Origin, appender: Appender, options: WriterOptions
    ) -> None:
        self.paths = paths
        self.trouble = ""
        self._origin = origin
        self._appender = appender
        self._options = options
        self._wrote_at = options.clock()
        self._folding: Folding | None = None
        self._folded_bytes = 0
        self._fold_at = self._next_fold()

    def add(self, kind: int, sequence: int, chain: int, payload: bytes) -> None:
        """Hold the frame of a record."""
        self._appender.add(kind, sequence, chain, payload)

    def has_room(self, size: int) -> bool:
        """Whether a payload of `size` bytes may be held until storage takes it."""
        if self._appender.held + FRAME_SIZE + size <= self._options.hold_bytes:
            return True
        return self.attempt()

    def attempt(self) -> bool:
        """Try to sync between commits: while storage refuses, no more often than it is due."""
        return self._attempt(self._appender.sync)

    def write_if_due(self) -> None:
        """Give what is buffered to the operating system if it is much, or old."""
        now = self._options.clock()
        if (
            self._appender.buffered >= self._options.write_bytes
            or now - self._wrote_at >= self._options.write_seconds
        ):
            self._attempt(self._appender.write)

    def settle(self) -> bool:
        """Return once all is on storage, in its place: whether the journal had to be put back.

        Raises
        ------
        OSError
            If storage refuses, or another file has taken the place of the journal.
        """
        try:
            self._appender.sync()
            moved = not self._is_in_place()
            if moved:
                self._leave_fold()
                self._appender = put_back(self.paths, self._appender, self._options)
        except OSError as problem:
            if not (isinstance(problem, JournalAltered) and self.trouble):
                # Otherwise it is known already why the journal could not be made again.
                self.trouble = reason(problem)
            # What a fold takes of a full disk, the journal needs more.
            self._leave_fold()
            raise
        self.trouble = ""
        self._wrote_at = self._options.clock()
        return moved

    def altered(self) -> bool:
        """Whether something else has written to the journal, as far as its two ends tell."""
        try:
            self._appender.check()
        except JournalAltered:
            return True
        except OSError:
            return False
        return False

    def remake(self) -> Remains | None:
        """Make the journal again from what there still is; None if storage refuses."""
        self._leave_fold()
        try:
            remains = remade(self.paths, self._appender, self._origin, self._options)
        except (OSError, BundleError) as problem:
            self.trouble = reason(problem)
            return None
        self._appender = remains.appender
        return remains

    def begin_fold_if_due(self, records: int, link: bytes) -> None:
        """Begin to fold so many records, all that are settled, if the journal has outgrown it."""
        if self._folding is None and self._appender.size > self._fold_at:
            header = Header(self._origin, records, link)
            self._folding = Folding(self.paths, header, lambda: self._appender, self._options)

    def fold_some(self) -> None:
        """Do some of the work of a fold that is under way."""
        if self._folding is None:
            return
        try:
            journal = self._folding.advance()
        except Exception as problem:  # noqa: BLE001 - no fold is worth a run
            # The journal holds everything, and a later fold may succeed.
            self.trouble = reason(problem)
            self._folding = None
            self._fold_at = 2 * self._appender.size
            return
        if journal is not None:
            self._folded(self._folding.size, journal)
            self._folding = None

    def fold(self, records: int, link: bytes, *, keep_journal: bool) -> None:
        """Fold so many records, all that are settled, at once.

        Raises
        ------
        BundleNotWritableError
            If storage refused. The bundle is as it was, and the run can go on.
        """
        self._leave_fold()
        try:
            self._fold(Header(self._origin, records, link), keep_journal=keep_journal)
        except (OSError, RuntimeError) as problem:
            raise not_writable(self.paths.h5, problem) from problem

    def close(self) -> None:
        """Give the files back; what is not written is lost."""
        self._leave_fold()
        self._appender.close()

    def _fold(self, header: Header, *, keep_journal: bool) -> None:
        files = self._options.files
        with open_recorded(self.paths.h5, guarded=False) as recorded:
            check_complete(recorded, header.first)
            if recorded.journal is not None and len(recorded.journal.kinds):
                fold(recorded, header.link, self.paths.h5, files)
        if keep_journal:
            size = self._appender.size
            self._folded(size, next_journal(self.paths, header, self._options))
        else:
            files.remove(self.paths.journal)
            files.sync_folder(self.paths.journal.parent)

    def _folded(self, size: int, journal: Appender) -> None:
        self._appender.close()
        self._appender = journal
        self._folded_bytes += size
        self._fold_at = self._next_fold()

    def _next_fold(self) -> int:
        # Folding when the journal is as large as all that was folded before copies each byte a
        # bounded number of times, so that the cost of a checkpoint does not grow with the run.
        try:
            folded = self.paths.h5.stat().st_size
        except OSError:
            folded = 0
        return max(self._options.fold_bytes, folded, self._folded_bytes)

    def _leave_fold(self) -> None:
        if self._folding is not None:
            self._folding.close()
            self._folding = None

    def _is_in_place(self) -> bool:
        there = self._options.files.is_at(self._appender.handle, self.paths.journal)
        if there is False:
            raise OSError(errno.EEXIST, "another file has taken the place of the journal")
        return bool(there)

    def _attempt(self, operation: Callable[[], None]) -> bool:
        now = self._options.clock()
        if self.trouble and now - self._wrote_at < RETRY_SECONDS:
            return False
        self._wrote_at = now
        try:
            operation()
        except OSError as problem:
            # The commit that follows tries again, and it is the one that answers for it.
            self.trouble = reason(problem)
            return False
        return True
