"""How one journal takes the place of another: made beside it, synced, and renamed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass

from ..errors import BundleBusyError
from .appender import Appender, WriterOptions
from .files import PART_SUFFIX, BundlePaths
from .framing import Origin, encode_header
from .waiting import beside

_PIECE = 1 << 20


@dataclass(frozen=True)
class Header:
    """What a journal begins with: whose it is, its first record, and the link before that."""

    origin: Origin
    first: int
    link: bytes


def first_journal(paths: BundlePaths, header: Header, options: WriterOptions) -> Appender:
    """A journal where there was none; BundleBusyError if another run made one just now."""
    try:
        handle = options.files.create(paths.journal)
    except FileExistsError:
        raise BundleBusyError(
            paths.journal, "another run began this bundle at the same moment"
        ) from None
    return _headed(paths, handle, header, options)


def next_journal(paths: BundlePaths, header: Header, options: WriterOptions) -> Appender:
    """An empty journal in the place of the one that is there."""
    files = options.files
    part = paths.journal.with_name(paths.journal.name + PART_SUFFIX)
    appender = _headed(paths, files.create(part, replace=True), header, options)
    try:
        files.rename(part, paths.journal)
    except BaseException:
        appender.close()
        raise
    # From here on the journal is the new one, even if its folder cannot be synced just now.
    with contextlib.suppress(OSError):
        appender.sync()
    return appender


def shortened(
    paths: BundlePaths,
    header: Header,
    start: int,
    former: Callable[[], Appender],
    options: WriterOptions,
) -> Generator[bool | None, None, Appender]:
    """A journal without the records that are folded, made piece by piece while the run goes on.

    Parameters
    ----------
    paths : BundlePaths
        The bundle's files.
    header : Header
        Of the new journal.
    start : int
        Where, in the journal that is there, the frame of ``header.first`` begins.
    former : callable
        That journal, which may move meanwhile; its bytes do not.
    options : WriterOptions
        How it is written.

    Returns
    -------
    Appender
        The new journal, in the place of the former, whose frames were all synced then.
    """
    files = options.files
    part = paths.journal.with_name(paths.journal.name + PART_SUFFIX)
    handle = files.create(part, replace=True)
    done = False
    try:
        files.lock(handle)
        files.write(handle, 0, data := encode_header(header.origin, header.first, header.link))
        at, copied = len(data), start
        while former().synced - copied > _PIECE:
            piece = files.read(former().handle, copied, _PIECE)
            files.write(handle, at, piece)
            at, copied = at + len(piece), copied + len(piece)
            yield False
        yield from beside(lambda: files.fsync(handle))
        while former().held:
            yield True
        while piece := files.read(former().handle, copied, former().synced - copied):
            files.write(handle, at, piece)
            at, copied = at + len(piece), copied + len(piece)
        files.fsync(handle)
        files.rename(part, paths.journal)
        done = True
    finally:
        if not done:
            files.close(handle)
            files.remove(part)
    appender = Appender(files, paths.journal, handle, data, at, options.durability)
    with contextlib.suppress(OSError):
        appender.sync()
    return appender


def put_back(paths: BundlePaths, former: Appender, options: WriterOptions) -> Appender:
    """A copy of a journal that was removed while it was written, in its place.

    Raises
    ------
    OSError
        If storage refuses, or another file has taken the place.
    """
    return copied(paths, former, former.header, len(former.header), former.synced, options)


def copied(
    paths: BundlePaths,
    former: Appender,
    header: bytes,
    start: int,
    stop: int,
    options: WriterOptions,
) -> Appender:
    """A journal of `header` and the bytes `start` to `stop` of the former one, in its place.

    Raises
    ------
    OSError
        If storage refuses; the former is as it was.
    """
    files = options.files
    paths.stem.parent.mkdir(parents=True, exist_ok=True)
    part = paths.journal.with_name(paths.journal.name + PART_SUFFIX)
    handle = files.create(part, replace=True)
    try:
        files.lock(handle)
        files.write(handle, 0, header)
        at = len(header)
        while piece := files.read(former.handle, start, min(_PIECE, stop - start)):
            files.write(handle, at, piece)
            at, start = at + len(piece), start + len(piece)
        files.fsync(handle)
        files.rename(part, paths.journal)
    except BaseException:
        files.close(handle)
        raise
    former.close()
    return Appender(files, paths.journal, handle, header, at, options.durability)


def _headed(paths: BundlePaths, handle: int, header: Header, options: WriterOptions) -> Appender:
    files = options.files
    data = encode_header(header.origin, header.first, header.link)
    try:
        files.lock(handle)
        files.write(handle, 0, data)
        files.fsync(handle)
    except BaseException:
        files.close(handle)
        raise
    return Appender(files, paths.journal, handle, data, len(data), options.durability)
