"""A journal whose header is damaged: its records say themselves where they belong."""

from __future__ import annotations

from typing import cast

from ...errors import DamagedBundleError
from ...model.journal import RunOpened
from ..files import LocalFiles, open_to_read
from ..format.codec import FIRST_LINK, Kind, UnreadablePayload, decode, encode, next_link, short
from ..format.framing import FRAME_SIZE, Frame, Header, Origin, encode_frame, encode_header
from ..paths import PART, BundlePaths, is_there
from ..reading.folded import FoldedFile
from ..reading.journal import Journal


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
    part = paths.journal.with_name(paths.journal.name + PART)
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
