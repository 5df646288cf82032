"""Making a whole folded file of what a killed run or damaged storage left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ...errors import (
    DamagedBundleError,
    SetupError,
)
from ...model.journal import JournalRecord
from ...model.segment import Event
from ..files import LocalFiles, copy_regular
from ..format.codec import Kind, UnreadablePayload, decode
from ..format.framing import FRAME_SIZE
from ..paths import PART, BundlePaths, bundle_paths, is_there
from ..reading.journal import Journal
from ..reading.opening import not_there, open_journal, open_recorded
from ..writing import lease
from ..writing.writer import BundleWriter
from .mending import mend_header
from .rescue import rescue

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
    held = lease.take(paths.journal, LocalFiles())
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
    from ..reading.folded import FoldedFile

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
    part = paths.journal.with_name(paths.journal.name + PART)
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
