"""Reading a bundle: the folded file and the journal as one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from ...model.checkpoint import Checkpoint
from ...model.record import Hash
from ...model.segment import Event, SegmentEnd
from .. import last_words
from ..format.codec import Kind
from .journal import Break
from .opening import open_recorded
from .recorded import Recorded
from .records import Records
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
        return (*recorded, *self._last_words) if self._last_words else recorded

    @cached_property
    def segments(self) -> tuple[SegmentView, ...]:
        ends: dict[int, SegmentEnd] = {
            end.segment: end for end in self._recorded.texts(Kind.SEGMENT_END)
        }
        if self._last_words:
            last = self._recorded.texts(Kind.SEGMENT)[-1]
            ends.setdefault(last.index, last_words.ending(last, self._last_words))
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
    def _last_words(self) -> tuple[Event, ...]:
        return self._recorded.last_words

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
