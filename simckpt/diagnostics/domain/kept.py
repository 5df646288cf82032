"""What is kept of the boxes from one sample to the next where the driver gives the same arrays.

On a small grid, looking at everything anew takes longer than measuring. Nothing is held that is
the driver's: neither memory that it lets go, nor a reference, without which alone NumPy resizes an
array in place. What is kept of an array is true of any other of the same form in the same memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .grid import Grid

if TYPE_CHECKING:
    from ..local import Part
    from ..state import State

Parts = Mapping[int, "Part"]


class Kept:
    """The boxes of a state, for as long as its grid is alike and its arrays lie where they lay."""

    def __init__(self) -> None:
        self._grid: tuple[object, ...] | None = None
        self._forms: dict[str, tuple[object, ...]] = {}
        self._parts: Parts = {}

    def parts(self, state: State) -> Parts | None:
        """The boxes of `state`, if they are those that were kept."""
        grid, fields = state.grid, state.fields
        if self._grid is None or not isinstance(grid, Grid) or _facts(grid) != self._grid:
            return None
        if fields.keys() != self._forms.keys():
            return None
        for name, array in fields.items():
            if type(array) is not np.ndarray or _form(array) != self._forms[name]:
                return None
        views = {name: grid.interior(array) for name, array in fields.items()}
        return {
            number: replace(part, arrays=views, ghosted=fields)
            for number, part in self._parts.items()
        }

    def keep(self, state: State, parts: Parts) -> None:
        """Keep the boxes of `state`, or none where its next sample may need others."""
        self._grid, self._forms, self._parts = None, {}, {}
        fields = state.fields
        plain = all(type(a) is np.ndarray and a.dtype.kind != "c" for a in fields.values())
        facts = _facts(state.grid) if isinstance(state.grid, Grid) else None
        if plain and facts is not None:
            self._grid = facts
            self._forms = {name: _form(array) for name, array in fields.items()}
            self._parts = {n: replace(part, arrays={}, ghosted={}) for n, part in parts.items()}


def _facts(grid: Grid) -> tuple[object, ...] | None:
    """All that makes a grid; None if any of it lies in an array, which may change in place."""
    numbers = all(isinstance(width, float) for width in grid.spacing)
    if not numbers or grid.volume is not None or grid.where is not None:
        return None
    return grid.global_shape, grid.spacing, grid.start, grid.ghost, grid.level


def _form(array: np.ndarray[Any, Any]) -> tuple[object, ...]:
    """Where it lies, and how."""
    return array.__array_interface__["data"], array.shape, array.strides, array.dtype
