"""What can be had of a folded file whose checksum does not hold.

HDF5 reads the file as it is, and its records are taken in order as long as each continues the
chain of those before it: what comes out is what was written. They go into a journal, with what
the bundle's own journal holds behind them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import cast

from ...errors import BundleError, DamagedBundleError
from ...model.journal import RunOpened
from ..files import LocalFiles
from ..format.codec import FIRST_LINK, decode, next_link, short
from ..format.framing import FRAME_SIZE, Origin, encode_frame, encode_header
from ..paths import PART, BundlePaths
from ..reading.folded import FoldedFile
from ..reading.journal import Journal
from ..reading.opening import open_journal
from ..reading.recorded import Recorded
from ..reading.stream import Stored, stored


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
    part = paths.journal.with_name(paths.journal.name + PART)
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
