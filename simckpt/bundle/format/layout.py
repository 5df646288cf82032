"""Where each number of a sample goes: columns and groups of tiles over all segments of a run.

Segments of one run may measure different things. A column keeps its name through all of them,
with NaN where a segment does not have it. Tile digests of a field share one array as long as
the field is cut into the same tiles. Adding a schema never renames what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise

from ...model.series import Column, FieldTiles, SeriesSchema

OWN_VARIABLES = ("sample", "step", "t", "wall", "segment", "schema", "faults")
"""What `/series` holds for each sample beside the columns."""


@dataclass(frozen=True)
class TileGroup:
    """One way of cutting one field into tiles, and the name of the group that holds it."""

    name: str
    tiles: FieldTiles


@dataclass(frozen=True)
class DigestSlice:
    """Which digests of a sample belong to the tile group number `group`."""

    group: int
    start: int
    stop: int


class Layout:
    """The places of all columns and tiles of `schemas`, in the order in which they took effect."""

    def __init__(self, schemas: Sequence[SeriesSchema]) -> None:
        self.schemas = tuple(schemas)
        self.columns: dict[str, Column] = {}
        self.variables: dict[str, str] = {}
        self.groups: list[TileGroup] = []
        self.slices: list[tuple[DigestSlice, ...]] = []
        self._taken = {"variables": set(OWN_VARIABLES), "groups": set[str]()}
        for schema in self.schemas:
            self._add(schema)

    def _add(self, schema: SeriesSchema) -> None:
        for column in schema.columns:
            if column.name not in self.columns:
                self.columns[column.name] = column
                self.variables[column.name] = _free(column.name, self._taken["variables"])
        slices = []
        start = 0
        for tiles in schema.tiles:
            stop = start + tiles.size
            slices.append(DigestSlice(self._group(tiles), start, stop))
            start = stop
        self.slices.append(tuple(slices))

    def _group(self, tiles: FieldTiles) -> int:
        for i, group in enumerate(self.groups):
            if group.tiles == tiles:
                return i
        self.groups.append(TileGroup(_free(tiles.field, self._taken["groups"]), tiles))
        return len(self.groups) - 1

    def group_of(self, schema: int, field: str) -> int:
        """The tile group of `field` in schema number `schema`; KeyError if it has no tiles."""
        for place in self.slices[schema]:
            if self.groups[place.group].tiles.field == field:
                return place.group
        raise KeyError(field)

    def groups_of(self, field: str) -> tuple[int, ...]:
        """The tile groups of `field`, in the order in which they were first used."""
        return tuple(i for i, g in enumerate(self.groups) if g.tiles.field == field)


def faults_of(schema: SeriesSchema) -> str:
    """What makes `schema` unusable, or an empty string."""
    for what, names in (
        ("columns", [c.name for c in schema.columns]),
        ("fields with tiles", [t.field for t in schema.tiles]),
    ):
        twice = (
            sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
        )
        if twice:
            return f"two {what} are named {twice[0]!r}"
    for tiles in schema.tiles:
        if not tiles.edges or any(not e or any(b < a for a, b in pairwise(e)) for e in tiles.edges):
            return f"the tiles of {tiles.field!r} have no edges, or edges that do not rise"
    return ""


def _free(name: str, taken: set[str]) -> str:
    # netCDF names hold no slash and no control character, begin with a letter, digit or
    # underscore, and do not end in a space.
    safe = "".join(
        c if c not in "/%" and ord(c) > 31 and ord(c) != 127 else f"%{ord(c):02X}" for c in name
    )
    if not safe or not (safe[0].isalnum() or safe[0] == "_"):
        safe = "_" + safe
    safe = safe.rstrip(" ") + "_" * (len(safe) - len(safe.rstrip(" ")))
    free = next(n for n in (safe if i == 1 else f"{safe}~{i}" for i in count(1)) if n not in taken)
    taken.add(free)
    return free
