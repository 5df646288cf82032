"""Writing a bundle: rank 0 appends records to the journal and folds it now and then."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

from msgspec.structs import replace

from ..errors import BundleError, BundleNotWritableError, SetupError
from ..model.changes import Specification
from ..model.record import Document, Facts, Hash, canonical_json, hash_bytes
from ..model.series import (
    Checkpoint,
    Event,
    JournalRecord,
    RunOpened,
    Sample,
    SegmentEnd,
    SeriesSchema,
    StoredDocument,
    TileRow,
)
from . import abort_notice
from .appender import Appender, JournalAltered, Losses, WriterOptions, lock_journal, own_lease
from .files import PART_SUFFIX, BundlePaths, bundle_paths, is_there
from .fold import Folding, Known, Remains, check_complete, fold, remade
from .framing import FRAME_SIZE, Origin
from .grammar import Grammar
from .reader import not_there, open_journal, open_recorded
from .recorded import Recorded
from .records import FIRST_LINK, Kind, decode, decode_document, encode, next_link, short
from .succession import Header, first_journal, next_journal, put_back

# How a writer begins: with a new bundle, or with what an earlier job attempt left of one.


@dataclass(frozen=True)
class Past:
    """What a bundle held when its writer was opened.

    Attributes
    ----------
    segments : int
        Job attempts so far: the number of the next.
    checkpoint : Checkpoint or None
        The last one.
    specification : Specification or None
        What was specified at that checkpoint.
    broken : str
        What was cut off the end of the journal, where a run was stopped while writing it.
    """

    segments: int = 0
    checkpoint: Checkpoint | None = None
    specification: Specification | None = None
    broken: str = ""


@dataclass(frozen=True)
class Beginning:
    """Where a writer goes on from.

    `unsaid` is what ranks of the last segment left beside the journal, to be recorded first;
    `opening` is the record of the run, where it was made just now.
    """

    paths: BundlePaths
    origin: Origin
    appender: Appender
    next: int
    link: bytes
    past: Past
    documents: frozenset[Hash]
    schemas: dict[Hash, bytes]
    schema: SeriesSchema | None
    unsaid: tuple[Event | SegmentEnd, ...] = ()
    opening: bytes = b""


def begin(path: str | os.PathLike[str], opened: RunOpened, options: WriterOptions) -> Beginning:
    """Begin a bundle; see `BundleWriter.create`."""
    paths = _placed(path)
    make_folder(paths.stem.parent)
    _check_name(paths)
    if is_there(paths.h5):
        raise BundleNotWritableError(paths.h5, _THERE, _MEND_THERE)
    opened, kind, payload = encode(opened)
    link = next_link(FIRST_LINK, kind, payload)
    origin = own_lease(opened.run_id)
    try:
        _clear(paths, options)
        abort_notice.remove_notices(paths)
        appender = first_journal(paths, Header(origin, 0, FIRST_LINK), options)
        appender.add(kind, 0, short(link), payload)
        appender.sync()
    except OSError as problem:
        raise not_writable(paths.journal, problem) from problem
    past, nothing = Past(), frozenset[Hash]()
    return Beginning(paths, origin, appender, 1, link, past, nothing, {}, None, opening=payload)


def carry_on(path: str | os.PathLike[str], options: WriterOptions) -> Beginning:
    """Continue a bundle; see `BundleWriter.resume`."""
    paths = _placed(path)
    if not paths.exists():
        raise not_there(path, paths)
    held: int | None = None
    try:
        held = lock_journal(paths.journal, options.files)
        with open_recorded(path) as recorded:
            link = recorded.start_link
            if recorded.journal is not None:
                link = recorded.journal.end_link(link)
            origin = own_lease(recorded.run.run_id)
            kinds = recorded.documents.kinds()
            schemas = {
                hash_: recorded.documents.text(hash_)
                for hash_, kind in kinds.items()
                if kind == "series_schema"
            }
            past = _past(recorded)
            unsaid = _unsaid(recorded)
            schema = recorded.schema_in_force
            appender = _continued(recorded, link, origin, held, paths, options)
            held = None
            return Beginning(
                paths,
                origin,
                appender,
                recorded.next,
                link,
                past,
                frozenset(kinds),
                schemas,
                schema,
                unsaid,
            )
    except OSError as problem:
        raise not_writable(paths.journal, problem) from problem
    finally:
        if held is not None:
            options.files.close(held)


def _placed(path: str | os.PathLike[str]) -> BundlePaths:
    """Where the bundle stays, wherever the program that writes it goes."""
    try:
        return bundle_paths(path).absolute()
    except OSError as problem:
        # The working directory is gone.
        raise not_writable(Path(path), problem) from problem


def _check_name(paths: BundlePaths) -> None:
    """BundleNotWritableError unless all files of the bundle can have the names they will get."""
    longest = len(os.fsencode(paths.journal.name + PART_SUFFIX))
    try:
        most = os.pathconf(paths.stem.parent, "PC_NAME_MAX")
    except (OSError, ValueError):
        return
    if 0 < most < longest:
        problem = f"is too long a name by {longest - most} bytes, with what is added to it"
        raise BundleNotWritableError(paths.h5, problem, "Choose a shorter one.")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise not_writable(folder, problem) from problem


def not_writable(path: Path, problem: BaseException) -> BundleNotWritableError:
    """The error for what storage refused."""
    return BundleNotWritableError(
        path,
        f"cannot be written ({reason(problem)})",
        f"Check that {path.parent} is a folder, has room, and is yours to write to.",
    )


def reason(problem: BaseException) -> str:
    """What went wrong, in the operating system's words where it has some."""
    told = str(problem)
    if number := _HDF5_ERRNO.search(told):
        # HDF5 has no other place for it, and adds addresses.
        return os.strerror(int(number[1]))
    return getattr(problem, "strerror", None) or told.partition(" (")[0] or type(problem).__name__


_HDF5_ERRNO = re.compile(r"\berrno = (\d{1,3})\b")


def _continued(
    recorded: Recorded,
    link: bytes,
    origin: Origin,
    held: int | None,
    paths: BundlePaths,
    options: WriterOptions,
) -> Appender:
    header = Header(origin, recorded.next, link)
    if held is None:
        return first_journal(paths, header, options)
    if recorded.journal is not None and len(recorded.journal.kinds):
        fold(recorded, link, paths.h5, options.files)
    appender = next_journal(paths, header, options)
    options.files.close(held)
    return appender


def _past(recorded: Recorded) -> Past:
    checkpoints = recorded.texts(Kind.CHECKPOINT)
    last: Checkpoint | None = checkpoints[-1] if len(checkpoints) else None
    specification = None
    if last is not None:
        found = recorded.documents.find(last.parts.specification)
        specification = found if isinstance(found, Specification) else None
    broken = recorded.journal.broken if recorded.journal else None
    return Past(len(recorded.texts(Kind.SEGMENT)), last, specification, str(broken or ""))


def _unsaid(recorded: Recorded) -> tuple[Event | SegmentEnd, ...]:
    words = recorded.abort_events
    if not words:
        return ()
    last = recorded.texts(Kind.SEGMENT)[-1]
    if any(end.segment == last.index for end in recorded.texts(Kind.SEGMENT_END)):
        return words
    return (*words, abort_notice.abort_ending(last, words))


def _clear(paths: BundlePaths, options: WriterOptions) -> None:
    """Remove what a run left that was stopped while it made its journal; refuse all else."""
    held = lock_journal(paths.journal, options.files)
    if held is None:
        return
    try:
        if not _is_blank(paths):
            raise BundleNotWritableError(paths.journal, _THERE, _MEND_THERE)
        options.files.remove(paths.journal)
    finally:
        options.files.close(held)


def _is_blank(paths: BundlePaths) -> bool:
    opened = open_journal(paths)
    if opened is None:
        return True
    os.close(opened.handle)
    if opened.header is None:
        return True
    with open_recorded(paths.journal) as recorded:
        return recorded.next == 0


_THERE = "is there already"
_MEND_THERE = "Choose another path, or continue it with BundleWriter.resume."


# Where a writer's frames go: to the journal, and by way of a fold into the ``.h5``.
#
# It knows what storage has refused and when to ask it again, that the journal is to stay in its
# place, and when it has grown so much that it is to be folded. Of records it knows their bytes.


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
            abort_notice.remove_notices(self.paths)

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
