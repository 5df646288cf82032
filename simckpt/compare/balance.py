"""What a budget leaves unexplained: how well a run accounts for what it moves."""

from __future__ import annotations

import numpy as np

from ..model.record import Record
from ..model.series import Column
from .view import SeriesView


class Unexplained(Record, frozen=True, kw_only=True):
    """The largest residual of a budget, by itself and relative to the budget's scale, and where."""

    name: str
    value: float
    relative: float | None
    step: int


def unexplained(
    series: SeriesView, known: dict[str, Column], scale: dict[str, float]
) -> tuple[Unexplained, ...]:
    """The residual columns of every budget."""
    found = []
    for column in known.values():
        budget = known.get(column.of)
        if column.kind != "residual" or budget is None or budget.kind != "budget":
            continue
        sizes = np.abs(series[column.name])
        if not np.isfinite(sizes).any():
            continue
        at = int(np.argmax(np.where(np.isfinite(sizes), sizes, -1.0)))
        size = scale[budget.name]
        found.append(
            Unexplained(
                name=column.name,
                value=float(sizes[at]),
                relative=float(sizes[at]) / size if size > 0 else None,
                step=int(series.step[at]),
            )
        )
    return tuple(found)
