"""Particles by global id: which rank holds which, and in what order, does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SetupError
from ..given import real_number, whole_number

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
        found: dict[str, NDArray[Any]] = {}
        if isinstance(self.mass, float):
            found["mass"] = np.broadcast_to(np.float64(self.mass), (count,))
        else:
            found["mass"] = self.mass
        for prefix, array in (("", self.position), ("v", self.velocity)):
            if array is not None:
                for i in range(array.shape[1]):
                    found[prefix + AXES[i]] = array[:, i]
        if self.potential is not None:
            found["potential"] = self.potential
        return found


def _expect(name: str, array: Any, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise SetupError(f"Particles.{name}.shape", array.shape, f"is not {shape}, one entry an id")
