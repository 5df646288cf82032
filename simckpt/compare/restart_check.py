"""Restart reproducibility: what a restarted job repeats of the one before, bit for bit or not.

A job that continues from a checkpoint often makes again steps that were sampled before. Both
samples are in the bundle, so that the comparison costs nothing. Where they diverge says what is
wrong: at the very step it starts from, the state that it read is not the one that was sampled
(a restart file in single precision); later, the state is right and the restart lacks something
that steps need (a history of time steps, a random generator, halo values).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from msgspec.structs import replace

from ..model.record import Record
from ..model.series import FieldTiles
from .run_view import Floats, Ints, Mask, SegmentView, SeriesView, Words

Reproduced = Literal["bit-for-bit", "differs", "no-overlap"]


class AllDigests(Protocol):
    """The tile digests of one field; `sample` is the position of each among all samples."""

    @property
    def sample(self) -> Ints: ...
    @property
    def tiles(self) -> FieldTiles: ...
    @property
    def whole(self) -> Words: ...
    def rows(self, start: int, stop: int) -> Words: ...


class AllSamples(Protocol):
    """A run with the samples that later segments superseded."""

    @property
    def segments(self) -> Sequence[SegmentView]: ...
    @property
    def fields(self) -> tuple[str, ...]: ...
    def series(self, effective: bool = True) -> SeriesView: ...
    def digests(self, field: str, effective: bool = True) -> AllDigests: ...


class Restart(Record, frozen=True, kw_only=True):
    """One restart of a run, and how its samples compare with those that it repeats.

    Parameters
    ----------
    segment, start_step : int
        The job attempt that restarted, and the step it starts from.
    repeats : tuple of int
        The segments whose samples it took again.
    samples : int
        Samples that both have; `first_step` and `last_step` are the first and the last.
    diverges_at : int or None
        The first step at which the two are not the same bit for bit.
    fields : tuple of str
        The fields that differ there, in `tiles` tiles of `of`.
    quantities : tuple of str
        The columns that differ there.
    """

    segment: int
    start_step: int
    verdict: Reproduced
    repeats: tuple[int, ...] = ()
    samples: int = 0
    first_step: int | None = None
    last_step: int | None = None
    diverges_at: int | None = None
    fields: tuple[str, ...] = ()
    tiles: int = 0
    of: int = 0
    quantities: tuple[str, ...] = ()

    @property
    def in_state(self) -> bool:
        """Whether it diverges in the state that it starts from, before any step."""
        return self.diverges_at is not None and self.diverges_at == self.start_step


def restarts(run: AllSamples) -> tuple[Restart, ...]:
    """Compare what each segment after the first repeats with what it repeats."""
    views = list(run.segments)
    if len(views) < 2:
        return ()
    series = run.series(effective=False)
    step, segment = series.step, np.asarray(series.segment)
    # Columns that depend on the number of ranks say nothing of the state.
    columns = {c.name: series[c.name] for c in series.schema.columns if c.exact}
    # A restart knows the step that it is about to make, and not the one that led to its state.
    of_step = frozenset(
        c.name for c in series.schema.columns if c.kind == "stability" or c.name == "dt"
    )
    digests = {name: run.digests(name, effective=False) for name in run.fields}
    return tuple(
        _restart(
            *(view, *_pairs(step, segment, view.segment.index), step, segment, columns),
            *(of_step, digests),
        )
        for view in views[1:]
    )


def _pairs(step: Ints, segment: Ints, number: int) -> tuple[Ints, Ints]:
    """Positions of the samples that segment `number` took again: the earlier and its own."""
    earlier = {int(step[i]): int(i) for i in np.flatnonzero(segment < number)}
    own = {int(step[i]): int(i) for i in np.flatnonzero(segment == number)}
    common = sorted(earlier.keys() & own.keys())
    return (
        np.array([earlier[s] for s in common], np.int64),
        np.array([own[s] for s in common], np.int64),
    )


def _restart(
    view: SegmentView,
    old: Ints,
    new: Ints,
    step: Ints,
    segment: Ints,
    columns: dict[str, Floats],
    of_step: frozenset[str],
    digests: dict[str, AllDigests],
) -> Restart:
    number, start = view.segment.index, view.start_step
    if not len(old):
        return Restart(segment=number, start_step=start, verdict="no-overlap")
    column_differs = {
        name: _bits(values[old]) != _bits(values[new]) for name, values in columns.items()
    }
    for name in of_step & column_differs.keys():
        column_differs[name] &= step[new] != start
    changed = {name: _differing(restart, old, new) for name, restart in digests.items()}
    either = np.zeros(len(old), bool)
    for differs in (*column_differs.values(), *changed.values()):
        either |= differs
    rows = np.flatnonzero(either)
    restart = Restart(
        segment=number,
        start_step=start,
        verdict="differs" if len(rows) else "bit-for-bit",
        repeats=tuple(int(n) for n in np.unique(segment[old])),
        samples=len(old),
        first_step=int(step[old[0]]),
        last_step=int(step[old[-1]]),
    )
    if not len(rows):
        return restart
    row = int(rows[0])
    fields = tuple(name for name, differs in changed.items() if differs[row])
    counts = [_tiles(digests[name], int(old[row]), int(new[row])) for name in fields]
    return replace(
        restart,
        diverges_at=int(step[old[row]]),
        fields=fields,
        tiles=sum(differing for differing, _ in counts),
        of=sum(of for _, of in counts),
        quantities=tuple(name for name, differs in column_differs.items() if differs[row]),
    )


def _bits(values: Floats) -> Words:
    # A NaN has the bits that made it; a comparison of values would call it another one.
    return np.ascontiguousarray(values, np.float64).view(np.uint64)


def _differing(digests: AllDigests, old: Ints, new: Ints) -> Mask:
    """Whether the field differs, pair by pair; pairs with other tiles count as equal."""
    a, b = _rows(digests, old), _rows(digests, new)
    both = (a >= 0) & (b >= 0)
    differs = np.zeros(len(old), bool)
    differs[both] = digests.whole[a[both]] != digests.whole[b[both]]
    return differs


def _rows(digests: AllDigests, samples: Ints) -> Ints:
    """The row of each sample; -1 where there is none."""
    if not len(digests.sample):
        return np.full(len(samples), -1)
    rows = np.searchsorted(digests.sample, samples).clip(max=len(digests.sample) - 1)
    return np.where(digests.sample[rows] == samples, rows, -1)


def _tiles(digests: AllDigests, old: int, new: int) -> tuple[int, int]:
    a, b = (int(_rows(digests, np.array([sample]))[0]) for sample in (old, new))
    differs = digests.rows(a, a + 1) != digests.rows(b, b + 1)
    return int(np.count_nonzero(differs)), int(differs.size)
