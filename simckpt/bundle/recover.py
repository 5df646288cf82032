"""Making a whole folded file of what a killed run or damaged storage left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec

from ..errors import BundleError, DamagedBundleError, SetupError
from ..model.series import Event, JournalRecord, RunOpened
from .appender import lock_journal
from .files import (
    PART_SUFFIX,
    BundlePaths,
    LocalFiles,
    bundle_paths,
    copy_regular,
    is_there,
    open_to_read,
)
from .folded import FoldedFile
from .framing import FRAME_SIZE, Frame, Header, Origin, encode_frame, encode_header
from .journal import Journal
from .reader import Stored, not_there, open_journal, open_recorded, stored
from .recorded import Recorded
from .records import FIRST_LINK, Kind, UnreadablePayload, decode, encode, next_link, short
from .writer import BundleWriter

# What can be had of a folded file whose checksum does not hold.
#
# HDF5 reads the file as it is, and its records are taken in order as long as each continues the
# chain of those before it: what comes out is what was written. They go into a journal, with what
# the bundle's own journal holds behind them.


def rescue(paths: BundlePaths) -> str:
    """Put all records that can be had into the journal, in place of the folded file.

    Returns
    -------
    str
        How many could be had.

    Raises
    ------
    DamagedBundleError
        If not even the record of the run can be had. Both files are as they were.
    """
    files = LocalFiles()
    part = paths.journal.with_name(paths.journal.name + PART_SUFFIX)
    records = _sound(paths)
    first = next(records, None)
    if first is None:
        raise DamagedBundleError(
            paths.h5, "is damaged, and no record in it can be had", "Take it from a backup."
        )
    run = cast(RunOpened, decode(first.kind, first.payload))
    handle = files.create(part, replace=True)
    try:
        at = _put(files, handle, 0, encode_header(Origin(run_id=run.run_id), 0, FIRST_LINK))
        at = _put(files, handle, at, _frame(first))
        number = 1
        for record in records:
            at = _put(files, handle, at, _frame(record))
            number = record.number + 1
        for frame in _behind(paths, number):
            at = _put(files, handle, at, frame)
        files.fsync(handle)
    finally:
        files.close(handle)
    files.remove(paths.h5)
    files.rename(part, paths.journal)
    files.sync_folder(paths.journal.parent)
    return f"the first {number} records of {paths.h5.name} could be had"


def _sound(paths: BundlePaths) -> Iterator[Stored]:
    """The records of the folded file up to the first that does not continue the chain."""
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


def _behind(paths: BundlePaths, number: int) -> Iterator[bytes]:
    """The frames of the bundle's journal from record `number` on."""
    opened = open_journal(paths)
    if opened is None or opened.header is None:
        if opened is not None:
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


def _put(files: LocalFiles, handle: int, at: int, data: bytes) -> int:
    files.write(handle, at, data)
    return at + len(data)


# A journal whose header is damaged: its records say themselves where they belong.


def mend_header(paths: BundlePaths) -> None:
    """Give the journal a header that fits its first whole record, or the folded file before it.

    Raises
    ------
    DamagedBundleError
        If no record is whole.
    """
    handle = open_to_read(paths.journal)
    unknown = Header(Origin(run_id=""), 0, FIRST_LINK, 0)
    journal = Journal(paths.journal, handle, unknown, scanned=False)
    try:
        found = next(journal.survivors(0, 0), None)
        if found is None:
            raise DamagedBundleError(
                paths.journal, "holds no whole record", "Take it from a backup."
            )
        frame, offset = found
        _rewrite(paths, journal, _beginning(paths, journal, frame, offset), offset)
    finally:
        journal.close()


def _beginning(paths: BundlePaths, journal: Journal, frame: Frame, offset: int) -> bytes:
    """What is to stand before the records from `frame` on."""
    if frame.sequence == 0 and frame.kind == Kind.RUN:
        try:
            run = cast(RunOpened, decode(frame.kind, journal.read(frame.size, offset + FRAME_SIZE)))
        except UnreadablePayload as problem:
            raise DamagedBundleError(paths.journal, str(problem)) from problem
        return encode_header(Origin(run_id=run.run_id), 0, FIRST_LINK)
    if is_there(paths.h5):
        folded = FoldedFile(paths.h5, sealed=False)
        try:
            # Where the journal begins earlier, the folded file's own link is the one that is
            # used; where it begins later, records between the two are lost.
            first = min(frame.sequence, folded.next)
            return encode_header(Origin(run_id=folded.run_id), first, folded.seal.link)
        finally:
            folded.close()
    return _made_up(frame)


def _made_up(frame: Frame) -> bytes:
    """A header and the record of a run, for records whose own is lost."""
    lost = f"lost-{frame.chain:016x}"
    opened = RunOpened(
        run_id=lost, campaign=lost, created=0.0, simckpt_version="unknown: its record was lost"
    )
    _, kind, payload = encode(opened)
    link = next_link(FIRST_LINK, kind, payload)
    return encode_header(Origin(run_id=lost), 0, FIRST_LINK) + encode_frame(
        kind, 0, short(link), payload
    )


def _rewrite(paths: BundlePaths, journal: Journal, beginning: bytes, offset: int) -> None:
    files = LocalFiles()
    part = paths.journal.with_name(paths.journal.name + PART_SUFFIX)
    handle = files.create(part, replace=True)
    try:
        files.write(handle, 0, beginning)
        at = len(beginning)
        while piece := journal.read(1 << 20, offset):
            files.write(handle, at, piece)
            at, offset = at + len(piece), offset + len(piece)
        files.fsync(handle)
    finally:
        files.close(handle)
    files.rename(part, paths.journal)
    files.sync_folder(paths.journal.parent)


DAMAGED = ".damaged"


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
    kept : tuple of str
        Damaged files that were kept beside it, as they were.
    """

    path: str
    records: int
    checkpoints: int
    samples: int
    broken: str = ""
    salvaged: int = 0
    refused: int = 0
    kept: tuple[str, ...] = ()


def recover(path: str | os.PathLike[str], salvage: bool = False) -> Recovered:
    """Fold what a run left into a whole ``.simckpt.h5``.

    Parameters
    ----------
    path : str or path
        Any name of the bundle.
    salvage : bool
        Keep what storage damaged as ``.damaged1`` and take over what lies before the damage,
        and the records of the journal behind it that can stand alone. A damaged header of the
        journal is made anew from its records. Of a damaged folded file come the records up to
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
    return _finish(paths, BundleWriter.resume(path))


def _finish(paths: BundlePaths, writer: BundleWriter, **facts: object) -> Recovered:
    broken = writer.past.broken
    writer.close()
    with open_recorded(paths.h5) as recorded:
        told = {"broken": broken} | facts
        return Recovered(
            path=str(paths.h5),
            records=recorded.next,
            checkpoints=len(recorded.texts(Kind.CHECKPOINT)),
            samples=recorded.samples,
            **told,  # type: ignore[arg-type]
        )


def _salvage(paths: BundlePaths) -> Recovered:
    held = lock_journal(paths.journal, LocalFiles())
    if held is not None:
        os.close(held)
    with _keeping() as kept:
        rescued = _made_fit(paths, kept)
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
            _put_back(paths, journal)
        finally:
            journal.close()
        writer = BundleWriter.resume(paths.h5)
    broken = " and ".join(filter(None, (rescued, str(journal.broken or ""))))
    taken, refused = _take_over(writer, broken, survivors)
    copies = tuple(str(copy) for copy in kept.values())
    return _finish(paths, writer, broken=broken, salvaged=taken, refused=refused, kept=copies)


def _made_fit(paths: BundlePaths, kept: dict[Path, Path]) -> str:
    """Make both files such that they continue each other: what could be had of the folded one."""
    first = _first_of_journal(paths, kept)
    if not _is_damaged(paths.h5):
        return ""
    kept[paths.h5] = _keep(paths.h5)
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


@contextmanager
def _keeping() -> Iterator[dict[Path, Path]]:
    """Damaged files and the copies that are kept of them; all is as it was if nothing is had."""
    kept: dict[Path, Path] = {}
    try:
        yield kept
    except BaseException:
        for original, copy in kept.items():
            copy.replace(original)
        raise


def _first_of_journal(paths: BundlePaths, kept: dict[Path, Path]) -> int | None:
    """Number of the journal's first record, None without one; a damaged header is made anew."""
    if not is_there(paths.journal):
        return None
    kept[paths.journal] = _keep(paths.journal)
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
    from .folded import FoldedFile

    if not is_there(h5):
        return False
    try:
        FoldedFile(h5).close()
    except DamagedBundleError:
        return True
    return False


def _keep(path: Path) -> Path:
    """A copy of a damaged file beside it, which no later recovery overwrites."""
    number = 1
    while (kept := path.with_name(f"{path.name}{DAMAGED}{number}")).exists():
        number += 1
    copy_regular(path, kept)
    return kept


def _put_back(paths: BundlePaths, journal: Journal) -> None:
    """The journal up to its damage, in its own place."""
    part = paths.journal.with_name(paths.journal.name + PART_SUFFIX)
    with part.open("wb") as file, paths.journal.open("rb") as damaged:
        left = journal.end
        while left and (piece := damaged.read(min(left, 1 << 20))):
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())
    part.replace(paths.journal)
    LocalFiles().sync_folder(paths.journal.parent)


def _survivors(journal: Journal) -> Iterator[tuple[int, JournalRecord | None]]:
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
    taken = refused = 0
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
        try:
            writer.append(_alone(kind, record))
            taken += 1
        except (SetupError, TypeError):
            refused += 1
    return taken, refused


def _alone(kind: int, record: JournalRecord | None) -> JournalRecord:
    if record is None:
        raise TypeError("unreadable")
    if kind != Kind.CHECKPOINT:
        return record
    facts = msgspec.to_builtins(record)
    return Event(
        name="checkpoint_not_verified",
        severity="error",
        step=facts["step"],
        wall=facts["wall"],
        text=f"checkpoint {facts['label']!r} lies behind damaged records",
        facts=facts,
        rank=-1,
    )
