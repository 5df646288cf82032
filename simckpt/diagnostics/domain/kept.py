"""Parts that are kept from one sample to the next where the driver gives the same arrays again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .grid import Grid

if TYPE_CHECKING:
    from ..local import Part
    from ..state import State

Parts = Mapping[int, "Part"]


class Kept:
    """The boxes of a state, for as long as grid and arrays are the very same ones.

    A step of a small grid takes no longer than looking at everything anew, with caches that the
    solver has filled.
    """

    def __init__(self) -> None:
        self._grid: object = None
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._forms: dict[str, tuple[object, ...]] = {}
        self._parts: Parts = {}

    def parts(self, state: State) -> Parts | None:
        """The boxes of `state`, if they are those that were kept."""
        fields = state.fields
        if state.grid is not self._grid or fields.keys() != self._forms.keys():
            return None
        for name, array in self._arrays.items():
            if fields[name] is not array or _form(array) != self._forms[name]:
                return None
        return self._parts

    def keep(self, state: State, parts: Parts) -> None:
        """Keep the boxes of `state`, or none where its next sample may need others."""
        self._grid, self._arrays, self._forms, self._parts = None, {}, {}, {}
        fields = state.fields
        plain = all(type(a) is np.ndarray and a.dtype.kind != "c" for a in fields.values())
        if plain and isinstance(state.grid, Grid) and _lasting(state.grid):
            self._grid, self._arrays, self._parts = state.grid, dict(fields), parts
            self._forms = {name: _form(array) for name, array in fields.items()}


def _lasting(grid: Grid) -> bool:
    """Whether nothing of the grid lies in an array, which may change in place."""
    numbers = all(isinstance(width, float) for width in grid.spacing)
    return numbers and grid.volume is None and grid.where is None


def _form(array: np.ndarray[Any, Any]) -> tuple[object, ...]:
    """What may be changed of an array that stays the same object."""
    return array.shape, array.strides, array.dtype
