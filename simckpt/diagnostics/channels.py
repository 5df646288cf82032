"""Channels: what is measured without being asked for, each field on each index space."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, prod

from ..model.series import Column, FieldTiles

PARTICLES = -1
"""The index space of particle ids; grids have their level, 0 or more."""

MEAN_WORDS = 5
"""Words of a tile's fixed-point sum in a message: 160 bits above the unit."""

ROOM = 12
"""Binades by which a field may outgrow its first sample before its chunks need more folds."""

FOLDED = 102
LOWEST, HIGHEST = -1074, 919


@dataclass(frozen=True)
class Channel:
    """One field on one index space.

    Parameters
    ----------
    field : str
        Name of the field, or of the particles' quantity.
    space : int
        Level of the grid, or `PARTICLES`.
    kind : str
        Number type without byte order, such as ``"f8"``.
    global_shape : tuple of int
        Of the index space.
    edges : tuple of tuple of int
        Tile edges along each axis.
    magnitude : float
        Largest absolute value in the first sample, over all ranks.
    """

    field: str
    space: int
    kind: str
    global_shape: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]
    magnitude: float

    @property
    def label(self) -> str:
        """Name in the record: ``rho``, ``rho@1`` on a refined level, ``particles.x``."""
        if self.space == PARTICLES:
            return f"particles.{self.field}"
        return self.field if self.space == 0 else f"{self.field}@{self.space}"

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return prod(len(e) - 1 for e in self.edges)

    @property
    def unit(self) -> int:
        """Exponent of the unit in which tile means are summed; the same on every rank."""
        exponent = frexp(self.magnitude)[1] if self.magnitude else 0
        return min(max(exponent + ROOM - FOLDED, LOWEST), HIGHEST)

    @property
    def mean_limit(self) -> float:
        """Magnitude from which on a value does not fit the sums of the means."""
        if self.unit + 3 * 51 > HIGHEST + 51:
            return 2.0 ** min(self.unit + FOLDED, 1023)
        return 2.0 ** (self.unit + 125)

    @property
    def seed(self) -> int:
        """What the digest's keys are shifted by: number type and index space are part of it."""
        text = f"{self.kind}/{max(0, self.space)}"
        seed = 0xCBF29CE484222325
        for byte in text.encode():  # FNV-1a, 64 bits
            seed = ((seed ^ byte) * 0x100000001B3) % 2**64
        return seed

    def columns(self) -> tuple[Column, ...]:
        """The columns that every channel has."""
        name = self.label
        return (
            Column(name=f"{name}.min", kind="minimum", of=name, note="of the finite values"),
            Column(name=f"{name}.max", kind="maximum", of=name, note="of the finite values"),
            Column(name=f"{name}.nan", kind="count", of=name, note="cells that are NaN"),
            Column(name=f"{name}.posinf", kind="count", of=name, note="cells that are +Inf"),
            Column(name=f"{name}.neginf", kind="count", of=name, note="cells that are -Inf"),
        )

    def field_tiles(self) -> FieldTiles:
        """The tiles as they are recorded."""
        return FieldTiles(
            field=self.label, dtype=self.kind, global_shape=self.global_shape, edges=self.edges
        )
