"""Cells of an unstructured mesh by global id: their order and their ranks do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import SetupError
from ..given import real_number, whole_number

Anything = TypeVar("Anything")


@dataclass(frozen=True, eq=False)
class Cells:
    """This rank's cells of an unstructured mesh; stands where a `Grid` would.

    Parameters
    ----------
    ids : ndarray of int, shape (n,)
        Global ids, each of 0 ... total-1 on one rank only; leave out halo cells.
    total : int
        Number of cells of the whole mesh.
    volume : float or ndarray of shape (n,)
        Volume of each cell.

    Notes
    -----
    Fields have the shape (n,), in the order of the ids. Integrals and digests are those of a
    grid; tiles are ranges of ids. Nothing is known of neighbours, so there is no Courant number
    in cells: use `Frequency` with the mesh's own rate.

    Raises
    ------
    SetupError
        If the arrays do not belong together.
    """

    ids: NDArray[Any]
    total: int
    volume: NDArray[Any] | float = 1.0

    axes = 0
    level = 0
    where = None
    start = (0,)
    ghost = ((0, 0),)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "ids", _array("Cells.ids", self.ids))
        if self.ids.ndim != 1 or self.ids.dtype.kind not in "iu":
            raise SetupError(
                "Cells.ids",
                f"{self.ids.dtype} of shape {self.ids.shape}",
                "is not a 1-D array of whole numbers",
            )
        total = whole_number(self.total)
        if total is None:
            raise SetupError("Cells.total", self.total, "is not a whole number")
        put(self, "total", total)
        if self.total < max(1, self.ids.size):
            raise SetupError("Cells.total", self.total, f"is less than the {self.ids.size} ids")
        if self.ids.size and not 0 <= int(self.ids.min()) <= int(self.ids.max()) < self.total:
            outside = (int(self.ids.min()), int(self.ids.max()))
            raise SetupError("Cells.ids", outside, f"goes beyond 0 ... {self.total - 1}")
        put(self, "volume", self._volume())

    def _volume(self) -> NDArray[Any] | float:
        if (number := real_number(self.volume)) is not None:
            return number
        volume = _array("Cells.volume", self.volume)
        if volume.dtype.kind not in "fiu":
            raise SetupError(
                "Cells.volume",
                self.volume,
                "is no number, nor an array of numbers",
                mend="Give one volume, or one for each id.",
            )
        if volume.shape != self.ids.shape:
            raise SetupError(
                "Cells.volume.shape", volume.shape, f"is not that of ids, {self.ids.shape}"
            )
        return volume

    @property
    def global_shape(self) -> tuple[int]:
        """The index space of the ids."""
        return (self.total,)

    def box(self, array_shape: Sequence[int], name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Start and shape of a field's array; SetupError if it has not one value an id."""
        given = tuple(int(n) for n in array_shape)
        if given != self.ids.shape:
            raise SetupError(
                f"fields[{name!r}].shape", given, f"is not {self.ids.shape}, one value an id"
            )
        return (0,), given

    def interior(self, array: Anything) -> Anything:
        """The array itself: there are no ghost layers."""
        return array


def _array(argument: str, given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise SetupError(argument, type(given).__name__, f"is no array: {error}") from None
