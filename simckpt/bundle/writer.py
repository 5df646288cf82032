"""Writing a bundle: rank 0 appends records to the journal and folds it now and then."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from ..errors import BundleNotWritableError, DamagedBundleError, SetupError
from ..model.checkpoint import Checkpoint
from ..model.journal import JournalRecord, RunOpened, StoredDocument
from ..model.record import Document, Hash, canonical_json, hash_bytes
from ..model.segment import Event
from ..model.series import Sample, TileRow
from . import last_words
from .beginning import Beginning, begin, carry_on, next_journal, not_writable, put_back, reason
from .codec import Kind, encode, next_link, short
from .documents import decode_document
from .fold import fold
from .grammar import Grammar
from .opening import open_recorded
from .options import WriterOptions

RETRY_SECONDS = 1.0
"""Between commits, storage that refused is asked again no sooner."""


class CheckpointHeld(BundleNotWritableError):
    """A checkpoint could not be put on storage yet; it is held in memory.

    The next `BundleWriter.commit`, `flush` or `close` tries again. Everything recorded since
    the last checkpoint that was acknowledged would be lost with the process.

    Attributes
    ----------
    checkpoint : Checkpoint
        The identified checkpoint that is held.
    """

    def __init__(self, path: object, problem: str, mend: str, checkpoint: Checkpoint) -> None:
        super().__init__(path, problem, mend)
        self.checkpoint = checkpoint


class BundleWriter:
    """The one writer of a bundle. Made by `create` or `resume`; not safe for use by threads.

    Attributes
    ----------
    paths : BundlePaths
        The bundle's files.
    past : Past
        What the bundle held when this writer was opened.
    lost : int
        Samples and rows of tiles that were refused because storage failed for so long that
        `WriterOptions.hold_bytes` of records were held in memory already. An event
        ``samples_lost`` in the bundle says which steps.
    trouble : str
        Why storage last refused something, or an empty string while all is well.
    """

    def __init__(self, beginning: Beginning, options: WriterOptions) -> None:
        self.paths = beginning.paths
        self.past = beginning.past
        self.lost = 0
        self.trouble = ""
        self._options = options
        self._origin = beginning.origin
        self._appender = beginning.appender
        self._next = beginning.next
        self._link = beginning.link
        self._documents = set(beginning.documents)
        self._schemas = dict(beginning.schemas)
        self._grammar = Grammar(beginning.past.segments, self._stored, beginning.schema)
        self._step = 0
        self._wrote_at = options.clock()
        self._folded_bytes = 0
        self._fold_at = self._next_fold()
        self._missing: tuple[int, ...] = ()
        self._closed = False
        self._take_over(beginning.unsaid)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        opened: RunOpened,
        options: WriterOptions | None = None,
    ) -> Self:
        """Begin a bundle; folders that are missing on the way are made.

        Parameters
        ----------
        path : str or path
            Any name of the bundle: see `bundle_paths`.
        opened : RunOpened
            Which run this is.
        options : WriterOptions, optional
            How it is written.

        Raises
        ------
        BundleNotWritableError
            If the place cannot be written to, or a bundle is there already.
        BundleBusyError
            If another run began this bundle at the same moment.
        """
        options = options or WriterOptions()
        return cls(begin(path, opened, options), options)

    @classmethod
    def resume(cls, path: str | os.PathLike[str], options: WriterOptions | None = None) -> Self:
        """Continue a bundle whose run was stopped, or has ended.

        What a killed run left of its last record is cut off, and said in `past.broken`.

        Parameters
        ----------
        path : str or path
            Any name of the bundle.
        options : WriterOptions, optional
            How it is written.

        Raises
        ------
        NotABundleError, NewerFormatError, DamagedBundleError
            As `open_bundle` does.
        BundleBusyError
            If another process is writing it.
        BundleNotWritableError
            If the place cannot be written to.
        """
        options = options or WriterOptions()
        return cls(carry_on(path, options), options)

    @property
    def path(self) -> Path:
        """The ``.simckpt.h5``, whether it is there yet or not."""
        return self.paths.h5

    def append(self, record: JournalRecord) -> None:
        """Add a record. It is on storage after the next `commit`, `flush` or `close`.

        It reaches the operating system, and so outlives a killed process, once 256 KiB are
        buffered, or at an append a second after the last time.

        Raises
        ------
        SetupError
            If the record has no encoding, or may not come here. Nothing was added then.
        """
        if isinstance(record, StoredDocument):
            self._store(record)
        elif isinstance(record, Checkpoint):
            raise SetupError("record", record, "is a checkpoint", mend="Use commit().")
        else:
            self._add(record)
            self._write_if_due()

    def store(self, document: Document) -> Hash:
        """Add a document unless the bundle holds it; returns its content hash."""
        try:
            text = canonical_json(document)
        except (TypeError, ValueError, RecursionError) as problem:
            raise SetupError(
                type(document).__name__, document, f"cannot be recorded: {problem}"
            ) from problem
        hash_ = hash_bytes(text)
        self._store(StoredDocument(hash=hash_, json=text))
        return hash_

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """Put a checkpoint and all records before it on storage.

        Parameters
        ----------
        checkpoint : Checkpoint
            `records` and `id` are filled in.

        Returns
        -------
        Checkpoint
            The identified checkpoint, which is on storage now.

        Raises
        ------
        CheckpointHeld
            If storage refused. The checkpoint stays in memory, with all records since the last
            one, and is written at the next attempt.
        SetupError
            If the checkpoint has no encoding.
        """
        self._say_what_is_missing(checkpoint)
        normal, _, _ = encode(replace(checkpoint, records=self._link.hex()))
        identified = normal.identified()
        # What was read back once need not be a second time: only the id is new.
        self._grammar.check(Kind.CHECKPOINT, identified)
        self._append(identified, Kind.CHECKPOINT, canonical_json(identified))
        try:
            self._appender.sync()
            self._stay_in_place(identified.step, identified.wall)
        except OSError as problem:
            self.trouble = reason(problem)
            raise CheckpointHeld(
                self.paths.journal,
                f"checkpoint {identified.label!r} is not on storage yet ({self.trouble})",
                "Make room or mend the storage: it is tried again at the next checkpoint.",
                identified,
            ) from problem
        self.trouble = ""
        self._wrote_at = self._options.clock()
        if self._appender.size > self._fold_at:
            self._try_fold()
        return identified

    def flush(self) -> None:
        """Put all records on storage without a checkpoint.

        Raises
        ------
        BundleNotWritableError
            If storage refused; the records are held.
        """
        try:
            self._appender.sync()
            self._stay_in_place(self._step, time.time())
        except OSError as problem:
            self.trouble = reason(problem)
            raise not_writable(self.paths.journal, problem) from problem
        self.trouble = ""
        self._wrote_at = self._options.clock()

    def fold(self) -> None:
        """Fold all records into the ``.simckpt.h5`` now, and begin a new journal.

        Raises
        ------
        BundleNotWritableError
            If storage refused. The bundle is as it was, and the run can go on.
        """
        self.flush()
        self._fold_or_say(keep_journal=True)

    def close(self) -> None:
        """Fold everything into the ``.simckpt.h5`` and remove the journal.

        Raises
        ------
        BundleNotWritableError
            If storage refused. The journal then holds what could be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
            self._fold_or_say(keep_journal=False)
        finally:
            self._appender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_over(self, unsaid: tuple[JournalRecord, ...]) -> None:
        """Record what ranks of an earlier job attempt left beside the journal."""
        for record in unsaid:
            self._add(record)
        if unsaid and self._attempt(self._appender.sync):
            last_words.clear(self.paths)

    def _store(self, stored: StoredDocument) -> None:
        if stored.hash in self._documents:
            return
        self._add(stored)
        self._documents.add(stored.hash)
        if b'"kind":"series_schema"' in stored.json:
            self._schemas[stored.hash] = stored.json
        self._write_if_due()

    def _stored(self, hash_: Hash) -> object:
        return decode_document(self._schemas[hash_])

    def _add(self, record: JournalRecord) -> None:
        normal, kind, payload = encode(record)
        if isinstance(normal, Sample | TileRow) and not self._has_room(len(payload)):
            self.lost += 1
            self._missing = (*self._missing[:1], normal.step)
            return
        self._grammar.check(kind, normal)
        self._append(normal, kind, payload)

    def _append(self, normal: JournalRecord, kind: Kind, payload: bytes) -> None:
        self._step = getattr(normal, "step", self._step)
        link = next_link(self._link, kind, payload)
        self._appender.add(kind, self._next, short(link), payload)
        self._next, self._link = self._next + 1, link

    def _has_room(self, size: int) -> bool:
        if self._appender.held + size <= self._options.hold_bytes:
            return True
        return self._attempt(self._appender.sync)

    def _attempt(self, operation: Callable[[], None]) -> bool:
        """Try to write between commits: while storage refuses, no more often than it is due."""
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

    def _say_what_is_missing(self, checkpoint: Checkpoint) -> None:
        if not self._missing:
            return
        first, last = self._missing[0], self._missing[-1]
        self._add(
            Event(
                name="samples_lost",
                severity="error",
                step=first,
                wall=checkpoint.wall,
                text=f"samples of the steps {first} to {last} were lost: storage refused them "
                f"for too long ({self.trouble})",
                facts={"first": first, "last": last, "lost": self.lost},
            )
        )
        self._missing = ()

    def _stay_in_place(self, step: int, wall: float) -> None:
        """Put the journal back if it was removed under the run; its open file still has it all."""
        there = self._options.files.is_at(self._appender.handle, self.paths.journal)
        if there:
            return
        if there is False:
            raise OSError(errno.EEXIST, "another file has taken the place of the journal")
        self._appender = put_back(self.paths, self._appender, self._options)
        self._add(
            Event(
                name="journal_put_back",
                severity="warning",
                step=step,
                wall=wall,
                text="the journal had been removed while the run went on, and was put back",
            )
        )
        self._appender.sync()

    def _write_if_due(self) -> None:
        now = self._options.clock()
        if (
            self._appender.buffered < self._options.write_bytes
            and now - self._wrote_at < self._options.write_seconds
        ):
            return
        self._attempt(self._appender.write)

    def _try_fold(self) -> None:
        try:
            self._fold(keep_journal=True)
        except Exception as problem:  # noqa: BLE001 - no fold is worth a run
            # The journal holds everything, and a later fold may succeed.
            self.trouble = reason(problem)
            self._fold_at = 2 * self._appender.size

    def _fold_or_say(self, *, keep_journal: bool) -> None:
        try:
            self._fold(keep_journal=keep_journal)
        except (OSError, RuntimeError) as problem:
            raise not_writable(self.paths.h5, problem) from problem

    def _fold(self, *, keep_journal: bool) -> None:
        with open_recorded(self.paths.h5) as recorded:
            if recorded.next != self._next:
                raise DamagedBundleError(
                    self.paths.journal,
                    f"holds {recorded.next} records where {self._next} were written",
                )
            if recorded.journal is not None and len(recorded.journal.kinds):
                fold(recorded, self._link, self.paths.h5, self._options.files)
        files = self._options.files
        if not keep_journal:
            files.remove(self.paths.journal)
            files.sync_folder(self.paths.journal.parent)
            return
        former = self._appender
        self._folded_bytes += former.size
        self._appender = next_journal(
            self.paths, self._origin, self._next, self._link, self._options
        )
        former.close()
        self._fold_at = self._next_fold()

    def _next_fold(self) -> int:
        # Folding when the journal is as large as all that was folded before copies each byte a
        # bounded number of times, so that the cost of a checkpoint does not grow with the run.
        folded = self.paths.h5.stat().st_size if self.paths.h5.exists() else 0
        return max(self._options.fold_bytes, folded, self._folded_bytes)
