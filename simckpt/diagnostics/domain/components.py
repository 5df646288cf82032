"""Several components in one array: a vector or tensor field beside the axes of its grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ...errors import SetupError
from ..given import whole_number


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
        given: Any = self.axis
        if whole_number(given) is not None or not isinstance(given, Iterable):
            given = (given,)
        axes = []
        for axis in map(whole_number, given):
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
