"""How a writer begins: with a new bundle, or with what an earlier job attempt left of one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import BundleNotWritableError
from ...model.changes import Specification
from ...model.checkpoint import Checkpoint
from ...model.journal import RunOpened
from ...model.record import Hash
from ...model.segment import Event, SegmentEnd
from ...model.series import SeriesSchema
from .. import last_words
from ..format.codec import FIRST_LINK, Kind, encode, next_link, short
from ..format.framing import Origin
from ..paths import PART, BundlePaths, bundle_paths, is_there
from ..reading.opening import not_there, open_journal, open_recorded
from ..reading.recorded import Recorded
from . import lease
from .appender import Appender
from .fold import fold
from .options import WriterOptions
from .succession import Header, first_journal, next_journal


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
    origin = lease.own_lease(opened.run_id)
    try:
        _clear(paths, options)
        last_words.clear(paths)
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
        held = lease.take(paths.journal, options.files)
        with open_recorded(path) as recorded:
            link = recorded.start_link
            if recorded.journal is not None:
                link = recorded.journal.end_link(link)
            origin = lease.own_lease(recorded.run.run_id)
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
    longest = len(os.fsencode(paths.journal.name + PART))
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
    words = recorded.last_words
    if not words:
        return ()
    last = recorded.texts(Kind.SEGMENT)[-1]
    if any(end.segment == last.index for end in recorded.texts(Kind.SEGMENT_END)):
        return words
    return (*words, last_words.ending(last, words))


def _clear(paths: BundlePaths, options: WriterOptions) -> None:
    """Remove what a run left that was stopped while it made its journal; refuse all else."""
    held = lease.take(paths.journal, options.files)
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
