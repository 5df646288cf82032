"""Where a rank's cells lie in the global index space, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from math import isfinite, prod
from typing import Any, NamedTuple, Never, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import SetupError
from .devices.arrays import DeviceArray
from .particles import Cells

MOST_AXES = 4

AxisSpacing: TypeAlias = float | NDArray[np.float64]
Sliced = TypeVar("Sliced", bound="NDArray[Any] | DeviceArray")


@dataclass(frozen=True, eq=False)
class Grid:
    """This rank's box of a structured grid.

    Parameters
    ----------
    global_shape : int or tuple of int
        Cells along each axis over all ranks, without ghost layers; 1 to 4 axes.
    spacing : float or sequence, one entry an axis
        Cell width: one number for all axes, or for each axis a number or a 1-D array of the
        widths along it: of all cells of the axis, of those with the ghost layers at both of its
        ends, or of this rank's part. Ones if left out.
    start : int or tuple of int, optional
        Global index of this rank's first cell; zeros if left out (a single rank).
    ghost : int, or one int or pair of ints an axis
        Ghost layers that the fields carry: on both sides, or (below, above).
    volume : ndarray, optional
        Volume of each of this rank's cells, in place of the product of the spacings: of the
        local shape, with or without the ghost layers. Without `spacing` there are no widths then,
        and so no Courant number.
    where : ndarray of bool, optional
        Cells that count, of the local shape, with or without the ghost layers; the others are
        covered by a finer level, lie in a solid body, or belong to another rank. With the ghost
        layers, where differences between neighbours are measured.
    level : int
        Refinement level; each level has its own index space.

    Notes
    -----
    The shape of the local box is read off the fields. The volume of a cell is the product of its
    spacings in axis order, rounded to float64 after each multiplication.

    Raises
    ------
    SetupError
        If a shape, spacing, start or ghost makes no sense.

    Examples
    --------
    >>> grid = Grid((64, 32), spacing=0.5, start=(32, 0), ghost=2)
    >>> grid.box((36, 36), "rho")
    ((32, 0), (32, 32))
    """

    global_shape: tuple[int, ...]
    spacing: tuple[AxisSpacing, ...] = (1.0,)
    start: tuple[int, ...] = ()
    ghost: tuple[tuple[int, int], ...] = ()
    volume: NDArray[Any] | None = None
    where: NDArray[Any] | None = None
    level: int = 0
    spaced: bool = True
    """Whether the cells' widths are known: not where there are volumes alone."""

    # The fields' types are what they are after these: users may write the shorter forms.
    def __init__(
        self,
        global_shape: int | Sequence[int],
        spacing: float | Sequence[float | NDArray[Any]] | NDArray[Any] | None = None,
        start: int | Sequence[int] | None = None,
        ghost: int | Sequence[int | Sequence[int]] = 0,
        volume: NDArray[Any] | None = None,
        where: NDArray[Any] | None = None,
        level: int = 0,
        **unknown: Never,
    ) -> None:
        misspelt: dict[str, object] = {**unknown}
        for name, value in misspelt.items():
            choices = [f.name for f in fields(self) if f.name != "spaced"]
            close = get_close_matches(name, choices, 1)
            mend = f"Did you mean {close[0]}=?" if close else ""
            raise SetupError(name, value, "is no argument of Grid", choices=choices, mend=mend)
        shape = _whole_numbers("Grid.global_shape", global_shape, least=1)
        if not 1 <= len(shape) <= MOST_AXES:
            raise SetupError(
                "Grid.global_shape", global_shape, f"has {len(shape)} axes, not 1 to {MOST_AXES}"
            )
        axes = len(shape)
        begin = (0,) * axes
        if start is not None:
            begin = _whole_numbers("Grid.start", start, least=0)
            if len(begin) != axes or any(b > n for b, n in zip(begin, shape, strict=True)):
                problem = f"is no cell of a grid of global shape {shape}"
                raise SetupError("Grid.start", start, problem)
        if isinstance(level, bool) or not isinstance(level, int | np.integer) or level < 0:
            raise SetupError("Grid.level", level, "is not a whole number of zero or more")
        put = object.__setattr__
        put(self, "global_shape", shape)
        put(self, "start", begin)
        put(self, "spacing", _spacings(1.0 if spacing is None else spacing, shape))
        put(self, "spaced", spacing is not None or volume is None)
        none = type(ghost) is int and ghost == 0
        put(self, "ghost", ((0, 0),) * axes if none else _ghosts(ghost, axes))
        put(self, "volume", None if volume is None else _cells("Grid.volume", volume, axes))
        put(self, "where", None if where is None else _cells("Grid.where", where, axes))
        put(self, "level", int(level))
        if self.where is not None and self.where.dtype != np.bool_:
            kind, problem = self.where.dtype.name, "is not an array of bool"
            raise SetupError("Grid.where", kind, problem, mend="Compare first.")

    @property
    def axes(self) -> int:
        """Number of axes."""
        return len(self.global_shape)

    def box(self, array_shape: Sequence[int], name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Start and shape of the local box whose array, ghosts included, has `array_shape`.

        Raises
        ------
        SetupError
            If an array of that shape cannot lie in this grid.
        """
        shape = tuple(int(n) for n in array_shape)
        argument = f"fields[{name!r}].shape"
        facts = f"Grid(global_shape={self.global_shape}, start={self.start}, ghost={self.ghost})"
        if len(shape) != self.axes:
            raise SetupError(
                argument,
                shape,
                f"has {len(shape)} axes, but {facts} has {self.axes}",
                mend="Give each component as a field of its own, or Components(array, axis)."
                if len(shape) > self.axes
                else "Give an array with an axis for each of the grid's, or another Grid.",
            )
        local = tuple(n - low - high for n, (low, high) in zip(shape, self.ghost, strict=True))
        for axis, n in enumerate(local):
            if n < 0:
                raise SetupError(
                    argument,
                    shape,
                    f"is smaller along axis {axis} than the ghost layers of {facts}",
                    mend="Check Grid.ghost.",
                )
            if self.start[axis] + n > self.global_shape[axis]:
                raise SetupError(
                    argument,
                    shape,
                    f"does not fit: along axis {axis} its {n} cells without ghost layers begin at "
                    f"{self.start[axis]} and pass the end of {facts}",
                    mend="Check Grid.ghost and Grid.start: the array is the local box plus ghosts.",
                )
        return self.start, local

    def interior(self, array: Sliced) -> Sliced:
        """A view of `array` without its ghost layers."""
        cut = (slice(low, n - high) for (low, high), n in zip(self.ghost, array.shape, strict=True))
        inner: Sliced = array[tuple(cut)]  # type: ignore[assignment]
        return inner

    def local_widths(self, axis: int, cells: int) -> AxisSpacing:
        """Cell widths along `axis` of a local box of `cells` cells: a number or an array."""
        widths = self.spacing[axis]
        if isinstance(widths, float):
            return widths
        total, (low, high) = self.global_shape[axis], self.ghost[axis]
        if widths.size in (total, total + low + high):
            begin = self.start[axis] + (low if widths.size > total else 0)
            return widths[begin : begin + cells]
        if widths.size == cells:
            return widths
        ghosts = f", with the ghost layers at its ends {total + low + high}" if low + high else ""
        raise SetupError(
            f"Grid.spacing[{axis}]",
            widths,
            f"has {widths.size} widths, but the axis has {total} cells{ghosts}, "
            f"and {cells} of them are here",
        )

    def widths_around(self, axis: int, cells: int) -> AxisSpacing | None:
        """The same with the width of one more cell on both sides.

        Beyond the ends of the axis cells are as wide as its last ones, unless their widths were
        given. None where those of the neighbours were not.
        """
        widths = self.spacing[axis]
        if isinstance(widths, float):
            return widths
        total, (low, high) = self.global_shape[axis], self.ghost[axis]
        begin = self.start[axis]
        if widths.size == total:
            return np.pad(widths, 1, mode="edge")[begin : begin + cells + 2]
        if widths.size == total + low + high and low and high:
            return widths[begin + low - 1 : begin + low + cells + 1]
        return None

    def masks_ghosts(self, local: Sequence[int]) -> bool:
        """Whether `where` has the ghost layers of a local box of this shape."""
        full = tuple(n + low + high for n, (low, high) in zip(local, self.ghost, strict=True))
        return self.where is not None and self.where.shape == full

    def local_cells(self, argument: str, array: NDArray[Any], local: Sequence[int]) -> NDArray[Any]:
        """`array` (a volume or mask) as a view of the local shape."""
        local = tuple(local)
        if array.shape == local:
            return array
        full = tuple(n + low + high for n, (low, high) in zip(local, self.ghost, strict=True))
        if array.shape == full:
            return self.interior(array)
        raise SetupError(
            f"{argument}.shape",
            array.shape,
            f"is neither the local shape {local} nor that with ghost layers {full}",
        )


def one_width(widths: AxisSpacing) -> float | None:
    """The width of all cells, if it is one."""
    if isinstance(widths, float):
        return widths
    same = widths.size > 0 and bool((widths == widths[0]).all())
    return float(widths[0]) if same else None


def _whole_numbers(argument: str, value: Any, *, least: int) -> tuple[int, ...]:
    entries = value if isinstance(value, Sequence | np.ndarray) else (value,)
    numbers = []
    for n in entries:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
            raise SetupError(argument, value, f"is not made of whole numbers of {least} or more")
        numbers.append(int(n))
    return tuple(numbers)


def _spacings(value: Any, shape: tuple[int, ...]) -> tuple[AxisSpacing, ...]:
    if type(value) is float and 0 < value < np.inf:
        # What most drivers give, at every sample.
        return (value,) * len(shape)
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        value = (value,) * len(shape)
    if isinstance(value, np.ndarray) and (value.ndim == 0 or (value.size != 1 == len(shape))):
        value = (value,) * len(shape)
    if len(value) != len(shape):
        raise SetupError(
            "Grid.spacing",
            value,
            f"has {len(value)} entries for {len(shape)} axes",
            mend="Give one number for all axes, or one entry an axis.",
        )
    spacings: list[AxisSpacing] = []
    for axis, entry in enumerate(value):
        argument = f"Grid.spacing[{axis}]"
        try:
            widths = np.asarray(entry, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise SetupError(argument, entry, "is neither a number nor an array") from None
        if widths.ndim > 1 or not bool(np.all(np.isfinite(widths) & (widths > 0))):
            raise SetupError(argument, entry, "is not a positive width, or a 1-D array of them")
        spacings.append(widths if widths.ndim else float(widths))
    return tuple(spacings)


def _ghosts(value: Any, axes: int) -> tuple[tuple[int, int], ...]:
    if isinstance(value, int | np.integer):
        value = (value,) * axes
    if not isinstance(value, Sequence | np.ndarray) or len(value) != axes:
        raise SetupError(
            "Grid.ghost",
            value,
            f"is not an int, or one entry for each of {axes} axes",
            mend="Write ghost=2, ghost=(2, 1) or ghost=((2, 1), (0, 0)).",
        )
    layers = []
    for entry in value:
        pair = _whole_numbers("Grid.ghost", entry, least=0)
        if len(pair) not in (1, 2):
            raise SetupError("Grid.ghost", value, "has an entry that is no int and no pair of ints")
        layers.append((pair[0], pair[-1]))
    return tuple(layers)


def _cells(argument: str, value: Any, axes: int) -> NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != axes:
        raise SetupError(f"{argument}.shape", array.shape, f"has not {axes} axes like the grid")
    return array


# How much space cells take: a scale for integrals, and what keeps their terms from overflowing.


class Measure(NamedTuple):
    """Of the cells that count: their volume, rounded, their number, and the largest volume."""

    volume: float
    cells: int
    largest: float


EMPTY = Measure(0.0, 0, 0.0)

BLOCK = 1 << 14
"""Cells of a block, unless a row is longer."""


def measure_cells(cells: Cells) -> Measure:
    """The measure of unstructured cells."""
    count = int(cells.ids.size)
    if isinstance(cells.volume, float):
        return Measure(cells.volume * count, count, cells.volume)
    return Measure(float(np.sum(cells.volume)), count, float(np.max(cells.volume, initial=0.0)))


def measure_box(grid: Grid, shape: Sequence[int]) -> Measure:
    """The measure of a box of this shape.

    Raises
    ------
    SetupError
        If the product of widths is zero or infinite in float64.
    """
    if not prod(shape):
        return EMPTY
    widths = [
        np.broadcast_to(np.asarray(grid.local_widths(axis, cells), np.float64), (cells,))
        for axis, cells in enumerate(shape)
    ]
    where = None if grid.where is None else grid.local_cells("Grid.where", grid.where, shape)
    volumes = None
    if grid.volume is not None:
        volumes = grid.local_cells("Grid.volume", grid.volume, shape)
    else:
        for size in (prod(float(w.max()) for w in widths), prod(float(w.min()) for w in widths)):
            if not 0 < size < np.inf:
                problem = f"makes cells of the volume {size:g} in float64"
                raise SetupError("Grid.spacing", grid.spacing, problem, mend="Scale the lengths.")
        if where is None:
            volume = prod(float(w.sum()) for w in widths)
            return Measure(volume, prod(shape), prod(float(w.max()) for w in widths))
    volume, count, largest = 0.0, 0, 0.0
    # Block by block, so that no temporary of the field's size is made.
    rows = max(1, BLOCK // max(1, prod(shape[1:])))
    for begin in range(0, shape[0], rows):
        cut = slice(begin, begin + rows)
        if volumes is not None:
            slab = np.asarray(volumes[cut], np.float64)
        else:
            slab = widths[0][cut]
            for along in widths[1:]:
                slab = slab[..., np.newaxis] * along
        counted = slab if where is None else slab[where[cut]]
        count += int(counted.size)
        if counted.size:
            volume += float(counted.sum())
            largest = max(largest, float(counted.max()))
    return Measure(volume if isfinite(volume) else np.inf, count, largest)
