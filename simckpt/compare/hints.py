"""Options for quantities that only a tolerance of another kind can judge.

A sum of contributions of either sign rounds relative to what it sums. Where that is known, a
difference within the tolerance of it is told as such. Where it is not, as for the momentum of a
flow at rest when no field that keeps one sign tells the volume, the sum is a multiple of roundoff
that no relative tolerance accepts; that its scale is unknown is the reason then.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..model.series import Column
from .verdict import Findings
from .where.quantities import QuantityDifference, columns
from .where.scales import measures, names_in, summary, unscaled

SUMS = frozenset({"budget", "conserved", "residual"})
"""Kinds of columns that are sums of contributions of either sign."""
NEAR_ZERO = 1e-3
"""Part of its scale below which a sum is the small rest of large contributions."""
TINY = 1e-6
"""Part of what its fields could sum to below which the sum of an expression is surely a rest."""
ROOM = 2.0
"""Times the largest difference that is advised as a limit where the scale is not known."""


def hints(found: Findings) -> Iterator[str]:
    """What to say on the command line so that such a quantity is judged as it should be."""
    known: dict[str, Column] = {}
    unknown: frozenset[str] = frozenset()
    if not found.bitwise and any(q.kind in SUMS for q in found.judged):
        known = columns(found.a)
        unknown = unscaled(found.a.series(), known)
    for q in found.judged:
        rtol = found.tolerance.limits(q.name).rtol
        near_zero = q.kind in SUMS and max(abs(q.a), abs(q.b)) < NEAR_ZERO * q.scale
        if not found.bitwise and near_zero and q.largest is not None and q.largest <= rtol:
            yield (
                f"{q.name} is a sum near zero; relative to what it sums, the runs differ by "
                f"{q.largest:.1e}: --atol {q.name}={rtol * q.scale:.1e} would accept it"
            )
        elif q.name in unknown and q.largest and _only_a_rest(q, known[q.name], found):
            apart = q.largest * q.scale
            yield (
                f"{q.name} may be a sum near zero, its scale is not known; the runs differ by "
                f"{apart:.1e}: --atol {q.name}={ROOM * apart:.1e} would accept it"
            )
        if q.only_nan:
            yield f"{q.name} is NaN in both runs: --equal-nan would accept it"


def _only_a_rest(q: QuantityDifference, column: Column, found: Findings) -> bool:
    """Whether the sum differs and its fields do not, and nothing shows it far from zero."""
    apart = {d.name for d in found.judged if d.name != q.name}
    fields = {name.partition(".")[0] for name in apart if "." in name}
    fields |= {tile.field for tile in found.tiles}
    if not fields.isdisjoint(names_in(column)):
        return False
    if column.of in found.a.fields:
        return not _far_from_zero(found, column.of)
    # Of an expression the tiles tell nothing: what is only a rest differs as much as it is large,
    # or is tiny beside its fields.
    return (q.largest or 0.0) >= NEAR_ZERO or q.scale < TINY * _size(found, column)


def _size(found: Findings, column: Column) -> float:
    """The smallest extreme of the fields that are summed, times the volume where it is known."""
    series, known = found.a.series(), columns(found.a)
    extrema = [f"{name}.{end}" for name in names_in(column) for end in ("min", "max")]
    largest = [summary(series, name).largest for name in extrema if name in known]
    return min(largest, default=0.0) * (measures(series, known).get(column.name) or 1.0)


def _far_from_zero(found: Findings, field: str) -> bool:
    """Whether the field's mean, told by its tiles, is no small part of its largest value."""
    rows = found.a.tiles(field)
    cells = np.ones(())
    for edges in found.a.digests(field).tiles.edges:
        cells = np.multiply.outer(cells, np.diff(edges))
    if not len(rows.step) or rows.mean.shape[1:] != cells.shape:
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        means = np.abs(np.sum(rows.mean * cells, axis=tuple(range(1, rows.mean.ndim))))
        sizes = np.maximum(np.abs(rows.minimum), np.abs(rows.maximum)).reshape(len(rows.step), -1)
        return bool(np.any(means / cells.sum() > NEAR_ZERO * sizes.max(axis=1)))
