"""Making a whole ``.simckpt.h5`` of what a killed run or damaged storage left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from ..errors import BundleError, DamagedBundleError, SetupError
from ..model.series import Event, JournalRecord, RunOpened
from .appender import lock_journal
from .files import (
    PART_SUFFIX,
    BundlePaths,
    LocalFiles,
    bundle_paths,
    is_there,
    open_to_read,
    set_aside,
)
from .folded import FoldedFile
from .framing import FRAME_SIZE, Frame, Header, Origin, encode_frame, encode_header
from .journal import Journal
from .reader import Stored, not_there, open_journal, open_recorded, stored
from .recorded import Recorded
from .records import FIRST_LINK, Kind, UnreadablePayload, decode, encode, next_link, short
from .writer import BundleWriter

_PIECE = 1 << 20


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What `recover` made.

    Parameters
    ----------
    path : str
        The ``.simckpt.h5``, whole now.
    records, checkpoints, samples : int
        What it holds.
    broken : str
        Where the records ended although the journal went on, or an empty string.
    salvaged : int
        Records from behind the damage that were taken over.
    refused : int
        Records from behind the damage that make no sense without those that are lost.
    copies : tuple of str
        Copies of damaged files beside it, as they were.
    """

    path: str
    records: int
    checkpoints: int
    samples: int
    broken: str = ""
    salvaged: int = 0
    refused: int = 0
    copies: tuple[str, ...] = ()


def recover(path: str | os.PathLike[str], salvage: bool = False) -> Recovered:
    """Finalize what a run left into a whole ``.simckpt.h5``.

    Parameters
    ----------
    path : str or path
        Any name of the bundle.
    salvage : bool
        Copy what storage damaged to ``.damaged1`` and take over what is before the damage,
        and the records of the journal behind it that can stand alone. A damaged header of the
        journal is made anew from its records. Of a damaged ``.h5`` come the records up to
        the first that cannot be read or does not continue the chain. Checkpoints from behind the
        damage become events, since what they vouch for is not there.

    Returns
    -------
    Recovered
        What was done; nothing is printed.

    Raises
    ------
    NotABundleError, NewerFormatError
        If there is nothing to recover.
    DamagedBundleError
        If the bundle is damaged and `salvage` is false, or nothing can be had from it.
    BundleBusyError
        If a live run is writing the bundle.
    """
    paths = bundle_paths(path)
    if not paths.exists():
        raise not_there(path, paths)
    try:
        open_recorded(path).close()
    except DamagedBundleError:
        if not salvage:
            raise
        return _salvage(paths)
    return _finish(BundleWriter.resume(path))


def _finish(writer: BundleWriter, **facts: Any) -> Recovered:
    h5 = writer.paths.h5
    facts = {"broken": writer.earlier.broken} | facts
    writer.close()
    with open_recorded(h5) as recorded:
        return Recovered(
            path=str(h5),
            records=recorded.next,
            checkpoints=len(recorded.texts(Kind.CHECKPOINT)),
            samples=recorded.samples,
            **facts,
        )


def _salvage(paths: BundlePaths) -> Recovered:
    lock = lock_journal(paths.journal, LocalFiles())
    if lock is not None:
        os.close(lock)
    with _copies_of_damaged() as copies:
        rescued = _join_files(paths, copies)
        opened = open_journal(paths)
        if opened is None or opened.header is None:
            raise DamagedBundleError(
                paths.h5,
                "is damaged, and there is no journal to recover it from",
                "Take it from a backup.",
            )
        journal = Journal(paths.journal, opened.handle, opened.header)
        try:
            survivors = list(_survivors(journal))
            _replace(paths.journal, _pieces(journal, 0, journal.end))
        finally:
            journal.close()
        writer = BundleWriter.resume(paths.h5)
    broken = " and ".join(filter(None, (rescued, str(journal.broken or ""))))
    salvaged, refused = _take_over(writer, broken, survivors)
    names = tuple(str(copy) for copy in copies.values())
    return _finish(writer, broken=broken, salvaged=salvaged, refused=refused, copies=names)


@contextmanager
def _copies_of_damaged() -> Iterator[dict[Path, Path]]:
    """Damaged files and their copies, which take their places again if nothing can be had."""
    copies: dict[Path, Path] = {}
    try:
        yield copies
    except BaseException:
        for original, copy in copies.items():
            copy.replace(original)
        raise


def _join_files(paths: BundlePaths, copies: dict[Path, Path]) -> str:
    """Make both files continue each other: what could be had of the ``.h5``."""
    first = _first_of_journal(paths, copies)
    if not _is_damaged(paths.h5):
        return ""
    copies[paths.h5] = set_aside(paths.h5)
    if first == 0:
        # The journal holds it all.
        paths.h5.unlink()
        return ""
    try:
        return rescue(paths)
    except DamagedBundleError:
        if first is None:
            raise
    paths.h5.unlink()
    mend_header(paths)
    return f"nothing of {paths.h5.name} could be had"


def _first_of_journal(paths: BundlePaths, copies: dict[Path, Path]) -> int | None:
    """Number of the journal's first record, None without one; a damaged header is made anew."""
    if not is_there(paths.journal):
        return None
    copies[paths.journal] = set_aside(paths.journal)
    try:
        first = _header_first(paths)
    except DamagedBundleError:
        mend_header(paths)
        return _header_first(paths)
    if first and not is_there(paths.h5):
        # What it continues is gone.
        mend_header(paths)
        return _header_first(paths)
    return first


def _header_first(paths: BundlePaths) -> int | None:
    opened = open_journal(paths)
    if opened is None:
        return None
    os.close(opened.handle)
    return opened.header.first if opened.header else None


def _is_damaged(h5: Path) -> bool:
    if not is_there(h5):
        return False
    try:
        FoldedFile(h5).close()
    except DamagedBundleError:
        return True
    return False


def _survivors(journal: Journal) -> Iterator[tuple[int, JournalRecord | None]]:
    """Records behind the damage; None where one cannot be read."""
    if journal.broken is None:
        return
    for frame, offset in journal.survivors(journal.broken.offset, journal.broken.sequence):
        payload = journal.read(frame.size, offset + FRAME_SIZE)
        try:
            yield frame.kind, decode(frame.kind, payload)
        except UnreadablePayload:
            yield frame.kind, None


def _take_over(
    writer: BundleWriter, broken: str, survivors: list[tuple[int, JournalRecord | None]]
) -> tuple[int, int]:
    """Append the records from behind the damage: how many were taken, and how many refused."""
    salvaged = refused = 0
    if broken:
        writer.append(
            Event(
                name="salvaged",
                severity="error",
                step=0,
                wall=0.0,
                text=f"the bundle was damaged: {broken}; what follows was salvaged from behind it",
                rank=-1,
            )
        )
    for kind, record in survivors:
        if record is None:
            refused += 1
            continue
        try:
            writer.append(_unverified(record) if kind == Kind.CHECKPOINT else record)
            salvaged += 1
        except SetupError:
            refused += 1
    return salvaged, refused


def _unverified(checkpoint: JournalRecord) -> Event:
    facts = msgspec.to_builtins(checkpoint)
    return Event(
        name="checkpoint_not_verified",
        severity="error",
        step=facts["step"],
        wall=facts["wall"],
        text=f"checkpoint {facts['label']!r} lies behind damaged records",
        facts=facts,
        rank=-1,
    )


# An ``.h5`` whose checksum does not hold. HDF5 reads the file as it is, and its records are taken
# in order as long as each continues the chain of those before it: what comes out is what was
# written. They go into a journal, followed by what the bundle's own journal holds.


def rescue(paths: BundlePaths) -> str:
    """Put all records that can be had into the journal, in place of the ``.h5``.

    Returns
    -------
    str
        How many could be had.

    Raises
    ------
    DamagedBundleError
        If not even the record of the run can be had. Both files are as they were.
    """
    records = _sound_records(paths)
    first = next(records, None)
    if first is None:
        raise DamagedBundleError(
            paths.h5, "is damaged, and no record in it can be had", "Take it from a backup."
        )
    run = cast(RunOpened, decode(first.kind, first.payload))
    count = 1

    def frames() -> Iterator[bytes]:
        nonlocal count
        yield encode_header(Origin(run_id=run.run_id), 0, FIRST_LINK) + _frame(first)
        for record in records:
            yield _frame(record)
            count = record.number + 1
        yield from _frames_behind(paths, count)

    _replace(paths.journal, frames(), instead_of=paths.h5)
    return f"the first {count} records of {paths.h5.name} could be had"


def _sound_records(paths: BundlePaths) -> Iterator[Stored]:
    """The records of the ``.h5`` up to the first that does not continue the chain."""
    link = FIRST_LINK
    try:
        with Recorded(paths.h5, FoldedFile(paths.h5, sealed=False), None) as recorded:
            for record in stored(recorded):
                link = next_link(link, record.kind, record.payload)
                if short(link) != record.chain:
                    return
                yield record
    except BundleError:
        return


def _frames_behind(paths: BundlePaths, number: int) -> Iterator[bytes]:
    """The frames of the bundle's journal from record `number` on."""
    opened = open_journal(paths)
    if opened is None:
        return
    if opened.header is None:
        os.close(opened.handle)
        return
    journal = Journal(paths.journal, opened.handle, opened.header)
    try:
        for frame, offset in journal.survivors(opened.header.size, number):
            yield journal.read(FRAME_SIZE + frame.size, offset)
    finally:
        journal.close()


def _frame(record: Stored) -> bytes:
    return encode_frame(record.kind, record.number, record.chain, record.payload)


# A journal whose header is damaged: its records say themselves where they belong.


def mend_header(paths: BundlePaths) -> None:
    """Give the journal a header that fits its first whole record, or the ``.h5`` before it.

    Raises
    ------
    DamagedBundleError
        If no record is whole.
    """
    handle = open_to_read(paths.journal)
    unknown = Header(Origin(run_id=""), 0, FIRST_LINK, 0)
    journal = Journal(paths.journal, handle, unknown, scanned=False)
    try:
        survivor = next(journal.survivors(0, 0), None)
        if survivor is None:
            raise DamagedBundleError(
                paths.journal, "holds no whole record", "Take it from a backup."
            )
        frame, offset = survivor
        beginning = _beginning(paths, journal, frame, offset)
        _replace(paths.journal, (beginning, *_pieces(journal, offset, journal.size)))
    finally:
        journal.close()


def _beginning(paths: BundlePaths, journal: Journal, frame: Frame, offset: int) -> bytes:
    """What is to come before the records from `frame` on."""
    if frame.sequence == 0 and frame.kind == Kind.RUN:
        try:
            run = cast(RunOpened, decode(frame.kind, journal.read(frame.size, offset + FRAME_SIZE)))
        except UnreadablePayload as problem:
            raise DamagedBundleError(paths.journal, str(problem)) from problem
        return encode_header(Origin(run_id=run.run_id), 0, FIRST_LINK)
    if is_there(paths.h5):
        h5 = FoldedFile(paths.h5, sealed=False)
        try:
            # Where the journal begins earlier, the link of the .h5 is the one that is used;
            # where it begins later, records between the two are lost.
            first = min(frame.sequence, h5.next)
            return encode_header(Origin(run_id=h5.run_id), first, h5.seal.link)
        finally:
            h5.close()
    # The record of the run is lost: make up one.
    run_id = f"lost-{frame.chain:016x}"
    opened = RunOpened(
        run_id=run_id, campaign=run_id, created=0.0, simckpt_version="unknown: its record was lost"
    )
    _, kind, payload = encode(opened)
    link = next_link(FIRST_LINK, kind, payload)
    return encode_header(Origin(run_id=run_id), 0, FIRST_LINK) + encode_frame(
        kind, 0, short(link), payload
    )


def _pieces(journal: Journal, start: int, stop: int) -> Iterator[bytes]:
    """The bytes `start` to `stop` of a journal, some at a time."""
    while piece := journal.read(min(_PIECE, stop - start), start):
        yield piece
        start += len(piece)


def _replace(path: Path, pieces: Iterable[bytes], instead_of: Path | None = None) -> None:
    """Put a file of `pieces` in the place of `path`, and remove another that it stands for."""
    files, at = LocalFiles(), 0
    part = path.with_name(path.name + PART_SUFFIX)
    handle = files.create(part, replace=True)
    try:
        for piece in pieces:
            files.write(handle, at, piece)
            at += len(piece)
        files.fsync(handle)
    finally:
        files.close(handle)
    if instead_of is not None:
        files.remove(instead_of)
    files.rename(part, path)
    files.sync_folder(path.parent)
