"""Runs of samples as arrays: the form in which they move between files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...model.series import FieldTiles, Sample, SeriesSchema, TileRow
from .codec import UnreadablePayload, sample_payload, tiles_payload

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

BLOCK_BYTES = 4 << 20
MOST_ROWS = 8192


@dataclass(frozen=True)
class SampleBlock:
    """Consecutive samples of one schema: arrays of ``n``, ``[n, columns]``, ``[n, digests]``."""

    schema: int
    step: Ints
    t: Floats
    wall: Floats
    faults: Ints
    values: Floats
    digests: Words

    def payloads(self) -> Iterator[bytes]:
        """The payload of each sample."""
        values, digests = self.values.astype("<f8"), self.digests.astype("<u8")
        for i, (step, t, wall, faults) in enumerate(
            zip(
                self.step.tolist(),
                self.t.tolist(),
                self.wall.tolist(),
                self.faults.tolist(),
                strict=True,
            )
        ):
            yield sample_payload(step, t, wall, values[i].tobytes(), digests[i].tobytes(), faults)


@dataclass(frozen=True)
class TileBlock:
    """Consecutive rows of statistics of one tile group: ``n`` and ``[n, *tiles.shape]``."""

    group: int
    field: str
    step: Ints
    minimum: Floats
    maximum: Floats
    mean: Floats

    def payloads(self) -> Iterator[bytes]:
        """The payload of each row."""
        for i, step in enumerate(self.step.tolist()):
            yield tiles_payload(
                step,
                self.field,
                self.minimum[i].astype("<f8").tobytes(),
                self.maximum[i].astype("<f8").tobytes(),
                self.mean[i].astype("<f8").tobytes(),
            )


def rows_per_block(schema: SeriesSchema, digests: bool = True) -> int:
    """How many samples of `schema` fit in a block."""
    row = 8 * (len(schema.columns) + 5 + (schema.digests if digests else 0))
    return max(1, min(MOST_ROWS, BLOCK_BYTES // row))


def block_of_samples(
    number: int, schema: SeriesSchema, samples: Sequence[Sample], digests: bool = True
) -> SampleBlock:
    """The arrays of `samples`, all of them of schema number `number`.

    Raises
    ------
    UnreadablePayload
        If a sample has not as many values or digests as its schema.
    """
    n, columns, words = len(samples), len(schema.columns), schema.digests
    for s in samples:
        if len(s.values) != 8 * columns or len(s.digests) != 8 * words:
            check_sample(schema, s)
    words = words if digests else 0
    try:
        numbers = np.array([(s.step, s.faults) for s in samples], np.int64).reshape(n, 2)
    except OverflowError:
        raise UnreadablePayload("a step or count that does not fit in 64 bits") from None
    times = np.array([(s.t, s.wall) for s in samples], np.float64).reshape(n, 2)
    return SampleBlock(
        schema=number,
        step=numbers[:, 0],
        t=times[:, 0],
        wall=times[:, 1],
        faults=numbers[:, 1],
        values=_table([s.values for s in samples], "<f8", (n, columns)),
        digests=_table([s.digests for s in samples] if digests else [], "<u8", (n, words)),
    )


def block_of_rows(group: int, tiles: FieldTiles, rows: Sequence[TileRow]) -> TileBlock:
    """The arrays of `rows`, all of them of the tile group number `group`."""
    for row in rows:
        check_tile_row(tiles, row)
    shape = (len(rows), *tiles.shape)
    return TileBlock(
        group=group,
        field=tiles.field,
        step=np.fromiter((r.step for r in rows), np.int64, len(rows)),
        minimum=_table([r.minimum for r in rows], "<f8", shape),
        maximum=_table([r.maximum for r in rows], "<f8", shape),
        mean=_table([r.mean for r in rows], "<f8", shape),
    )


def check_sample(schema: SeriesSchema, sample: Sample) -> None:
    """UnreadablePayload unless the sample has the size that its schema says."""
    columns, digests = len(schema.columns), schema.digests
    if len(sample.values) != 8 * columns or len(sample.digests) != 8 * digests:
        raise UnreadablePayload(
            f"a sample of {len(sample.values)} + {len(sample.digests)} bytes, where its schema "
            f"has {columns} columns and {digests} tile digests of 8 bytes"
        )


def check_tile_row(tiles: FieldTiles, row: TileRow) -> None:
    """UnreadablePayload unless the row has the size that its tiles say."""
    if not len(row.minimum) == len(row.maximum) == len(row.mean) == 8 * tiles.size:
        raise UnreadablePayload(
            f"tile statistics of {row.field!r} whose size is not that of its {tiles.size} tiles"
        )


def _table(rows: Sequence[bytes], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.frombuffer(b"".join(rows), dtype).reshape(shape)
