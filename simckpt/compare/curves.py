"""What a figure of two runs needs: their series, the difference, and the tiles that differ.

Long series are thinned to what a screen can show. A thinned series keeps the least and the
largest value of each stretch, and a thinned difference the largest, so that no spike is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from ..model.record import Record
from ..model.series import ColumnKind, FieldTiles
from .alignment import Alignment, align, digest_rows
from .comparison import Options
from .fields import FieldFindings, compare_fields, first_difference, in_common_tiles
from .held import held
from .quantities import STATE, columns, compare_quantities, renamed
from .run_view import Floats, Ints, Mask, RunView, SeriesView
from .scales import scales

MOST_POINTS = 600
MOST_QUANTITIES = 40
MOST_MAPS = 12
MOST_FRAMES = 60
MOST_CELLS = 96
"""Tiles along an axis of a map; beyond it, neighbours are shown as one."""


class Line(Record, frozen=True, kw_only=True):
    """Points by step, and by time where every one of them is known."""

    step: tuple[int, ...] = ()
    t: tuple[float, ...] = ()
    y: tuple[float, ...] = ()


class QuantityCurves(Record, frozen=True, kw_only=True):
    """One quantity in both runs, and their difference relative to its scale where it differs."""

    name: str
    kind: ColumnKind
    a: Line
    b: Line
    difference: Line
    first: int | None = None


class RunLines(Record, frozen=True, kw_only=True):
    """The quantities of one run by name."""

    path: str
    kinds: dict[str, ColumnKind]
    lines: dict[str, Line]


class MapFrame(Record, frozen=True, kw_only=True):
    """The tiles of a map at one step: `differing` in all, and one ``0`` or ``1`` to a cell."""

    step: int
    t: float | None
    differing: int
    cells: str


class TileMap(Record, frozen=True, kw_only=True):
    """Where a field differs, step by step.

    Parameters
    ----------
    rows, columns : tuple of int
        Global indices at which the cells of the map begin and end, along both axes.
    of : int
        Tiles of the field.
    note : str
        What one cell of the map stands for, if it is not one tile.
    """

    field: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    of: int
    frames: tuple[MapFrame, ...]
    note: str = ""


class Curves(Record, frozen=True, kw_only=True):
    """The figures of two runs: they diverge at `step` and `t`, and agree at `after`."""

    step: int | None
    t: float | None
    after: int | None
    quantities: tuple[QuantityCurves, ...]
    maps: tuple[TileMap, ...]
    left_out: int = 0


def curves(a: RunView, b: RunView, options: Options | None = None) -> Curves:
    """Gather what the figures of two runs show; those that differ come first."""
    options = options or Options()
    a, b = held(a), held(b)
    alignment = align(a, b, options.by)
    fields = compare_fields(a, b, alignment, options.renames)
    quantities = compare_quantities(a, b, alignment, options.tolerance, options.renames)
    first = first_difference(alignment, fields, quantities)
    one, two = a.series(), b.series()
    columns_a, columns_b = columns(a), columns(b)
    size_a, size_b = scales(one, columns_a), scales(two, columns_b)
    differing = {q.name: q.step for q in quantities.differing}
    names = [n for n in quantities.compared if n in columns_a]
    # What measures the state before what also shows the settings, such as a time step.
    names.sort(
        key=lambda n: (n not in differing, columns_a[n].kind not in STATE, differing.get(n, 0))
    )
    quantity_curves = []
    for name in names[:MOST_QUANTITIES]:
        other = renamed(name, options.renames)
        quantity_curves.append(
            QuantityCurves(
                name=name,
                kind=columns_a[name].kind,
                a=_line(one, one[name]),
                b=_line(two, two[other]),
                difference=_difference(
                    alignment, one[name], two[other], max(size_a[name], size_b[other])
                ),
                first=differing.get(name),
            )
        )
    map_fields = [d.field for d in fields.differing]
    map_fields += [name for name in fields.compared if name not in map_fields]
    return Curves(
        step=first.step if first is not None else None,
        t=first.t if first is not None else None,
        after=first.after if first is not None else None,
        quantities=tuple(quantity_curves),
        maps=tuple(
            _map(a, b, name, alignment, fields, options.renames) for name in map_fields[:MOST_MAPS]
        ),
        left_out=max(0, len(names) - MOST_QUANTITIES) + max(0, len(map_fields) - MOST_MAPS),
    )


def run_lines(run: RunView) -> RunLines:
    """Gather what a figure of one run shows."""
    run = held(run)
    series, by_name = run.series(), columns(run)
    return RunLines(
        path=str(run.path),
        kinds={name: column.kind for name, column in by_name.items()},
        lines={name: _line(series, series[name]) for name in by_name},
    )


def thinned(values: Floats, most: int = MOST_POINTS) -> Ints:
    """Rows that keep the ends, and the least and the largest finite value of each stretch."""
    count = len(values)
    if count <= most:
        return np.arange(count, dtype=np.int64)
    stretches = max(1, most // 2)
    edges = np.linspace(0, count, stretches + 1).astype(np.int64)
    rows = {0, count - 1}
    for start, stop in pairwise(edges):
        part = values[start:stop]
        finite = np.isfinite(part)
        if not finite.all():
            # A gap is shown where it begins.
            rows.add(int(start) + int(np.argmin(finite)))
        if finite.any():
            rows.add(int(start) + int(np.argmin(np.where(finite, part, np.inf))))
            rows.add(int(start) + int(np.argmax(np.where(finite, part, -np.inf))))
    return np.array(sorted(rows), dtype=np.int64)


def _line(series: SeriesView, values: Floats) -> Line:
    rows = thinned(values)
    return _points(series.step[rows], series.t[rows], values[rows])


def _difference(alignment: Alignment, a: Floats, b: Floats, scale: float) -> Line:
    va, vb, slack = alignment.pair(a, b)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.maximum(np.abs(va - vb) - slack, 0.0)
        ratio = distance / scale if scale > 0 else distance
    rows = thinned(ratio)
    return _points(alignment.steps_a[rows], alignment.t[rows], ratio[rows])


def _points(step: Ints, t: Floats, y: Floats) -> Line:
    timed = bool(len(t)) and bool(np.all(np.isfinite(t)))
    return Line(
        step=tuple(step.tolist()),
        t=tuple(t.tolist()) if timed else (),
        y=tuple(np.asarray(y, dtype=np.float64).tolist()),
    )


def _map(
    a: RunView,
    b: RunView,
    name: str,
    alignment: Alignment,
    fields: FieldFindings,
    renames: Mapping[str, str],
) -> TileMap:
    one, two = in_common_tiles(a.digests(name), b.digests(renames.get(name, name)))
    rows_a = digest_rows(one, alignment.steps_a)
    rows_b = digest_rows(two, alignment.steps_b)
    usable = np.flatnonzero(alignment.exact & (rows_a >= 0) & (rows_b >= 0))
    counts = fields.counts[name]
    row_edges, column_edges, note = _axes(one.tiles)
    frames = []
    for at in _moments(counts[usable]):
        i = int(usable[at])
        ia, ib = int(rows_a[i]), int(rows_b[i])
        mask: Mask = one.rows(ia, ia + 1)[0] != two.rows(ib, ib + 1)[0]
        t = float(alignment.t[i])
        frames.append(
            MapFrame(
                step=int(alignment.steps_a[i]),
                t=t if np.isfinite(t) else None,
                differing=int(counts[i]),
                cells=_cells(mask),
            )
        )
    return TileMap(
        field=name,
        rows=row_edges,
        columns=column_edges,
        of=one.tiles.size,
        frames=tuple(frames),
        note=note,
    )


def _moments(counts: Ints) -> list[int]:
    """Which sample times to show: the onset with what is around it, and the rest evenly."""
    n = len(counts)
    if n <= MOST_FRAMES:
        return list(range(n))
    onset = int(np.argmax(counts > 0)) if counts.any() else 0
    around_onset = range(max(0, onset - 2), min(n, onset + MOST_FRAMES // 3))
    even = np.linspace(0, n - 1, MOST_FRAMES - len(around_onset)).astype(int)
    return sorted({*around_onset, *even.tolist()})


def _axes(tiles: FieldTiles) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """The map's edges along both axes, and what a cell stands for."""
    edges = tiles.edges
    if len(edges) == 1:
        rows: tuple[int, ...] = (0, 1)
        columns = edges[0]
    else:
        rows, columns = edges[0], edges[1]
    notes = []
    if len(edges) > 2:
        notes.append(f"differs if any tile along the other {len(edges) - 2} axes does")
    thick = [_stride(len(e) - 1) for e in (rows, columns)]
    if max(thick) > 1:
        notes.append(f"stands for up to {thick[0]} x {thick[1]} tiles")
    note = f"A cell {' and '.join(notes)}." if notes else ""
    return _thin_edges(rows, thick[0]), _thin_edges(columns, thick[1]), note


def _thin_edges(edges: tuple[int, ...], stride: int) -> tuple[int, ...]:
    return (*edges[:-1:stride], edges[-1])


def _stride(count: int) -> int:
    return -(-count // MOST_CELLS) if count > MOST_CELLS else 1


def _cells(mask: Mask) -> str:
    flat = mask.reshape(1, -1) if mask.ndim == 1 else mask
    if flat.ndim > 2:
        flat = np.logical_or.reduce(flat, axis=tuple(range(2, flat.ndim)))
    for axis in (0, 1):
        stride = _stride(flat.shape[axis])
        if stride > 1:
            starts = np.arange(0, flat.shape[axis], stride)
            flat = np.logical_or.reduceat(flat, starts, axis=axis)
    return "".join("1" if cell else "0" for cell in flat.ravel())
