"""How a writer starts: a new bundle, or what an earlier job attempt left of one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BundleNotWritableError
from ..model.changes import Specification
from ..model.record import Hash
from ..model.series import Checkpoint, Event, SegmentEnd, SeriesSchema
from .abort_notice import abort_ending, remove_notices
from .appender import (
    Appender,
    WriterOptions,
    create_journal,
    lock_journal,
    own_lease,
    replace_journal,
)
from .files import PART_SUFFIX, BundlePaths, bundle_paths, is_there
from .finalize import finalize
from .framing import encode_header
from .reader import not_there, open_journal, open_recorded
from .recorded import Recorded
from .records import FIRST_LINK, Kind

_EXISTS = "is there already"
_EXISTS_MEND = "Choose another path, or continue it with BundleWriter.resume."


@dataclass(frozen=True)
class EarlierAttempts:
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
class Start:
    """Where a writer goes on from.

    Attributes
    ----------
    paths, appender
        The bundle, and its new journal.
    next, link
        The number of the next record, and the link before it.
    earlier : EarlierAttempts
        What the bundle holds.
    documents, schemas, schema
        Hashes of its documents, the texts of its series schemas, and the schema in force.
    notices : tuple of Event and SegmentEnd
        What the notices of ranks of the last segment say, to be recorded first.
    """

    paths: BundlePaths
    appender: Appender
    next: int
    link: bytes
    earlier: EarlierAttempts = EarlierAttempts()
    documents: frozenset[Hash] = frozenset()
    schemas: Mapping[Hash, bytes] = field(default_factory=dict)
    schema: SeriesSchema | None = None
    notices: tuple[Event | SegmentEnd, ...] = ()


def start_new(path: str | os.PathLike[str], run_id: str, options: WriterOptions) -> Start:
    """Begin a bundle with an empty journal; see `BundleWriter.create`."""
    paths = _absolute_paths(path)
    make_folder(paths.stem.parent)
    _check_name(paths)
    if is_there(paths.h5):
        raise BundleNotWritableError(paths.h5, _EXISTS, _EXISTS_MEND)
    try:
        _clear(paths, options)
        remove_notices(paths)
        header = encode_header(own_lease(run_id), 0, FIRST_LINK)
        return Start(paths, create_journal(paths.journal, header, options), 0, FIRST_LINK)
    except OSError as problem:
        raise not_writable(paths.journal, problem) from problem


def start_again(path: str | os.PathLike[str], options: WriterOptions) -> Start:
    """Continue a bundle; see `BundleWriter.resume`."""
    paths = _absolute_paths(path)
    if not paths.exists():
        raise not_there(path, paths)
    lock: int | None = None
    try:
        lock = lock_journal(paths.journal, options.files)
        with open_recorded(path) as recorded:
            link = recorded.start_link
            if recorded.journal is not None:
                link = recorded.journal.end_link(link)
            kinds = recorded.documents.kinds()
            schemas = {
                hash_: recorded.documents.text(hash_)
                for hash_, kind in kinds.items()
                if kind == "series_schema"
            }
            earlier, notices = _earlier_attempts(recorded), _notices(recorded)
            schema = recorded.schema_in_force
            header = encode_header(own_lease(recorded.run.run_id), recorded.next, link)
            if recorded.journal is not None and len(recorded.journal.kinds):
                finalize(recorded, link, paths.h5, options.files)
            make = create_journal if lock is None else replace_journal
            appender = make(paths.journal, header, options)
            documents = frozenset(kinds)
            return Start(
                paths, appender, recorded.next, link, earlier, documents, schemas, schema, notices
            )
    except OSError as problem:
        raise not_writable(paths.journal, problem) from problem
    finally:
        if lock is not None:
            options.files.close(lock)


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
    text = str(problem)
    if number := _HDF5_ERRNO.search(text):
        # HDF5 has no other place for it, and adds addresses.
        return os.strerror(int(number[1]))
    return getattr(problem, "strerror", None) or text.partition(" (")[0] or type(problem).__name__


_HDF5_ERRNO = re.compile(r"\berrno = (\d{1,3})\b")


def _absolute_paths(path: str | os.PathLike[str]) -> BundlePaths:
    """The files of the bundle, wherever the program goes afterwards."""
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


def _clear(paths: BundlePaths, options: WriterOptions) -> None:
    """Remove the journal of a run that was stopped while it made it; refuse any other."""
    lock = lock_journal(paths.journal, options.files)
    if lock is None:
        return
    try:
        if not _is_blank(paths):
            raise BundleNotWritableError(paths.journal, _EXISTS, _EXISTS_MEND)
        options.files.remove(paths.journal)
    finally:
        options.files.close(lock)


def _is_blank(paths: BundlePaths) -> bool:
    opened = open_journal(paths)
    if opened is None:
        return True
    os.close(opened.handle)
    if opened.header is None:
        return True
    with open_recorded(paths.journal) as recorded:
        return recorded.next == 0


def _earlier_attempts(recorded: Recorded) -> EarlierAttempts:
    checkpoints = recorded.texts(Kind.CHECKPOINT)
    last: Checkpoint | None = checkpoints[-1] if len(checkpoints) else None
    document = recorded.documents.find(last.parts.specification) if last is not None else None
    specification = document if isinstance(document, Specification) else None
    broken = recorded.journal.broken if recorded.journal else None
    return EarlierAttempts(
        len(recorded.texts(Kind.SEGMENT)), last, specification, str(broken or "")
    )


def _notices(recorded: Recorded) -> tuple[Event | SegmentEnd, ...]:
    events = recorded.abort_events
    if not events:
        return ()
    last = recorded.texts(Kind.SEGMENT)[-1]
    if any(end.segment == last.index for end in recorded.texts(Kind.SEGMENT_END)):
        return events
    return (*events, abort_ending(last, events))
