"""Particles by global id: which rank holds which, and in what order, does not matter."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import SetupError
from .arguments import real_number, whole_number

AXES = "xyz"


@dataclass(frozen=True, eq=False)
class Particles:
    """This rank's particles, as live views of the driver's arrays.

    Parameters
    ----------
    ids : ndarray of int, shape (n,)
        Global ids, each of 0 ... total-1 on one rank only.
    mass : float or ndarray of shape (n,)
        Mass of each particle.
    position, velocity : ndarray of shape (n, d), d = 1, 2 or 3
        Coordinates and velocities; any memory order.
    potential : ndarray of shape (n,), optional
        Potential energy of each particle (half of each pair's, so that the sum is the total).
    total : int, optional
        Number of particles over all ranks; by default counted at the first sample.

    Raises
    ------
    SetupError
        If the arrays do not belong together.
    """

    ids: NDArray[Any]
    mass: NDArray[Any] | float = 1.0
    position: NDArray[Any] | None = None
    velocity: NDArray[Any] | None = None
    potential: NDArray[Any] | None = None
    total: int | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "ids", np.asarray(self.ids))
        if self.ids.ndim != 1 or self.ids.dtype.kind not in "iu":
            raise SetupError(
                "Particles.ids",
                f"{self.ids.dtype} of shape {self.ids.shape}",
                "is not a 1-D array of whole numbers",
            )
        count = self.ids.size
        if (mass := real_number(self.mass)) is not None:
            put(self, "mass", mass)
        else:
            put(self, "mass", np.asarray(self.mass))
            _expect("mass", self.mass, (count,))
        for name in ("position", "velocity"):
            array = getattr(self, name)
            if array is None:
                continue
            array = np.asarray(array)
            put(self, name, array)
            if array.ndim != 2 or array.shape[0] != count or not 1 <= array.shape[1] <= 3:
                raise SetupError(
                    f"Particles.{name}.shape",
                    array.shape,
                    f"is not (n, d) with n = {count} ids and d = 1, 2 or 3",
                )
        if self.potential is not None:
            put(self, "potential", np.asarray(self.potential))
            _expect("potential", self.potential, (count,))
        p, v = self.position, self.velocity
        if p is not None and v is not None and p.shape != v.shape:
            raise SetupError(
                "Particles.velocity.shape", v.shape, f"differs from that of position, {p.shape}"
            )
        if self.total is not None:
            total = whole_number(self.total)
            if total is None or total < count:
                raise SetupError(
                    "Particles.total",
                    self.total,
                    f"is not a count of {count} or more",
                    mend=f"Give the number of particles over all ranks; this rank has {count}.",
                )
            put(self, "total", total)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The quantities by name, each of shape (n,): ``mass``, ``x``, ``vx``, ``potential``."""
        count = self.ids.size
        arrays: dict[str, NDArray[Any]] = {}
        if isinstance(self.mass, float):
            arrays["mass"] = np.broadcast_to(np.float64(self.mass), (count,))
        else:
            arrays["mass"] = self.mass
        for prefix, array in (("", self.position), ("v", self.velocity)):
            if array is not None:
                for i in range(array.shape[1]):
                    arrays[prefix + AXES[i]] = array[:, i]
        if self.potential is not None:
            arrays["potential"] = self.potential
        return arrays


def _expect(name: str, array: Any, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise SetupError(f"Particles.{name}.shape", array.shape, f"is not {shape}, one entry an id")


# Cells of an unstructured mesh by global id: their order and their ranks do not matter.


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
        shape = tuple(int(n) for n in array_shape)
        if shape != self.ids.shape:
            raise SetupError(
                f"fields[{name!r}].shape", shape, f"is not {self.ids.shape}, one value an id"
            )
        return (0,), shape

    def interior(self, array: Anything) -> Anything:
        """The array itself: there are no ghost layers."""
        return array


def _array(argument: str, value: Any) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise SetupError(argument, type(value).__name__, f"is no array: {error}") from None


# Several components in one array: a vector or tensor field beside the axes of its grid.


@dataclass(frozen=True, eq=False)
class Components:
    """One array whose leading, trailing or inner axes count components; stands for a field.

    Each component becomes a field of its own, a view of the array: it has its own extrema,
    digests and tiles, and expressions call it by its name.

    Parameters
    ----------
    array : ndarray, or array of another library
        The axes of the grid, ghost layers included, and the axes of the components.
    axis : int or sequence of int
        Which axes count components: 0 for ``U[4, nx, ny]``, -1 for ``B[nx, ny, 3]``, (0, 1) for
        ``T[3, 3, nx, ny]``.
    names : sequence of str, optional
        The name of each component, in C order over their axes. Without it, those of a field
        ``B`` are ``B_0``, ``B_1``, ..., and of a tensor ``T_0_0``, ``T_0_1``, ...

    Raises
    ------
    SetupError
        If the array has no such axes, or not as many components as names.

    Examples
    --------
    >>> import numpy as np
    >>> U = np.zeros((4, 16, 16))
    >>> [name for name, _ in Components(U, 0, ("rho", "mx", "my", "E")).parts("U")]
    ['rho', 'mx', 'my', 'E']
    >>> [(name, part.shape) for name, part in Components(np.zeros((16, 8, 2)), -1).parts("B")]
    [('B_0', (16, 8)), ('B_1', (16, 8))]
    """

    array: Any
    axis: int | Sequence[int] = 0
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        shape = getattr(self.array, "shape", None)
        if shape is None:
            raise SetupError("Components.array", type(self.array).__name__, "is not an array")
        counted = tuple(axis % len(shape) for axis in self._checked_axes(shape))
        if not counted or len(set(counted)) != len(counted):
            raise SetupError("Components.axis", self.axis, "does not name each axis once")
        object.__setattr__(self, "axis", counted)
        if self.names is None:
            return
        if isinstance(self.names, str) or not isinstance(self.names, Iterable):
            problem = "is one string" if isinstance(self.names, str) else "is no sequence of names"
            raise SetupError("Components.names", self.names, problem, mend="Give a tuple of names.")
        object.__setattr__(self, "names", tuple(self.names))
        count = prod(int(shape[axis]) for axis in counted)
        if len(self.names) != count:
            problem = f"has {len(self.names)} names for {count} components"
            raise SetupError("Components.names", self.names, problem)

    def _checked_axes(self, shape: Sequence[int]) -> list[int]:
        entries: Any = self.axis
        if whole_number(entries) is not None or not isinstance(entries, Iterable):
            entries = (entries,)
        axes = []
        for axis in map(whole_number, entries):
            if axis is None:
                raise SetupError(
                    "Components.axis",
                    self.axis,
                    "is not made of whole numbers",
                    mend="Write axis=0, or a tuple of axes.",
                )
            if not -len(shape) <= axis < len(shape):
                problem = f"is no axis of an array of shape {tuple(shape)}"
                raise SetupError("Components.axis", self.axis, problem)
            axes.append(axis)
        return axes

    def parts(self, field: str, array: Any = None) -> Iterator[tuple[str, Any]]:
        """Name and view of each component of the field called `field`.

        `array` is what is cut up in place of the component's own array: a view of it.
        """
        array = self.array if array is None else array
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        everything = itertools.product(*(range(int(array.shape[axis])) for axis in axes))
        for number, place in enumerate(everything):
            cut: list[slice | int] = [slice(None)] * len(array.shape)
            for axis, i in zip(axes, place, strict=True):
                cut[axis] = i
            name = "_".join((field, *map(str, place))) if self.names is None else self.names[number]
            yield name, array[tuple(cut)]
