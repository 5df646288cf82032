"""The magnitude that a quantity's rounding errors are relative to, from one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...compare.where.scales import scales

if TYPE_CHECKING:
    from ...compare.view import SeriesView
    from ...diagnostics.probe import Reading
    from ...model.series import SeriesSchema


def magnitudes(reading: Reading, schema: SeriesSchema) -> dict[str, float]:
    """The scale of each column in this sample; 0 where it cannot be told.

    A total momentum near zero is the small rest of large contributions: see `compare.where.scales`.
    """
    columns = {column.name: column for column in schema.columns}
    row = {name: reading.values[i : i + 1] for i, name in enumerate(columns)}
    return scales(cast("SeriesView", row), columns)


def magnitude(name: str, reading: Reading, schema: SeriesSchema) -> float:
    """The scale of one column in this sample."""
    return magnitudes(reading, schema)[name]
