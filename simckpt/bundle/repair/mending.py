"""A journal whose header is damaged: its records say themselves where they belong."""

from __future__ import annotations

import os
from typing import cast

from ...errors import DamagedBundleError
from ...model.journal import RunOpened
from ..files import LocalFiles
from ..format.codec import FIRST_LINK, Kind, UnreadablePayload, decode
from ..format.framing import FRAME_SIZE, HEADER_SIZE, Frame, Header, Origin, encode_header
from ..paths import PART, BundlePaths
from ..reading.folded import FoldedFile
from ..reading.journal import Journal


def mend_header(paths: BundlePaths) -> None:
    """Give the journal a header that fits its first whole record.

    Raises
    ------
    DamagedBundleError
        If no record is whole, or it cannot be told which run they are of.
    """
    handle = os.open(paths.journal, os.O_RDONLY | os.O_CLOEXEC)
    unknown = Header(Origin(run_id=""), 0, FIRST_LINK, min(HEADER_SIZE, os.fstat(handle).st_size))
    journal = Journal(paths.journal, handle, unknown)
    try:
        found = next(journal.survivors(0, 0), None)
        if found is None:
            raise DamagedBundleError(
                paths.journal, "holds no whole record", "Take it from a backup."
            )
        frame, offset = found
        run_id, link = _belonging(paths, journal, frame, offset)
        header = encode_header(Origin(run_id=run_id), frame.sequence, link)
        _rewrite(paths, journal, header, offset)
    finally:
        journal.close()


def _belonging(
    paths: BundlePaths, journal: Journal, frame: Frame, offset: int
) -> tuple[str, bytes]:
    """The run of the records from `frame` on, and the link before it as far as it is known."""
    if frame.sequence == 0 and frame.kind == Kind.RUN:
        try:
            run = cast(RunOpened, decode(frame.kind, journal.read(frame.size, offset + FRAME_SIZE)))
        except UnreadablePayload as problem:
            raise DamagedBundleError(paths.journal, str(problem)) from problem
        return run.run_id, FIRST_LINK
    if not paths.h5.exists():
        raise DamagedBundleError(
            paths.journal,
            f"begins with record {frame.sequence}, and {paths.h5.name} is not there",
            "Put that file back, and recover again.",
        )
    folded = FoldedFile(paths.h5, sealed=False)
    try:
        # Where the journal begins earlier, the folded file's own link is the one that is used.
        return folded.run_id, folded.seal.link
    finally:
        folded.close()


def _rewrite(paths: BundlePaths, journal: Journal, header: bytes, offset: int) -> None:
    files = LocalFiles()
    part = paths.journal.with_name(paths.journal.name + PART)
    handle = files.create(part, replace=True)
    try:
        files.write(handle, 0, header)
        at = len(header)
        while piece := journal.read(1 << 20, offset):
            files.write(handle, at, piece)
            at, offset = at + len(piece), offset + len(piece)
        files.fsync(handle)
    finally:
        files.close(handle)
    files.rename(part, paths.journal)
    files.sync_folder(paths.journal.parent)
