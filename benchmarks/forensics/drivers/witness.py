"""What really happened: each step's arrays, written beside the record and unknown to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from state import State, rank


class Witness:
    """Keeps this rank's arrays at each step, and writes them at the end as one file.

    Parameters
    ----------
    folder : path
        Where ``START-RANK.npz`` goes.
    start : int
        The step that this job starts from.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self._folder, self._first = folder, start
        self._steps: list[int] = []
        self._kept: dict[str, list[NDArray[np.generic]]] = {}
        self._state: State | None = None

    def note(self, state: State) -> None:
        """Copy the state."""
        self._state = state
        self._steps.append(state.step)
        for name, array in state.arrays.items():
            self._kept.setdefault(name, []).append(np.array(array))

    def close(self) -> None:
        """Write what was kept; also after an exception."""
        if self._state is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"field.{name}": np.stack(kept) for name, kept in self._kept.items()}
        np.savez(
            self._folder / f"{self._first}-{rank()}.npz",
            steps=np.array(self._steps),
            start=np.array(self._state.start),
            global_shape=np.array(self._state.global_shape),
            **arrays,  # type: ignore[arg-type]
        )
