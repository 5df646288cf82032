"""Tile statistics of two runs under a tolerance: what digests, which know only bits, cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...model.record import Record
from ..view import Floats, Ints, RunView
from .alignment import Alignment
from .divergence import MEAN_UNCERTAINTY
from .steps import common_rows, last_rows
from .tolerance import Tolerance


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
    """Compare minimum, maximum and mean of each tile at checkpoints of the same moment.

    Which those are is what the alignment says; statistics are never interpolated.

    Returns at how many checkpoints there was something to compare, and what differs.
    """
    rows = 0
    found = []
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
            # A tile without any finite value has NaN in all three; the counts of NaN tell.
            differs = ~(limits.agree(va, vb, slack) | (np.isnan(va) & np.isnan(vb)))
            flat = differs.reshape(len(common), -1)
            if not flat.any():
                continue
            row = int(np.argmax(flat.any(axis=1)))
            tile = int(np.argmax(flat[row]))
            with np.errstate(invalid="ignore", over="ignore"):
                apart = _largest((va - vb)[row])
            found.append(
                TileStatisticDifference(
                    field=name,
                    statistic=statistic,
                    step=int(common[row]),
                    tiles=int(np.count_nonzero(flat[row])),
                    of=flat.shape[1],
                    tile=tile,
                    a=float(va[row].ravel()[tile]),
                    b=float(vb[row].ravel()[tile]),
                    relative=apart / scale if scale > 0 else None,
                )
            )
    return rows, tuple(found)


def _same_moment(one: Ints, two: Ints, alignment: Alignment) -> tuple[Ints, Ints]:
    """Rows of both runs' checkpoints that speak of the same moment."""
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


def _largest(values: Floats) -> float:
    return float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
