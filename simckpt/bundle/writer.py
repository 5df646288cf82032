"""Writing a bundle: rank 0 appends records to a journal, which becomes the ``.h5`` at the end."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, cast

from msgspec.structs import replace

from ..errors import BundleError, BundleNotWritableError, DamagedBundleError, SetupError
from ..model.record import Document, Hash, canonical_json, hash_bytes
from ..model.series import Checkpoint, Event, JournalRecord, RunOpened, StoredDocument
from .abort_notice import remove_notices
from .appender import JournalAltered, WriterOptions, lease_of, replace_journal
from .files import set_aside
from .finalize import finalize
from .framing import FRAME_SIZE, decode_header, encode_frame
from .journal import Journal
from .reader import open_recorded
from .records import Grammar, Kind, decode, decode_document, encode, next_link
from .start import Start, not_writable, reason, start_again, start_new

RETRY_SECONDS = 1.0
"""Between commits, storage that refused is asked again no sooner."""

_ESSENTIAL_BYTES = 1 << 20
"""Documents of so many bytes stay in memory, to be written again where a journal is damaged."""

_ESSENTIAL = (Kind.RUN, Kind.DOCUMENT, Kind.SEGMENT, Kind.SCHEMA)
_SCHEMA = b'"kind":"series_schema"'
_PIECE = 1 << 20


class CheckpointHeld(BundleNotWritableError):
    """A checkpoint could not be put on storage yet; it is in memory.

    The next `BundleWriter.commit`, `flush` or `close` tries again. Everything recorded since
    the last checkpoint that was acknowledged would be lost with the process.

    Attributes
    ----------
    checkpoint : Checkpoint
        The identified checkpoint that is in memory.
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
    earlier : EarlierAttempts
        What the bundle held when this writer was opened.
    mishaps : list of str
        What became of a journal that something else removed or wrote to, a sentence each. The
        caller who reports them empties the list.
    losses : int
        Samples and rows of tiles that were refused: storage had failed for so long that
        `WriterOptions.hold_bytes` of records were in memory already. An event ``samples_lost``
        in the bundle says which steps.
    trouble : str
        Why storage last refused something, or an empty string while all is well.
    """

    def __init__(self, start: Start, options: WriterOptions) -> None:
        self.paths = start.paths
        self.earlier = start.earlier
        self.mishaps: list[str] = []
        self.losses = 0
        self.trouble = ""
        self._options = options
        self._appender = start.appender
        self._next = start.next
        self._link = start.link
        self._documents = dict.fromkeys(start.documents, -1)
        self._schemas = dict(start.schemas)
        self._grammar = Grammar(start.earlier.segments, self._stored_schema, start.schema)
        self._process = os.getpid()
        self._closed = False
        self._wrote_at = options.clock()
        self._step = self._synced_step = 0
        self._lost_steps: tuple[int, ...] = ()
        self._essential: list[tuple[int, Kind, bytes]] = []
        self._essential_room = _ESSENTIAL_BYTES
        self._new_ids: dict[Hash, Hash] = {}
        for record in start.notices:
            self._add(record)
        if start.notices and self._attempt(self._appender.sync):
            remove_notices(self.paths)

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
        _, kind, payload = encode(opened)
        writer = cls(start_new(path, opened.run_id, options), options)
        writer._put(kind, payload)
        try:
            writer._appender.sync()
        except OSError as problem:
            raise not_writable(writer.paths.journal, problem) from problem
        return writer

    @classmethod
    def resume(cls, path: str | os.PathLike[str], options: WriterOptions | None = None) -> Self:
        """Continue a bundle whose run was stopped, or has ended.

        What a killed run left in its journal is put into the ``.simckpt.h5``; what it left of its
        last record is cut off, and named in `earlier.broken`.

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
        return cls(start_again(path, options), options)

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
        if os.getpid() != self._process:
            raise self._forked()
        if isinstance(record, Checkpoint):
            raise SetupError("record", record, "is a checkpoint", mend="Use commit().")
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
        self._add(StoredDocument(hash=hash_, json=text))
        self._write_if_due()
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
        if os.getpid() != self._process:
            raise self._forked()
        self._renew_if_damaged(checkpoint.wall)
        self._report_losses(checkpoint.wall)
        parents = tuple(self._new_ids.get(id_, id_) for id_ in checkpoint.parents)
        normal, kind, _ = encode(replace(checkpoint, parents=parents, records=self._link.hex()))
        identified = normal.identified()
        # What was read back once need not be a second time: only the id is new.
        self._grammar.check(kind, identified)
        self._step = identified.step
        self._put(kind, canonical_json(identified))
        try:
            self._settle()
        except OSError as problem:
            raise CheckpointHeld(
                self.paths.journal,
                f"checkpoint {identified.label!r} is not on storage yet ({self.trouble})",
                "Make room or mend the storage: it is tried again at the next checkpoint.",
                identified,
            ) from problem
        return identified

    def flush(self) -> None:
        """Put all records on storage without a checkpoint.

        Raises
        ------
        BundleNotWritableError
            If storage refused; the records are in memory.
        """
        if os.getpid() != self._process:
            raise self._forked()
        self._renew_if_damaged(time.time())
        try:
            self._settle()
        except OSError as problem:
            raise not_writable(self.paths.journal, problem) from problem

    def close(self) -> None:
        """Finalize the bundle: put everything into the ``.simckpt.h5``, and remove the journal.

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
            self._finalize()
        except (OSError, RuntimeError) as problem:
            raise not_writable(self.paths.h5, problem) from problem
        finally:
            self._appender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forked(self) -> BundleNotWritableError:
        return BundleNotWritableError(
            self.paths.h5,
            f"is written by process {self._process}, from which this one was forked",
            "Record in that process alone.",
        )

    def _add(self, record: JournalRecord) -> None:
        if isinstance(record, StoredDocument):
            self._add_document(record)
            return
        normal: Any
        normal, kind, payload = encode(record)
        if kind in (Kind.SAMPLE, Kind.TILES) and not self._has_room(len(payload)):
            self.losses += 1
            self._lost_steps = (*self._lost_steps[:1], normal.step)
            return
        if kind.rule is not None:
            self._grammar.check(kind, normal)
        self._step = getattr(normal, "step", self._step)
        self._put(kind, payload)

    def _add_document(self, record: StoredDocument) -> None:
        if record.hash in self._documents:
            return
        _, kind, payload = encode(record)
        self._documents[record.hash] = self._next
        if _SCHEMA in payload:
            self._schemas[record.hash] = payload
        self._put(kind, payload)

    def _stored_schema(self, hash_: Hash) -> object:
        return decode_document(self._schemas[hash_])

    def _put(self, kind: Kind, payload: bytes) -> None:
        self._link = link = next_link(self._link, kind, payload)
        chain = int.from_bytes(link[:8], "little")
        self._appender.frames += encode_frame(kind, self._next, chain, payload)
        if kind in _ESSENTIAL:
            self._remember(kind, payload)
        self._next += 1

    # The way to storage: what it refused stays in memory, and is tried again when it is due.

    def _has_room(self, size: int) -> bool:
        """Whether a payload of `size` bytes may stay in memory until storage takes it."""
        if len(self._appender.frames) + FRAME_SIZE + size <= self._options.hold_bytes:
            return True
        return self._attempt(self._appender.sync)

    def _write_if_due(self) -> None:
        """Give what is buffered to the operating system if it is much, or old."""
        appender, options = self._appender, self._options
        if (
            options.clock() - self._wrote_at >= options.write_seconds
            or len(appender.frames) - appender.written >= options.write_bytes
        ):
            self._attempt(appender.write)

    def _attempt(self, operation: Callable[[], None]) -> bool:
        """Write between commits: while storage refuses, no more often than it is due."""
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

    def _settle(self) -> None:
        """Return once all records are on storage, in their place; OSError if it refuses."""
        try:
            self._appender.sync()
            self._check_in_place()
        except OSError as problem:
            if not (isinstance(problem, JournalAltered) and self.trouble):
                # Otherwise it says already why there is no new journal.
                self.trouble = reason(problem)
            raise
        self.trouble = ""
        self._wrote_at = self._options.clock()
        self._synced_step = self._step

    def _check_in_place(self) -> None:
        if not self._options.files.is_at(self._appender.handle, self.paths.journal):
            raise OSError(errno.ENOENT, self.trouble or "the journal is not in its place")

    def _finalize(self) -> None:
        files = self._options.files
        with open_recorded(self.paths.h5, guarded=False) as recorded:
            if recorded.next != self._next:
                raise DamagedBundleError(
                    recorded.path, f"holds {recorded.next} records where {self._next} were written"
                )
            if recorded.journal is not None and len(recorded.journal.kinds):
                finalize(recorded, self._link, self.paths.h5, files)
        files.remove(self.paths.journal)
        files.sync_folder(self.paths.journal.parent)

    def _report_losses(self, wall: float) -> None:
        """Record which samples were refused since this was last done."""
        if not self._lost_steps:
            return
        first, last = self._lost_steps[0], self._lost_steps[-1]
        self._lost_steps = ()
        text = (
            f"samples of the steps {first} to {last} were lost: storage refused them for too long "
            f"({self.trouble})"
        )
        facts = {"first": first, "last": last, "lost": self.losses}
        self._add(
            Event(
                name="samples_lost", severity="error", step=first, wall=wall, text=text, facts=facts
            )
        )

    # A journal that something else removed, replaced or wrote to. The run writes on in a new one,
    # which begins with the whole records that are readable in the former. Those behind them are
    # lost but for the records without which nothing that follows would make sense, which are in
    # memory, and for what storage has not confirmed yet.

    def _remember(self, kind: Kind, payload: bytes) -> None:
        if kind == Kind.DOCUMENT and _SCHEMA not in payload:
            if len(payload) > self._essential_room:
                return
            self._essential_room -= len(payload)
        self._essential.append((self._next, kind, payload))

    def _damage(self) -> str:
        """What something else did to the journal, as far as its two ends tell."""
        files, appender = self._options.files, self._appender
        try:
            in_place = files.is_at(appender.handle, self.paths.journal)
            if not in_place:
                return "removed" if in_place is None else "replaced"
            appender.check()
        except JournalAltered:
            return "altered"
        except OSError:
            return ""
        return ""

    def _renew_if_damaged(self, wall: float) -> None:
        damage = self._damage()
        if not damage:
            return
        unconfirmed = list(self._appender.records())
        stop = self._next - len(unconfirmed)
        try:
            step, copy = self._renew(damage, stop)
        except (OSError, BundleError) as problem:
            # Settling fails for the same reason, and what is in memory stays there.
            self.trouble = reason(problem)
            return
        again = [(kind, payload) for n, kind, payload in self._essential if self._next <= n < stop]
        self._essential_room += sum(
            len(payload) for n, kind, payload in self._essential if n >= self._next
        )
        self._essential = [row for row in self._essential if row[0] < self._next]
        self._documents = {h: n for h, n in self._documents.items() if n < self._next}
        missing = stop - self._next - len(again)
        for kind, payload in (*again, *unconfirmed):
            self._put_again(kind, payload)
        text = f"the journal was {damage} by something else while the run went on; "
        if missing:
            since = "that were not in the .h5" if step is None else f"after step {step}"
            records = "1 record" if missing == 1 else f"{missing} records"
            text += f"it goes on in a new one, but {records} {since}, up to step "
            text += f"{self._synced_step}, are lost"
        else:
            text += "it goes on in a new one, and nothing is lost"
        if copy is not None:
            text += f"; what was in its place is {copy.name}"
        self.mishaps.append(text)
        self._add(
            Event(
                name="journal_renewed",
                severity="error" if missing else "warning",
                step=self._step,
                wall=wall,
                text=text,
                facts={"lost": missing, "after": step, "upto": self._synced_step},
            )
        )

    def _renew(self, damage: str, stop: int) -> tuple[int | None, Path | None]:
        """Put a new journal in the place: the step of its last record, and a copy of the other.

        Raises
        ------
        OSError, BundleError
            If storage refuses, or another run has begun a journal there.
        """
        former, path = self._appender, self.paths.journal
        header = decode_header(former.header)
        if damage == "replaced":
            lease = lease_of(path)
            if lease is not None and lease != header.origin:
                raise OSError(errno.EEXIST, "another run has taken the place of the journal")
        journal = Journal(path, os.dup(former.handle), header, upto=former.synced)
        copy = None
        try:
            link = journal.end_link(header.link)
            if damage == "replaced" or (damage == "altered" and journal.next < stop):
                copy = set_aside(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            frames = _pieces(journal, header.size)
            self._appender = replace_journal(path, former.header, self._options, frames)
            step = _last_step(journal)
        except BaseException:
            if copy is not None:
                copy.unlink(missing_ok=True)
            raise
        finally:
            journal.close()
        former.close()
        self._next, self._link = journal.next, link
        return step, copy

    def _put_again(self, kind: Kind, payload: bytes) -> None:
        if kind == Kind.DOCUMENT:
            self._documents[hash_bytes(payload)] = self._next
        elif kind == Kind.CHECKPOINT:
            # It vouches for the records before it, which may be others now.
            former = cast(Checkpoint, decode(kind, payload))
            parents = tuple(self._new_ids.get(id_, id_) for id_ in former.parents)
            records = self._link.hex()
            checkpoint = replace(former, parents=parents, records=records).identified()
            self._new_ids[former.id] = checkpoint.id
            payload = canonical_json(checkpoint)
        self._put(kind, payload)


def _last_step(journal: Journal) -> int | None:
    """The step of the last sample or checkpoint in a journal."""
    kinds = journal.kinds.tolist()
    for i in reversed(range(len(kinds))):
        if kinds[i] in (Kind.SAMPLE, Kind.CHECKPOINT):
            return cast(Checkpoint, decode(kinds[i], journal.payload(i))).step
    return None


def _pieces(journal: Journal, offset: int) -> Iterator[bytes]:
    """The whole frames of a journal from `offset` on, some at a time."""
    while piece := journal.read(min(_PIECE, journal.end - offset), offset):
        yield piece
        offset += len(piece)
