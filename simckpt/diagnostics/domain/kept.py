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
    """The boxes of a state, for as long as the grid is the same and arrays lie where they lay."""

    def __init__(self) -> None:
        self._grid: Grid | None = None
        self._forms: dict[str, tuple[object, ...]] = {}
        self._parts: Parts = {}

    def parts(self, state: State) -> Parts | None:
        """The boxes of `state`, if they are those that were kept."""
        grid, fields = state.grid, state.fields
        if grid is None or grid is not self._grid or fields.keys() != self._forms.keys():
            return None
        for name, array in fields.items():
            if type(array) is not np.ndarray or _form(array) != self._forms[name]:
                return None
        views = {name: self._grid.interior(array) for name, array in fields.items()}
        return {
            number: replace(part, arrays=views, ghosted=fields)
            for number, part in self._parts.items()
        }

    def keep(self, state: State, parts: Parts) -> None:
        """Keep the boxes of `state`, or none where its next sample may need others."""
        self._grid, self._forms, self._parts = None, {}, {}
        fields = state.fields
        plain = all(type(a) is np.ndarray and a.dtype.kind != "c" for a in fields.values())
        if plain and isinstance(state.grid, Grid) and _lasting(state.grid):
            self._grid = state.grid
            self._forms = {name: _form(array) for name, array in fields.items()}
            self._parts = {n: replace(part, arrays={}, ghosted={}) for n, part in parts.items()}


def _lasting(grid: Grid) -> bool:
    """Whether nothing of the grid lies in an array, which may change in place."""
    numbers = all(isinstance(width, float) for width in grid.spacing)
    return numbers and grid.volume is None and grid.where is None


def _form(array: np.ndarray[Any, Any]) -> tuple[object, ...]:
    """Where it lies, and how."""
    return array.__array_interface__["data"], array.shape, array.strides, array.dtype
