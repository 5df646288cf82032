"""Writing a bundle: rank 0 appends records to the journal and folds it now and then."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Self, cast

from msgspec.structs import replace

from ...errors import BundleNotWritableError, SetupError
from ...model.checkpoint import Checkpoint
from ...model.journal import JournalRecord, RunOpened, StoredDocument
from ...model.record import Document, Facts, Hash, canonical_json, hash_bytes
from ...model.segment import Event
from ...model.series import Sample, TileRow
from .. import last_words
from ..format.codec import Kind, decode, encode, next_link, short
from ..format.documents import decode_document
from ..format.grammar import Grammar
from .beginning import Beginning, begin, carry_on, not_writable
from .losses import Losses
from .options import WriterOptions
from .outlet import Outlet
from .remaking import Known


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
    mishaps : list of str
        What was lost to something else that wrote to the journal, a sentence each. Whoever has
        told them to somebody empties the list.
    """

    def __init__(self, beginning: Beginning, options: WriterOptions) -> None:
        self.paths = beginning.paths
        self.past = beginning.past
        self._outlet = Outlet(beginning.paths, beginning.origin, beginning.appender, options)
        self._losses = Losses()
        self._next = beginning.next
        self._link = beginning.link
        self._documents = dict.fromkeys(beginning.documents, -1)
        self._schemas = dict(beginning.schemas)
        self._grammar = Grammar(beginning.past.segments, self._stored, beginning.schema)
        self._step = 0
        self._settled_step = 0
        self._process = os.getpid()
        self._closed = False
        self._known = Known()
        self._renamed: dict[Hash, Hash] = {}
        self.mishaps: list[str] = []
        if beginning.opening:
            self._known.note(0, Kind.RUN, beginning.opening)
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
        self._check_own()
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
        self._check_own()
        self._mend(checkpoint.wall)
        for event in self._losses.said(checkpoint.wall, self.trouble):
            self._add(event)
        if self._renamed:
            parents = tuple(self._renamed.get(id_, id_) for id_ in checkpoint.parents)
            checkpoint = replace(checkpoint, parents=parents)
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
        self._check_own()
        self._mend(time.time())
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
        if self._closed or os.getpid() != self._process:
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
        self._documents[stored.hash] = self._next - 1
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
        self._put(kind, payload)

    def _put(self, kind: Kind, payload: bytes) -> None:
        link = next_link(self._link, kind, payload)
        self._outlet.add(kind, self._next, short(link), payload)
        self._known.note(self._next, kind, payload)
        self._next, self._link = self._next + 1, link

    def _check_own(self) -> None:
        if os.getpid() != self._process:
            raise BundleNotWritableError(
                self.paths.h5,
                f"is written by process {self._process}, from which this one was forked",
                "Record in that process alone.",
            )

    def _mend(self, wall: float) -> None:
        """Make the journal again if something else has cut or overwritten it."""
        if not self._outlet.altered():
            return
        remains = self._outlet.remake()
        if remains is None:
            # What follows finds the same, and holds what it has.
            return
        stop = self._next - len(remains.pending)
        again = self._known.take(remains.next, stop)
        lost = stop - remains.next - len(again)
        self._documents = {h: n for h, n in self._documents.items() if n < remains.next}
        self._next, self._link = remains.next, remains.link
        for kind, payload in again:
            self._put_again(kind, payload)
        text = (
            "something else cut or overwrote the journal while the run went on; it was made again"
        )
        if lost:
            since = "that were not folded" if remains.step is None else f"after step {remains.step}"
            records = "1 record" if lost == 1 else f"{lost} records"
            text += f", but {records} {since}, up to step {self._settled_step}, are lost"
        else:
            text += ", and nothing is lost"
        self.mishaps.append(text)
        facts: Facts = {"lost": lost, "after": remains.step, "upto": self._settled_step}
        self._add(
            Event(
                name="journal_damaged",
                severity="error" if lost else "warning",
                step=self._step,
                wall=wall,
                text=text,
                facts=facts,
            )
        )
        for kind, payload in remains.pending:
            self._put_again(kind, payload)

    def _put_again(self, kind: Kind, payload: bytes) -> None:
        if kind == Kind.DOCUMENT:
            self._documents[hash_bytes(payload)] = self._next
        elif kind == Kind.CHECKPOINT:
            # It vouches for the records before it, which are others now.
            former = cast(Checkpoint, decode(kind, payload))
            parents = tuple(self._renamed.get(id_, id_) for id_ in former.parents)
            made = replace(former, parents=parents, records=self._link.hex()).identified()
            self._renamed[former.id] = made.id
            payload = canonical_json(made)
        self._put(kind, payload)

    def _settle(self, wall: float) -> None:
        moved = self._outlet.settle()
        self._settled_step = self._step
        if not moved:
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
