"""A journal that something else has cut or overwritten, made again from what there still is.

Whole records at its beginning stay, and so do those in memory that storage has not confirmed yet.
What was between is lost but for the records without which nothing that follows would make sense:
of those the writer keeps a copy.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from ...model.series import Sample
from ..format.codec import FIRST_LINK, Kind, decode
from ..format.framing import FRAME_SIZE, Origin, decode_header, encode_header, unpack_frame
from ..paths import BundlePaths, is_there
from ..reading.folded import FoldedFile
from ..reading.journal import Journal
from .appender import Appender
from .options import WriterOptions
from .succession import copied

KEPT_BYTES = 1 << 20
"""Documents of so many bytes are kept."""


class Known:
    """The records that are kept: of the run, its segments and schemas, and first documents."""

    def __init__(self) -> None:
        self._records: list[tuple[int, Kind, bytes]] = []
        self._room = KEPT_BYTES

    def note(self, number: int, kind: Kind, payload: bytes) -> None:
        """A record was made; keep it if it is one of them."""
        if kind == Kind.DOCUMENT:
            if len(payload) > self._room and b'"kind":"series_schema"' not in payload:
                return
            self._room -= len(payload)
        elif kind not in (Kind.RUN, Kind.SEGMENT, Kind.SCHEMA):
            return
        self._records.append((number, kind, payload))

    def take(self, first: int, stop: int) -> list[tuple[Kind, bytes]]:
        """The records `first` to `stop`; from `first` on none is kept any more."""
        taken = [(kind, payload) for n, kind, payload in self._records if first <= n < stop]
        self._room += sum(len(p) for n, k, p in self._records if n >= first and k == Kind.DOCUMENT)
        self._records = [record for record in self._records if record[0] < first]
        return taken


@dataclass(frozen=True)
class Remains:
    """What there still is: a journal with records up to `next`, and those that are in memory.

    `step` is that of its last sample or checkpoint; None if it holds none.
    """

    appender: Appender
    next: int
    link: bytes
    step: int | None
    pending: tuple[tuple[Kind, bytes], ...]


def remade(paths: BundlePaths, former: Appender, origin: Origin, options: WriterOptions) -> Remains:
    """A sound journal in the place of `former`, which is given back.

    Raises
    ------
    OSError, BundleError
        If storage refuses, or what the journal continues is gone. The former is as it was.
    """
    if options.files.is_at(former.handle, paths.journal) is False:
        raise OSError(errno.EEXIST, "another file has taken the place of the journal")
    pending = tuple(_records(former.frames))
    header = decode_header(former.header)
    known, link = _folded(paths)
    if header.first > known:
        raise OSError(errno.EIO, f"{paths.h5.name} is gone, which the journal continues")
    journal = Journal(paths.journal, os.dup(former.handle), header, known, upto=former.synced)
    try:
        step = _last_step(journal)
        link = journal.end_link(header.link if header.first == journal.first else link)
        beginning, start, stop = former.header, header.size, journal.end
        if journal.next == known:
            beginning, stop = encode_header(origin, known, link), start
        appender = copied(paths, former, beginning, start, stop, options)
        return Remains(appender, journal.next, link, step, pending)
    finally:
        journal.close()


def _last_step(journal: Journal) -> int | None:
    stepped = np.flatnonzero(np.isin(journal.kinds, (Kind.SAMPLE, Kind.CHECKPOINT)))
    if not len(stepped):
        return None
    last = int(stepped[-1])
    return int(cast(Sample, decode(journal.kinds[last], journal.payload(last))).step)


def _folded(paths: BundlePaths) -> tuple[int, bytes]:
    if not is_there(paths.h5):
        return 0, FIRST_LINK
    folded = FoldedFile(paths.h5, guarded=False)
    try:
        return folded.next, folded.seal.link
    finally:
        folded.close()


def _records(frames: bytes) -> Iterator[tuple[Kind, bytes]]:
    at = 0
    while at < len(frames):
        _, _, size, kind, _, _ = unpack_frame(frames, at)
        at += FRAME_SIZE
        yield Kind(kind), frames[at : at + size]
        at += size
