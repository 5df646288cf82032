"""Ranks in one process: each probe measures its part, and the messages are added up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from simckpt import Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.reduced_sample import ReducedSample
from simckpt.diagnostics.state import State


@dataclass
class Ranks:
    """Probes that have agreed, one a rank."""

    probes: list[RankSampler]

    def sample(self, states: Sequence[State]) -> ReducedSample:
        """The reading of one sample, as rank 0 would have it."""
        messages = [p.measure(s) for p, s in zip(self.probes, states, strict=True)]
        return self.finish(messages)

    def finish(self, messages: Sequence[tuple[Any, Any]]) -> ReducedSample:
        """The reading of added-up messages, added in the order given."""
        sums, maxima = (array.copy() for array in messages[0])
        for more, other in messages[1:]:
            sums += more
            take = (other["value"] > maxima["value"]) | (
                (other["value"] == maxima["value"]) & (other["place"] < maxima["place"])
            )
            maxima[take] = other[take]
        return self.probes[0].finish(sums, maxima)


def agree(declarations: Declarations, states: Sequence[State]) -> Ranks:
    """Probes for these first states; raises what every rank would raise."""
    probes = [RankSampler(declarations, rank) for rank in range(len(states))]
    offers = [p.local_spec(s) for p, s in zip(probes, states, strict=True)]
    for probe in probes:
        probe.agree(offers)
    return Ranks(probes)


def sample(declarations: Declarations, states: Sequence[State]) -> ReducedSample:
    """Agree and take one sample, which must be sound."""
    ranks = agree(declarations, states)
    reading = ranks.sample(states)
    assert [str(f) for p in ranks.probes for f in p.faults] == []
    return reading


def boxes(
    shape: Sequence[int], parts: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Start and slices of each box of a decomposition into ``prod(parts)`` boxes."""
    cuts = [
        [(i * n // k, (i + 1) * n // k) for i in range(k)]
        for n, k in zip(shape, parts, strict=True)
    ]
    for box in itertools.product(*cuts):
        yield tuple(a for a, _ in box), tuple(slice(a, b) for a, b in box)


def decomposed(
    fields: Mapping[str, np.ndarray[Any, Any]],
    parts: Sequence[int],
    *,
    order: Any = "C",
    ghost: int = 0,
    spacing: Any = 1.0,
    **state: Any,
) -> list[State]:
    """The states of all ranks that hold `fields` in boxes, with ghost layers full of rubbish."""
    shape = next(iter(fields.values())).shape
    states = []
    for start, box in boxes(shape, parts):
        local = {}
        for name, field in fields.items():
            inner = field[box]
            array = np.full([n + 2 * ghost for n in inner.shape], 77, field.dtype, order=order)
            array[tuple(slice(ghost, ghost + n) for n in inner.shape)] = inner
            local[name] = array
        states.append(State(Grid(shape, spacing, start, ghost), local, **state))
    return states


def exact_sum(values: Any) -> Fraction:
    """The exact sum of finite numbers, in plain Python."""
    return sum((Fraction(v) for v in np.ravel(values).tolist()), Fraction(0))


def bits_of(reading: ReducedSample) -> bytes:
    """Every bit of a reading."""
    tiles = b"".join(
        t.minimum.tobytes() + t.maximum.tobytes() + t.mean.tobytes() for t in reading.tiles.values()
    )
    return reading.values.tobytes() + reading.digests.tobytes() + tiles


@pytest.fixture(scope="session")
def ranks() -> Any:
    """The functions of this file: tests under importlib mode cannot import it."""
    import types

    return types.SimpleNamespace(
        agree=agree,
        sample=sample,
        boxes=boxes,
        decomposed=decomposed,
        exact_sum=exact_sum,
        bits_of=bits_of,
    )
