"""Writing a bundle: rank 0 appends records to the journal and folds it now and then."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from ...errors import BundleNotWritableError, SetupError
from ...model.checkpoint import Checkpoint
from ...model.journal import JournalRecord, RunOpened, StoredDocument
from ...model.record import Document, Hash, canonical_json, hash_bytes
from ...model.segment import Event
from ...model.series import Sample, TileRow
from .. import last_words
from ..format.codec import Kind, encode, next_link, short
from ..format.documents import decode_document
from ..format.grammar import Grammar
from .beginning import Beginning, begin, carry_on, not_writable
from .losses import Losses
from .options import WriterOptions
from .outlet import Outlet


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
    """

    def __init__(self, beginning: Beginning, options: WriterOptions) -> None:
        self.paths = beginning.paths
        self.past = beginning.past
        self._outlet = Outlet(beginning.paths, beginning.origin, beginning.appender, options)
        self._losses = Losses()
        self._next = beginning.next
        self._link = beginning.link
        self._documents = set(beginning.documents)
        self._schemas = dict(beginning.schemas)
        self._grammar = Grammar(beginning.past.segments, self._stored, beginning.schema)
        self._step = 0
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
    def lost(self) -> int:
        """Samples and rows of tiles that were refused.

        Storage had failed for so long that `WriterOptions.hold_bytes` of records were held in
        memory already. An event ``samples_lost`` in the bundle says which steps.
        """
        return self._losses.lost

    @property
    def trouble(self) -> str:
        """Why storage last refused something, or an empty string while all is well."""
        return self._outlet.trouble

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
            self._outlet.write_if_due()
            self._outlet.fold_some()

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
        for event in self._losses.said(checkpoint.wall, self.trouble):
            self._add(event)
        normal, _, _ = encode(replace(checkpoint, records=self._link.hex()))
        identified = normal.identified()
        # What was read back once need not be a second time: only the id is new.
        self._grammar.check(Kind.CHECKPOINT, identified)
        self._append(identified, Kind.CHECKPOINT, canonical_json(identified))
        try:
            self._settle(identified.wall)
        except OSError as problem:
            raise CheckpointHeld(
                self.paths.journal,
                f"checkpoint {identified.label!r} is not on storage yet ({self.trouble})",
                "Make room or mend the storage: it is tried again at the next checkpoint.",
                identified,
            ) from problem
        self._outlet.begin_fold_if_due(self._next, self._link)
        self._outlet.fold_some()
        return identified

    def flush(self) -> None:
        """Put all records on storage without a checkpoint.

        Raises
        ------
        BundleNotWritableError
            If storage refused; the records are held.
        """
        try:
            self._settle(time.time())
        except OSError as problem:
            raise not_writable(self.paths.journal, problem) from problem

    def fold(self) -> None:
        """Fold all records into the ``.simckpt.h5`` now, and begin a new journal.

        Raises
        ------
        BundleNotWritableError
            If storage refused. The bundle is as it was, and the run can go on.
        """
        self.flush()
        self._outlet.fold(self._next, self._link, keep_journal=True)

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
            self._outlet.fold(self._next, self._link, keep_journal=False)
        finally:
            self._outlet.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_over(self, unsaid: tuple[JournalRecord, ...]) -> None:
        """Record what ranks of an earlier job attempt left beside the journal."""
        for record in unsaid:
            self._add(record)
        if unsaid and self._outlet.attempt():
            last_words.clear(self.paths)

    def _store(self, stored: StoredDocument) -> None:
        if stored.hash in self._documents:
            return
        self._add(stored)
        self._documents.add(stored.hash)
        if b'"kind":"series_schema"' in stored.json:
            self._schemas[stored.hash] = stored.json
        self._outlet.write_if_due()

    def _stored(self, hash_: Hash) -> object:
        return decode_document(self._schemas[hash_])

    def _add(self, record: JournalRecord) -> None:
        normal, kind, payload = encode(record)
        if isinstance(normal, Sample | TileRow) and not self._outlet.has_room(len(payload)):
            self._losses.note(normal.step)
            return
        self._grammar.check(kind, normal)
        self._append(normal, kind, payload)

    def _append(self, normal: JournalRecord, kind: Kind, payload: bytes) -> None:
        self._step = getattr(normal, "step", self._step)
        link = next_link(self._link, kind, payload)
        self._outlet.add(kind, self._next, short(link), payload)
        self._next, self._link = self._next + 1, link

    def _settle(self, wall: float) -> None:
        if not self._outlet.settle():
            return
        self._add(
            Event(
                name="journal_put_back",
                severity="warning",
                step=self._step,
                wall=wall,
                text="the journal had been removed while the run went on, and was put back",
            )
        )
        self._outlet.settle()
