"""Finding the files of a bundle and testing that they belong together."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from ...errors import DamagedBundleError, NotABundleError
from ..files import open_to_read
from ..format.framing import Header
from ..format.netcdf_arrays import plain
from ..paths import BundlePaths, bundle_paths, is_there, near_matches
from .folded import FoldedFile
from .journal import Journal, read_header
from .recorded import Recorded


class OpenedJournal(NamedTuple):
    """A journal's open file, and its header: None if the file ends within it."""

    handle: int
    header: Header | None


def open_recorded(path: str | os.PathLike[str], *, guarded: bool = True) -> Recorded:
    """The records of the bundle at `path`, see `FoldedFile`; raises what `open_bundle` does."""
    paths = bundle_paths(path)
    with ExitStack() as opened:
        # The journal first: it may be replaced by its successor at any moment, but what it then
        # no longer holds is in the folded file that is opened after it.
        found = open_journal(paths)
        if found is not None:
            opened.callback(os.close, found.handle)
        folded = FoldedFile(paths.h5, guarded=guarded) if is_there(paths.h5) else None
        if folded is not None:
            opened.callback(folded.close)
        if found is None or found.header is None:
            if folded is None:
                raise not_there(path, paths)
            recorded = Recorded(paths.h5, folded, None)
        else:
            check_belongs(paths, folded, found.header)
            journal = Journal(
                paths.journal,
                os.dup(found.handle),
                found.header,
                folded.next if folded is not None else 0,
            )
            opened.callback(journal.close)
            check_unbroken(journal)
            recorded = Recorded(paths.h5 if folded else paths.journal, folded, journal)
        opened.pop_all()
        if found is not None:
            os.close(found.handle)
        return recorded


def open_journal(paths: BundlePaths) -> OpenedJournal | None:
    """The journal of a bundle, opened for reading; None if there is none.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If it is something else, of a later version, or its header is damaged.
    """
    try:
        handle = open_to_read(paths.journal)
    except FileNotFoundError:
        return None
    try:
        return OpenedJournal(handle, read_header(paths.journal, handle))
    except BaseException:
        os.close(handle)
        raise


def check_belongs(paths: BundlePaths, folded: FoldedFile | None, header: Header) -> None:
    """DamagedBundleError unless the journal continues the folded file."""
    known = folded.next if folded is not None else 0
    if header.first > known:
        there = f"{paths.h5.name} ends before record {known}" if folded else "it is not there"
        raise DamagedBundleError(
            paths.journal,
            f"continues {paths.h5.name} from record {header.first}, but {there}",
            "Put that file back, or save the rest by: simckpt recover --salvage <bundle>.",
        )
    if folded is not None and plain(header.origin.run_id) != folded.run_id:
        raise DamagedBundleError(
            paths.journal,
            f"belongs to run {header.origin.run_id}, but {paths.h5.name} to run {folded.run_id}",
            "Move one of the two elsewhere.",
        )


def check_unbroken(journal: Journal) -> None:
    """DamagedBundleError if storage lost records that it had confirmed."""
    if journal.broken is not None and journal.broken.acknowledged:
        raise DamagedBundleError(
            journal.path,
            f"is damaged: {journal.broken}",
            "What lies before and after can be saved: simckpt recover --salvage <bundle>.",
        )


def not_there(path: str | os.PathLike[str], paths: BundlePaths) -> NotABundleError:
    """The error for a path at which there is no bundle."""
    given = Path(path)
    if is_there(paths.journal):
        return NotABundleError(
            paths.journal, "ends within its header: its run was stopped as it began"
        )
    if given.is_file():
        return NotABundleError(given, "is not a simckpt bundle")
    near = near_matches(path)
    mend = f"In {paths.stem.parent} there is {', '.join(near)}." if near else ""
    return NotABundleError(given, "there is no bundle of that name", mend)
