"""Channels: what is measured without being asked for, each field on each index space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from ...model.series import Column, FieldTiles

PARTICLES = -1
"""The index space of particle ids; grids have their level, 0 or more."""


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
    """

    field: str
    space: int
    kind: str
    global_shape: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]

    @cached_property
    def label(self) -> str:
        """Name in the record: ``rho``, ``rho@1`` on a refined level, ``particles.x``."""
        if self.space == PARTICLES:
            return f"particles.{self.field}"
        return self.field if self.space == 0 else f"{self.field}@{self.space}"

    @cached_property
    def tiles(self) -> int:
        """Number of tiles."""
        return prod(len(e) - 1 for e in self.edges)

    @cached_property
    def room(self) -> NDArray[np.uint64]:
        """Cells of each tile."""
        room = np.ones(1, np.uint64)
        for edges in self.edges:
            room = np.outer(room, np.diff(edges).astype(np.uint64)).ravel()
        return room

    @cached_property
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
