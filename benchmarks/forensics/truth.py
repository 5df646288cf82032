"""What really happened to two programs, from their own arrays and no record of simckpt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Box: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Part:
    """What one rank of one job wrote down."""

    job: int
    rank: int
    start: tuple[int, ...]
    global_shape: tuple[int, ...]
    steps: list[int]
    fields: dict[str, Array]

    @property
    def box(self) -> Box:
        """The half-open global index range of its cells along each axis."""
        shape = next(iter(self.fields.values())).shape[1:]
        return tuple((s, s + n) for s, n in zip(self.start, shape, strict=True))


@dataclass(frozen=True)
class Spread:
    """The box of cells that each rank held."""

    boxes: dict[int, Box]

    def ranks(self, bounds: Box) -> tuple[int, ...]:
        """The ranks that held a cell inside these bounds."""
        return tuple(
            sorted(
                rank
                for rank, box in self.boxes.items()
                if all(
                    low < end and start < high
                    for (low, high), (start, end) in zip(bounds, box, strict=True)
                )
            )
        )


class Account:
    """The arrays of a run at each step, put together from its ranks and jobs."""

    def __init__(self, folder: Path) -> None:
        self.parts = [_part(path) for path in sorted(folder.glob("*.npz"))]
        if not self.parts:
            raise FileNotFoundError(f"no witness in {folder}")

    @cached_property
    def steps(self) -> frozenset[int]:
        return frozenset(step for part in self.parts for step in part.steps)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.parts[0].fields)

    def array(self, name: str, step: int) -> Array:
        """The whole field; where two jobs made a step, the later one counts."""
        job = max(p.job for p in self.parts if step in p.steps)
        parts = [p for p in self.parts if p.job == job]
        one = parts[0].fields[name]
        found = np.empty(parts[0].global_shape, one.dtype)
        for part in parts:
            values = part.fields[name][part.steps.index(step)]
            sides = zip(part.start, values.shape, strict=True)
            found[tuple(slice(s, s + n) for s, n in sides)] = values
        return found

    def spread(self, step: int) -> Spread:
        """Which rank held which cells at a step."""
        job = max(p.job for p in self.parts if step in p.steps)
        return Spread({p.rank: p.box for p in self.parts if p.job == job})


@dataclass(frozen=True)
class Truth:
    """Where two runs really part.

    `step` is the first of the steps compared at which an array differs in any bit, None if there
    is none; `cells` maps each field that differs then to the cells that do. `comparable` is False
    for runs whose arrays are of different shapes.
    """

    step: int | None
    cells: dict[str, NDArray[np.bool_]]
    comparable: bool = True


def truth(a: Account, b: Account, steps: Iterable[int]) -> Truth:
    """Compare two runs at these steps, bit for bit."""
    for step in sorted(set(steps) & a.steps & b.steps):
        cells = {}
        for name in a.fields:
            one, two = a.array(name, step), b.array(name, step)
            if one.shape != two.shape:
                return Truth(step, {}, comparable=False)
            differs = _differs(one, two)
            if differs.any():
                cells[name] = differs
        if cells:
            return Truth(step, cells)
    return Truth(None, {})


def _differs(one: Array, two: Array) -> NDArray[np.bool_]:
    if one.dtype != two.dtype:
        return np.ones(one.shape, bool)
    as_bytes = [np.ascontiguousarray(x)[..., None].view(np.uint8) for x in (one, two)]
    found: NDArray[np.bool_] = (as_bytes[0] != as_bytes[1]).any(axis=-1)
    return found


def _part(path: Path) -> Part:
    job, _, rank = path.stem.partition("-")
    with np.load(path) as kept:
        return Part(
            job=int(job),
            rank=int(rank),
            start=tuple(int(n) for n in kept["start"]),
            global_shape=tuple(int(n) for n in kept["global_shape"]),
            steps=[int(n) for n in kept["steps"]],
            fields={
                n.removeprefix("field."): kept[n] for n in kept.files if n.startswith("field.")
            },
        )
