"""The flight recorder's dump: the last samples at full tile resolution."""

from __future__ import annotations

from .record import Document, Hash, Record


class TileExtremes(Record, frozen=True, kw_only=True):
    """Statistics of the tiles of one field, float64, little-endian, C order over the tiles."""

    minimum: bytes
    maximum: bytes
    mean: bytes


class FlightSample(Record, frozen=True, kw_only=True):
    """One sample as it was kept in memory: its row of the series, and its tile statistics.

    `values` and `digests` are encoded as in a `Sample`; `tiles` is by field.
    """

    step: int
    t: float | None
    wall: float
    values: bytes
    digests: bytes = b""
    faults: int = 0
    tiles: dict[str, TileExtremes] = {}


class Flight(Document, tag="flight", frozen=True, kw_only=True):
    """The last samples before a trigger fired, oldest first; `schema` says what they mean.

    `omitted` counts older ones that were in memory and had no room here.
    """

    schema: Hash
    samples: tuple[FlightSample, ...]
    omitted: int = 0
