"""Reading a bundle: the folded file and the journal as one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ..errors import DamagedBundleError, NotABundleError
from ..model.record import Hash
from ..model.series import Checkpoint, Event, SegmentEnd
from . import abort_notice
from .files import BundlePaths, bundle_paths, is_there, near_matches, open_to_read
from .folded import FoldedFile
from .framing import Header
from .hdf5 import plain
from .journal import Break, Journal, read_header
from .recorded import Recorded
from .records import Kind
from .sources import Records
from .views import (
    Rows,
    SegmentView,
    Series,
    Tail,
    TileDigests,
    TileStatistics,
    effective_rows,
    effective_start,
    joints,
    last_of_each_step,
    segments_of_samples,
)

# Finding the files of a bundle and testing that they belong together.


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


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open a bundle for reading, also while its run is going on.

    Parameters
    ----------
    path : str or path
        The ``.simckpt.h5``, the ``.simckpt.journal``, or what both names begin with.

    Returns
    -------
    Bundle
        Both files as one. The checksums of both have been tested.

    Raises
    ------
    NotABundleError
        If nothing is there, or something else.
    NewerFormatError
        If the bundle was written in a later version of the format.
    DamagedBundleError
        If storage lost or altered what it had confirmed. What a killed run or a power cut
        leaves at the end of the journal is no damage: see `Bundle.broken`.
    """
    return Bundle(open_recorded(path))


class Bundle:
    """What was recorded of one run. Use as a context manager, or close it.

    Attributes
    ----------
    path : Path
        The ``.simckpt.h5``, or the journal while that is all there is.
    checkpoints : sequence of Checkpoint
        Decoded one by one, when they are asked for.
    events : sequence of Event
        Likewise.
    segments : tuple of SegmentView
        The job attempts, in order.
    fields : tuple of str
        The fields that have tile digests.
    documents : mapping
        Hash of each stored document, and its kind.
    """

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._series: dict[bool, Series] = {}
        self.path = recorded.path
        try:
            self.run = recorded.run
        except BaseException:
            recorded.close()
            raise

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def campaign(self) -> str:
        return self.run.campaign

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        return self.run.created

    @property
    def format_version(self) -> int:
        return self.run.format_version

    @property
    def simckpt_version(self) -> str:
        return self.run.simckpt_version

    @property
    def broken(self) -> Break | None:
        """What follows the last whole record, where a run was stopped while writing one."""
        journal = self._recorded.journal
        return journal.broken if journal else None

    @property
    def uncommitted(self) -> int:
        """Records after the last checkpoint, or all if there is none."""
        numbers = self.checkpoints.numbers
        return self._recorded.next - (int(numbers[-1]) + 1 if len(numbers) else 0)

    @cached_property
    def checkpoints(self) -> Records[Checkpoint]:
        return self._recorded.texts(Kind.CHECKPOINT)

    @cached_property
    def events(self) -> Sequence[Event]:
        recorded: Records[Event] = self._recorded.texts(Kind.EVENT)
        return (*recorded, *self._abort_events) if self._abort_events else recorded

    @cached_property
    def segments(self) -> tuple[SegmentView, ...]:
        ends: dict[int, SegmentEnd] = {
            end.segment: end for end in self._recorded.texts(Kind.SEGMENT_END)
        }
        if self._abort_events:
            last = self._recorded.texts(Kind.SEGMENT)[-1]
            ends.setdefault(last.index, abort_notice.abort_ending(last, self._abort_events))
        schemas = {record.segment: record for record in self._recorded.schema_records}
        return tuple(
            SegmentView(self._recorded, s, schemas.get(s.index), ends.get(s.index))
            for s in self._recorded.texts(Kind.SEGMENT)
        )

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(g.tiles.field for g in self._recorded.layout.groups))

    def series(self, effective: bool = True) -> Series:
        """The samples of the run.

        Parameters
        ----------
        effective : bool
            Leave out samples that a later segment superseded: those past the step at which it
            started, and one at that step if it took one itself. Of several samples that one
            segment took at one step, the last counts.
        """
        if effective not in self._series:
            rows = self._effective_rows if effective else slice(None)
            self._series[effective] = Series(self._recorded, rows, self._tail)
        return self._series[effective]

    def digests(self, field: str, effective: bool = True) -> TileDigests:
        """The tile digests of `field`, of the samples that have the tiles of the last segment.

        Raises
        ------
        KeyError
            If the field has none.
        """
        group = self._group(field)
        recorded = self._recorded
        samples = np.concatenate(
            [np.empty(0, np.int64)]
            + [np.arange(r.start, r.stop) for r in recorded.runs_of_group(group)]
        )
        rows = self._effective_rows if effective else slice(None)
        if not isinstance(rows, slice):
            samples = np.intersect1d(samples, rows, assume_unique=True)
        step = self.series(effective=False).step
        if len(samples) < len(step):
            step = step[samples]
        return TileDigests(recorded, group, samples, step)

    def tiles(self, field: str) -> TileStatistics:
        """The statistics of the tiles of `field` at checkpoints; KeyError if it has no tiles."""
        return TileStatistics(self._recorded, self._group(field))

    @cached_property
    def documents(self) -> Mapping[Hash, str]:
        return self._recorded.documents.kinds()

    def document(self, hash: Hash, /) -> Any:  # noqa: A002 - the field's word, and positional
        """The document of that hash: a struct of the model, or plain dicts if its kind is unknown.

        Raises
        ------
        KeyError
            If the bundle does not hold it.
        DamagedBundleError
            If its text is not what was stored.
        """
        return self._recorded.documents.decoded(hash)

    def document_json(self, hash: Hash, /) -> bytes:  # noqa: A002 - as above
        """The canonical JSON of a document; raises as `document` does."""
        return self._recorded.documents.text(hash)

    def close(self) -> None:
        """Close its files; arrays that were read stay."""
        self._recorded.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<bundle {self.path}: run {self.run_id}, {len(self.segments)} segments, "
            f"{len(self.checkpoints)} checkpoints, {self._recorded.samples} samples>"
        )

    @cached_property
    def _abort_events(self) -> tuple[Event, ...]:
        return self._recorded.abort_events

    @cached_property
    def _tail(self) -> Tail:
        return Tail(self._recorded)

    @cached_property
    def _effective_rows(self) -> Rows:
        segments = {s.index: s for s in self._recorded.texts(Kind.SEGMENT)}
        starts: dict[int, int] = {}
        for record in self._recorded.schema_records:
            # A segment that changed what it measures started where its first schema did.
            starts.setdefault(record.segment, effective_start(segments.get(record.segment), record))
        if len(starts) < 2:
            return last_of_each_step(self.series(effective=False).step)
        step = self.series(effective=False).step
        records = self._recorded.schema_records
        begun = frozenset(r.segment for r in records if r.joint)
        ended = frozenset(e.segment for e in self._recorded.texts(Kind.SEGMENT_END) if e.joint)
        segment = segments_of_samples(self._recorded)
        left_out = joints(segment, step, starts, begun, ended, self._same_state)
        if not left_out:
            return effective_rows(segment, step, starts)
        others = np.delete(np.arange(len(step)), left_out)
        return others[effective_rows(segment[others], step[others], starts)]

    def _same_state(self, one: int, other: int) -> bool:
        """Whether two samples have the same digests of the same fields; no fields are not."""
        found = [self.digests(name, effective=False) for name in self.fields]
        for digests in found:
            a, b = np.searchsorted(digests.sample, (one, other))
            if b >= len(digests) or (digests.sample[a], digests.sample[b]) != (one, other):
                return False
            if not np.array_equal(digests.rows(a, a + 1), digests.rows(b, b + 1)):
                return False
        return bool(found)

    def _group(self, field: str) -> int:
        groups = self._recorded.layout.groups_of(field)
        if not groups:
            raise KeyError(field)
        last = [
            g for cut in self._recorded.layout.slices for g in (c.group for c in cut) if g in groups
        ]
        return last[-1]


# Every record of a bundle in order, byte for byte as it was written.


class Stored(NamedTuple):
    """A record as it lies in the bundle."""

    number: int
    kind: int
    chain: int
    payload: bytes


def stored(recorded: Recorded) -> Iterator[Stored]:
    """Every record in order, whichever file it lies in.

    Raises
    ------
    DamagedBundleError
        If a record cannot be put together.
    """
    chains = recorded.chains()
    kinds = recorded.kinds.tolist()
    if recorded.folded is not None:
        sources = _sources(recorded, recorded.folded)
        for i in range(recorded.split):
            yield Stored(i, kinds[i], int(chains[i]), next(sources[kinds[i]]))
    if recorded.journal is not None:
        payloads = recorded.journal.payloads(range(len(kinds) - recorded.split))
        for i, payload in enumerate(payloads, recorded.split):
            yield Stored(i, kinds[i], int(chains[i]), payload)


def _sources(recorded: Recorded, folded: FoldedFile) -> dict[int, Iterator[bytes]]:
    """The payloads of each kind of record in the folded file, in order."""
    texts: dict[int, Iterator[bytes]] = {
        kind: map(folded.text, folded.text_numbers(kind).tolist()) for kind in Kind
    }
    blocks = recorded.sample_blocks(0, recorded.folded_samples)
    documents = int(np.count_nonzero(folded.kinds == Kind.DOCUMENT))
    return texts | {
        Kind.SAMPLE: (payload for block in blocks for payload in block.payloads()),
        Kind.TILES: _rows(recorded),
        Kind.DOCUMENT: map(folded.document, range(documents)),
    }


def _rows(recorded: Recorded) -> Iterator[bytes]:
    groups = recorded.folded_tile_groups
    rows = {
        group: _rows_of_group(recorded, group, int(np.count_nonzero(groups == group)))
        for group in np.unique(groups).tolist()
    }
    for group in groups.tolist():
        yield next(rows[group])


def _rows_of_group(recorded: Recorded, group: int, rows: int) -> Iterator[bytes]:
    for block in recorded.folded_tile_blocks(group, rows):
        yield from block.payloads()
