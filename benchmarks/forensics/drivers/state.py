"""The state of a program as its own arrays, found by what the program declares to the recorder."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class State:
    """This rank's cells, without ghost layers, after step number `step`; views, no copies."""

    def __init__(self, declared: dict[str, Any], arguments: tuple[Any, ...], step: int) -> None:
        self.step = step
        self.arguments = arguments
        self.start: tuple[int, ...] = ()
        self.global_shape: tuple[int, ...] = ()
        self.arrays: dict[str, Array] = {}
        if declared.get("fields") is not None:
            grid = _value(declared["grid"], arguments)
            self.start, self.global_shape = tuple(grid.start), tuple(grid.global_shape)
            fields = _value(declared["fields"], arguments)
            self.arrays = {name: grid.interior(array) for name, array in fields.items()}
        if declared.get("particles") is not None:
            particles = _value(declared["particles"], arguments)
            for axis, name in enumerate("xyz"):
                self.arrays[f"particles.{name}"] = particles.position[:, axis]
                self.arrays[f"particles.v{name}"] = particles.velocity[:, axis]
            self.arrays["particles.potential"] = particles.potential
            self.start, self.global_shape = (0,), (len(particles.ids),)

    def cell(self, name: str, index: tuple[int, ...]) -> Array | None:
        """A view of one cell by its global index; None on the ranks that do not hold it."""
        array = self.arrays[name]
        local = [i - s for i, s in zip(index, self.start, strict=True)]
        if any(not 0 <= i < n for i, n in zip(local, array.shape, strict=True)):
            return None
        return array[tuple(slice(i, i + 1) for i in local)]


def _value(source: Any, arguments: tuple[Any, ...]) -> Any:
    if not callable(source):
        return source
    wanted = source.__code__.co_argcount
    return source(*arguments[:wanted])


def rank() -> int:
    """This process's rank; 0 where there is no MPI."""
    mpi: Any = sys.modules.get("mpi4py.MPI")
    return int(mpi.COMM_WORLD.rank) if mpi is not None else 0


def save(flow: Any, stop: dict[str, Any]) -> None:
    """A restart file for each rank: in the precision, and without the entries, that are told."""
    kept = flow.state() if hasattr(flow, "state") else {"U": flow.U, "t": flow.t, "step": flow.step}
    precision = stop.get("precision", "float64")
    np.savez(
        restart_file(),
        **{
            name: value.astype(precision) if isinstance(value, np.ndarray) else value
            for name, value in kept.items()
            if name not in stop.get("without", ())
        },
    )


def restart_file() -> Path:
    """Where this rank's restart file is."""
    return Path(f"restart-{rank()}.npz")


def load_flow(module: ModuleType) -> None:
    """Let the flow of a continued run begin from its restart file."""

    class Restarted(module.Flow):  # type: ignore[name-defined, misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            with np.load(restart_file()) as kept:
                self.U[...] = kept["U"]
                self.t, self.step = float(kept["t"]), int(kept["step"])

    module.Flow = Restarted
