"""The fields of two runs, tile by tile: the first step, field and tile at which they diverge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from ..errors import BundleError
from ..model.record import Document, Record
from ..model.series import DECOMPOSITION, DECOMPOSITION_CHANGED, Decomposition, FieldTiles
from .alignment import Alignment, common_rows, digest_rows, last_rows
from .comparable import field_measured, without_digests
from .patterns import Propagation, RankLayout, TilePattern, pattern, propagation, ranks_holding
from .quantities import STATE, QuantityFindings, Reason, Uncompared
from .run_view import DigestView, Floats, Ints, Mask, RunView, SegmentView, Words
from .tolerance import Tolerance

# Digests of a field that two runs cut into other tiles, over the tiles that both have in common.
#
# The digest of a tile is a sum over its cells, modulo 2**64. So the digests of tiles that make up a
# larger one add up to its digest, and two tilings of one index space always share a coarser one:
# that of the edges they have in common, the whole field if there are no others.


class Coarser:
    """Digests summed over the tiles that lie between `edges`, a part of the view's own edges."""

    def __init__(self, digests: DigestView, edges: tuple[tuple[int, ...], ...]) -> None:
        self._digests = digests
        self._starts = [
            np.searchsorted(np.array(fine), np.array(coarse[:-1]))
            for fine, coarse in zip(digests.tiles.edges, edges, strict=True)
        ]
        self.tiles: FieldTiles = replace(digests.tiles, edges=edges)

    @property
    def step(self) -> Ints:
        return self._digests.step

    def rows(self, start: int, stop: int) -> Words:
        """The sums of rows `start` to `stop`, uint64 ``[stop - start, *tiles.shape]``."""
        words = self._digests.rows(start, stop)
        for axis, starts in enumerate(self._starts, start=1):
            words = np.add.reduceat(words, starts, axis=axis)
        return words


def in_common_tiles(one: DigestView, two: DigestView) -> tuple[DigestView, DigestView]:
    """Both over the same tiles: as they are, or over the finest that they have in common.

    They must be digests of one index space.
    """
    if one.tiles.edges == two.tiles.edges:
        return one, two
    edges = tuple(
        tuple(sorted({*a} & {*b})) for a, b in zip(one.tiles.edges, two.tiles.edges, strict=True)
    )
    return Coarser(one, edges), Coarser(two, edges)


MEAN_UNCERTAINTY = 1e-10
"""Tile means are good to this part of the field's scale."""

BLOCK_BYTES = 1 << 21
"""Digests are compared in blocks of this size, which a processor's cache holds."""


class FieldDifference(Record, frozen=True, kw_only=True):
    """A field whose digests are not equal in two runs.

    Parameters
    ----------
    samples, compared : int
        Samples at which it differs, of those compared.
    step, t : int, float or None
        The first of them.
    tiles, of : int
        Tiles that differ there, of how many.
    tiles_at_end : int
        Tiles that differ at the last sample compared.
    pattern, location : str
        The pattern that those tiles form, and the same as a phrase.
    tile : int
        The first differing tile, in C order; `bounds` is its half-open global index range.
    ranks_a, ranks_b : tuple of int
        The ranks that held a part of that tile in each run; empty where not recorded.
    relative, relative_step : float or None, int or None
        The distance of the tiles' minima, maxima and means at the first checkpoint from then
        on, relative to the field's largest magnitude, and the step of that checkpoint.
    """

    field: str
    samples: int
    compared: int
    step: int
    t: float | None
    tiles: int
    of: int
    tiles_at_end: int
    pattern: TilePattern
    location: str
    tile: int
    bounds: tuple[tuple[int, int], ...]
    ranks_a: tuple[int, ...] = ()
    ranks_b: tuple[int, ...] = ()
    relative: float | None = None
    relative_step: int | None = None


class FirstDifference(Record, frozen=True, kw_only=True):
    """Where two runs diverge: they agree at step `after` and differ at the next, `step`.

    `after` is None if they agree at no sample before; `sample` is the number of the common
    sample; `fields` and `quantities` are those that differ there.
    """

    step: int
    t: float | None
    after: int | None
    sample: int
    fields: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()


@dataclass(slots=True)
class FieldFindings:
    """What the digests say; `counts[name]` is the number of differing tiles at each sample time.

    `propagation[name]` says how the difference in a field goes on from where it began.
    """

    differing: list[FieldDifference] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    uncompared: list[Uncompared] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    counts: dict[str, Ints] = field(default_factory=dict)
    propagation: dict[str, Propagation] = field(default_factory=dict)
    samples: int = 0

    @property
    def measured(self) -> list[str]:
        """Fields whose tile statistics compare: in any precision."""
        return [*self.compared, *(u.name for u in self.uncompared if u.code == "dtype")]


def compare_fields(
    a: RunView, b: RunView, alignment: Alignment, renames: Mapping[str, str] | None = None
) -> FieldFindings:
    """Compare the digests of every field at the sample times at which both runs have a sample."""
    renames = renames or {}
    pairs = {name: renames.get(name, name) for name in a.fields}
    results = FieldFindings(samples=int(np.count_nonzero(alignment.exact)))
    for name, other in pairs.items():
        if other not in b.fields:
            results.uncompared.append(_missing(name, "A"))
            continue
        one, two = a.digests(name), b.digests(other)
        refused = _incomparable(name, one.tiles, two.tiles)
        if refused is not None:
            results.uncompared.append(refused)
            continue
        one, two = in_common_tiles(one, two)
        measured = (
            field_measured(a, name)[alignment.rows_a] & field_measured(b, other)[alignment.rows_b]
        )
        counts, missing = _differing_tiles(one, two, a, b, alignment, measured)
        results.uncompared += _without_digests(name, a, b)
        if missing:
            results.uncompared.append(
                Uncompared(
                    what="field",
                    name=name,
                    code="not-measured",
                    reason=f"was not measured at {missing} of {results.samples} matching samples",
                    essential=True,
                )
            )
        if missing == results.samples:
            continue
        results.compared.append(name)
        results.counts[name] = counts
        if counts.any():
            at = int(np.argmax(counts > 0))
            results.first[name] = at
            results.differing.append(_describe(name, other, one, two, a, b, alignment, counts, at))
            results.propagation[name] = _propagation(one, two, alignment, at)
    names_b = set(pairs.values())
    results.uncompared += [_missing(name, "B") for name in b.fields if name not in names_b]
    results.differing.sort(key=lambda d: (d.step, -d.tiles))
    return results


def first_difference(
    alignment: Alignment, fields: FieldFindings, quantities: QuantityFindings
) -> FirstDifference | None:
    """The earliest sample time at which the state differs, and all that first differs there.

    A time step or a Courant number describes the next step, so it counts only where
    nothing of the state differs.
    """
    state = [at for name, at in quantities.first.items() if quantities.kinds[name] in STATE]
    times = [*fields.first.values(), *state] or list(quantities.first.values())
    if not times:
        return None
    at = min(times)
    t = float(alignment.t[at])
    return FirstDifference(
        step=int(alignment.steps_a[at]),
        t=t if np.isfinite(t) else None,
        after=int(alignment.steps_a[at - 1]) if at else None,
        sample=at,
        fields=tuple(d.field for d in fields.differing if fields.first[d.field] == at),
        quantities=tuple(d.name for d in quantities.differing if quantities.first[d.name] == at),
    )


def layout(run: RunView, name: str, row: int) -> RankLayout:
    """How the run spread its fields over ranks when it took sample number `row`."""
    series = run.series()
    index, step = int(series.segment[row]), int(series.step[row])
    for view in run.segments:
        if view.segment.index == index:
            return RankLayout(
                run=name,
                decomposition=_decomposition(run, view, step),
                nodes=tuple(view.segment.nodes),
            )
    return RankLayout(run=name)


def _decomposition(run: RunView, view: SegmentView, step: int) -> Decomposition | None:
    """Where a segment's boxes lay at `step`; None if that is not known."""
    segment = view.segment
    later = (v.segment.started for v in run.segments if v.segment.index > segment.index)
    end = min(later, default=np.inf)
    moves = [
        event
        for event in run.events
        if event.name == DECOMPOSITION_CHANGED
        and event.step <= step
        and segment.started <= event.wall < end
    ]
    if not moves:
        return view.decomposition
    reference = moves[-1].facts.get(DECOMPOSITION)
    try:
        document: Document | None = run.document(reference) if isinstance(reference, str) else None
    except (KeyError, BundleError):
        document = None
    return document if isinstance(document, Decomposition) else None


def _missing(name: str, run: str) -> Uncompared:
    return Uncompared(
        what="field", name=name, code="one-sided", reason=f"is only in {run}", essential=True
    )


def _without_digests(name: str, a: RunView, b: RunView) -> list[Uncompared]:
    events = [(run, without_digests(view)) for run, view in (("A", a), ("B", b))]
    texts = [f"{run} from step {event.step}" for run, event in events if event is not None]
    if not texts:
        return []
    reason = f"has a level of refinement without digests in {' and in '.join(texts)} on"
    return [Uncompared(what="field", name=name, code="not-measured", reason=reason, essential=True)]


def _incomparable(name: str, one: FieldTiles, two: FieldTiles) -> Uncompared | None:
    code: Reason
    if one.global_shape != two.global_shape:
        code = "shape"
        shapes = [" x ".join(map(str, tiles.global_shape)) for tiles in (one, two)]
        reason = f"has shape {shapes[0]} in A and {shapes[1]} in B: only integrals compare"
    elif one.dtype != two.dtype:
        code = "dtype"
        reason = f"is {one.dtype} in A and {two.dtype} in B: digests are of different numbers"
    else:
        return None
    return Uncompared(what="field", name=name, code=code, reason=reason, essential=True)


def _differing_tiles(
    one: DigestView, two: DigestView, a: RunView, b: RunView, alignment: Alignment, measured: Mask
) -> tuple[Ints, int]:
    """Differing tiles at each sample time (0 where a digest is missing), and how many are missing.

    `measured` are the sample times at which the digests are those of a field that was measured.
    """
    rows_a = digest_rows(one, a.series().step[alignment.rows_a])
    rows_b = digest_rows(two, b.series().step[alignment.rows_b])
    usable = np.flatnonzero(alignment.exact & measured & (rows_a >= 0) & (rows_b >= 0))
    counts = np.zeros(len(alignment), dtype=np.int64)
    block = max(1, BLOCK_BYTES // (8 * max(one.tiles.size, 1)))
    for start in range(0, len(usable), block):
        part = usable[start : start + block]
        differ = _picked(one, rows_a[part]) != _picked(two, rows_b[part])
        counts[part] = np.count_nonzero(differ.reshape(len(part), -1), axis=1)
    return counts, int(np.count_nonzero(alignment.exact)) - len(usable)


def _picked(view: DigestView, rows: Ints) -> Words:
    """The digests of some rows, read in one piece: rows of one block lie close together."""
    low, high = int(rows.min()), int(rows.max()) + 1
    words = view.rows(low, high)
    return (
        words if high - low == len(rows) and bool(np.all(np.diff(rows) == 1)) else words[rows - low]
    )


def _describe(
    name: str,
    other: str,
    one: DigestView,
    two: DigestView,
    a: RunView,
    b: RunView,
    alignment: Alignment,
    counts: Ints,
    at: int,
) -> FieldDifference:
    row_a, row_b = int(alignment.rows_a[at]), int(alignment.rows_b[at])
    mask = _mask(one, two, int(alignment.steps_a[at]), int(alignment.steps_b[at]))
    layouts = (layout(a, "A", row_a), layout(b, "B", row_b))
    steps = alignment.steps_a[at] - alignment.steps_a[at - 1] if at else 1
    shape = pattern(mask, one.tiles, layouts, max(1, int(steps)))
    tile = int(np.argmax(mask.ravel()))
    bounds = one.tiles.bounds(tile)
    size, size_step = None, None
    if alignment.by == "step":
        # Checkpoints of one step have one sample time only where samples are paired by step.
        size, size_step = _tile_size(a, b, name, other, int(alignment.steps_a[at]))
    t = float(alignment.t[at])
    exact = np.flatnonzero(alignment.exact)
    return FieldDifference(
        field=name,
        samples=int(np.count_nonzero(counts)),
        compared=len(exact),
        step=int(alignment.steps_a[at]),
        t=t if np.isfinite(t) else None,
        tiles=int(counts[at]),
        of=one.tiles.size,
        tiles_at_end=int(counts[exact[-1]]),
        pattern=shape.pattern,
        location=shape.text,
        tile=tile,
        bounds=bounds,
        ranks_a=ranks_holding(layouts[0].decomposition, bounds),
        ranks_b=ranks_holding(layouts[1].decomposition, bounds),
        relative=size,
        relative_step=size_step,
    )


def _propagation(one: DigestView, two: DigestView, alignment: Alignment, at: int) -> Propagation:
    """How the differing tiles of one sample time and the next lie to each other."""
    masks = [
        _mask(one, two, int(alignment.steps_a[i]), int(alignment.steps_b[i]))
        for i in range(at, min(at + 2, len(alignment)))
        if alignment.exact[i]
    ]
    return propagation(masks[0], masks[1] if len(masks) > 1 else masks[0])


def _mask(one: DigestView, two: DigestView, step_a: int, step_b: int) -> Mask:
    ia = int(digest_rows(one, np.array([step_a]))[0])
    ib = int(digest_rows(two, np.array([step_b]))[0])
    mask: Mask = one.rows(ia, ia + 1)[0] != two.rows(ib, ib + 1)[0]
    return mask


def _tile_size(
    a: RunView, b: RunView, name: str, other: str, step: int
) -> tuple[float | None, int | None]:
    """The distance of tile statistics at the first checkpoint from `step` on, and its step."""
    one, two = a.tiles(name), b.tiles(other)
    if a.digests(name).tiles.edges != b.digests(other).tiles.edges:
        return None, None
    rows_a, rows_b = common_rows(one.step, two.step)
    later = np.flatnonzero(one.step[rows_a] >= step)
    if not len(later):
        return None, None
    ia, ib = int(rows_a[later[0]]), int(rows_b[later[0]])
    first = int(one.step[ia])
    pairs = (
        (one.minimum[ia], two.minimum[ib]),
        (one.maximum[ia], two.maximum[ib]),
        (one.mean[ia], two.mean[ib]),
    )
    scale = max(_largest(v) for pair in pairs for v in pair)
    with np.errstate(invalid="ignore", over="ignore"):
        extrema = max(_largest(x - y) for x, y in pairs[:2])
        means = _largest(one.mean[ia] - two.mean[ib])
    distance = max(extrema, means if means > MEAN_UNCERTAINTY * scale else 0.0)
    return (distance / scale if scale > 0 else distance), first


def _largest(values: Floats) -> float:
    return float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))


# Tile statistics of two runs under a tolerance: what digests, which know only bits, cannot say.


class TileStatisticDifference(Record, frozen=True, kw_only=True):
    """A statistic of a field's tiles beyond the tolerance; the first checkpoint where it is.

    `tiles` of `of` differ there, `tile` being the first; `relative` is the largest difference
    over the field's largest magnitude.
    """

    field: str
    statistic: str
    step: int
    tiles: int
    of: int
    tile: int
    a: float
    b: float
    relative: float | None


def compare_tiles(
    a: RunView,
    b: RunView,
    fields: Sequence[str],
    tolerance: Tolerance,
    renames: Mapping[str, str],
    alignment: Alignment,
) -> tuple[int, tuple[TileStatisticDifference, ...]]:
    """Compare minimum, maximum and mean of each tile at checkpoints of the same sample time.

    Which those are is what the alignment says; statistics are never interpolated.

    Returns at how many checkpoints there was something to compare, and what differs.
    """
    rows = 0
    differences = []
    for name in fields:
        other = renames.get(name, name)
        if a.digests(name).tiles.edges != b.digests(other).tiles.edges:
            continue
        one, two = a.tiles(name), b.tiles(other)
        ia, ib = _same_moment(one.step, two.step, alignment)
        common = one.step[ia]
        if not len(common):
            continue
        rows = max(rows, len(common))
        pairs = {
            "min": (one.minimum[ia], two.minimum[ib]),
            "max": (one.maximum[ia], two.maximum[ib]),
            "mean": (one.mean[ia], two.mean[ib]),
        }
        scale = max(_largest(v) for pair in pairs.values() for v in pair)
        for statistic, (va, vb) in pairs.items():
            slack = MEAN_UNCERTAINTY * scale if statistic == "mean" else 0.0
            limits = tolerance.limits(f"{name}.{statistic}")
            # A tile without any finite value has NaN in all three; the counts of NaN are compared.
            differs = ~(limits.agree(va, vb, slack) | (np.isnan(va) & np.isnan(vb)))
            flat = differs.reshape(len(common), -1)
            if not flat.any():
                continue
            row = int(np.argmax(flat.any(axis=1)))
            tile = int(np.argmax(flat[row]))
            with np.errstate(invalid="ignore", over="ignore"):
                distance = _largest((va - vb)[row])
            differences.append(
                TileStatisticDifference(
                    field=name,
                    statistic=statistic,
                    step=int(common[row]),
                    tiles=int(np.count_nonzero(flat[row])),
                    of=flat.shape[1],
                    tile=tile,
                    a=float(va[row].ravel()[tile]),
                    b=float(vb[row].ravel()[tile]),
                    relative=distance / scale if scale > 0 else None,
                )
            )
    return rows, tuple(differences)


def _same_moment(one: Ints, two: Ints, alignment: Alignment) -> tuple[Ints, Ints]:
    """Rows of both runs' checkpoints that have the same sample time."""
    if alignment.by == "step":
        return common_rows(one, two)
    exact = alignment.exact
    partner = dict(
        zip(alignment.steps_a[exact].tolist(), alignment.steps_b[exact].tolist(), strict=True)
    )
    row_of = {int(two[row]): int(row) for row in last_rows(two)}
    pairs = [
        (int(row), row_of[partner[int(one[row])]])
        for row in last_rows(one)
        if partner.get(int(one[row])) in row_of
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]
