"""The flight recorder: the last samples, kept in memory on rank 0 until a trigger wants them."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from ...model.flight import Flight, FlightSample, TileExtremes

if TYPE_CHECKING:
    from ...diagnostics.probe import Reading
    from ...model.record import Hash

SAMPLES = 32
"""Samples that are kept."""

KEPT_BYTES = 64 << 20
"""Bytes that they may take in memory."""

DUMPED_BYTES = 4 << 20
"""Bytes of one dump, before its encoding as text."""

_TILE_BYTES = 640
"""About what the message behind a sample holds for each tile."""

_DUMPED_TILE_BYTES = 32


class FlightRecorder:
    """A ring of the last samples, bounded in number and in bytes.

    A reading works out its tile statistics when it is asked for them, so that keeping one costs
    a reference.

    Parameters
    ----------
    samples : int
        How many to keep.
    kept_bytes, dumped_bytes : int
        Bounds in memory and of one dump; the newest sample is kept and dumped in any case.
    """

    def __init__(
        self,
        samples: int = SAMPLES,
        kept_bytes: int = KEPT_BYTES,
        dumped_bytes: int = DUMPED_BYTES,
    ) -> None:
        self._ring: deque[tuple[Reading, float]] = deque()
        self._samples = samples
        self._kept_bytes = kept_bytes
        self._dumped_bytes = dumped_bytes
        self._held = 0

    def __len__(self) -> int:
        return len(self._ring)

    def note(self, reading: Reading, wall: float) -> None:
        """Keep a sample, and let go of the oldest where there is no room."""
        self._ring.append((reading, wall))
        self._held += _size(reading, _TILE_BYTES)
        while len(self._ring) > 1 and (
            len(self._ring) > self._samples or self._held > self._kept_bytes
        ):
            self._held -= _size(self._ring.popleft()[0], _TILE_BYTES)

    def dump(self, schema: Hash) -> Flight | None:
        """What is in memory, as a document; None where no sample was taken yet."""
        chosen: list[tuple[Reading, float]] = []
        room = self._dumped_bytes
        for reading, wall in reversed(self._ring):
            room -= _size(reading, _DUMPED_TILE_BYTES)
            if chosen and room < 0:
                break
            chosen.append((reading, wall))
        if not chosen:
            return None
        return Flight(
            schema=schema,
            samples=tuple(_sample(reading, wall) for reading, wall in reversed(chosen)),
            omitted=len(self._ring) - len(chosen),
        )


def _size(reading: Reading, bytes_per_tile: int) -> int:
    return int(reading.values.nbytes) + bytes_per_tile * int(reading.digests.size)


def _sample(reading: Reading, wall: float) -> FlightSample:
    return FlightSample(
        step=reading.step,
        t=reading.t if math.isfinite(reading.t) else None,
        wall=wall,
        values=_bytes(reading.values, "<f8"),
        digests=_bytes(reading.digests, "<u8"),
        faults=reading.faults,
        tiles={
            name: TileExtremes(
                minimum=_bytes(rows.minimum, "<f8"),
                maximum=_bytes(rows.maximum, "<f8"),
                mean=_bytes(rows.mean, "<f8"),
            )
            for name, rows in reading.tiles.items()
        },
    )


def _bytes(values: np.ndarray, dtype: str) -> bytes:
    return np.ascontiguousarray(values, dtype=dtype).tobytes()
