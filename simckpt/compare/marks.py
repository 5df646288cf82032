"""Runs told apart at a glance: one number for the state at each sample.

Of thousands of runs, each with each, hardly any pair needs a whole comparison. Where two runs
measure the same things in the same way, equal marks throughout mean interchangeable records, and
the first common step at which the marks differ is the first at which the states do. Anything
else (a NaN, which equals nothing; a failed diagnostic; other fields or columns) gets no mark and
is compared in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import blake3
import numpy as np

from .held import Held
from .view import Floats, Ints, Words
from .where.quantities import STATE, columns
from .where.steps import common_rows, rising
from .why.facts import ending

BLOCK_BYTES = 1 << 21
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells a run from others.

    Parameters
    ----------
    measured : tuple
        What it measures and how it ended; only runs that share this can be told by marks.
    steps, states : arrays
        The steps of its samples, and one number for the state at each.
    whole : bytes
        A hash of all samples, whatever they measure.
    """

    measured: tuple[object, ...]
    steps: Ints
    states: Words
    whole: bytes


def mark(run: Held) -> Mark | None:
    """The mark of a run, or None if only a whole comparison can judge it."""
    series, known, segments = run.series(), columns(run), run.segments
    if not run.fields or not rising(series.step) or np.asarray(series.faults).any():
        return None
    if len(segments) != 1:
        return None
    states = np.zeros(len(series.step), np.uint64)
    whole, absent = blake3.blake3(series.step.tobytes()), []
    for name in ("t", *known):
        values = series.t if name == "t" else series[name]
        missing = np.isnan(values)
        if missing.any() and not missing.all():
            return None
        absent.append(bool(missing.any()))
        bits = _bits(values)
        whole.update(bits.tobytes())
        if name != "t" and known[name].kind in STATE and known[name].exact:
            states = _mixed(states, bits)
    tiles: list[object] = []
    for field in run.fields:
        digests = run.digests(field)
        if not np.array_equal(digests.step, series.step):
            return None
        tiles.append(digests.tiles)
        rows = max(1, BLOCK_BYTES // (8 * max(1, digests.tiles.size)))
        for start in range(0, len(series.step), rows):
            part = slice(start, min(start + rows, len(series.step)))
            words = digests.rows(part.start, part.stop).reshape(part.stop - part.start, -1)
            whole.update(np.ascontiguousarray(words).tobytes())
            weights = _mixed(np.arange(1, words.shape[1] + 1, dtype=np.uint64), _ODD)
            states[part] = _mixed(states[part], (_stirred(words) * weights).sum(axis=1))
    return Mark(
        measured=(
            tuple(tiles),
            tuple((c.name, c.kind, c.exact) for c in known.values()),
            tuple(absent),
            ending(segments[0]),
        ),
        steps=series.step,
        states=states,
        whole=whole.digest(),
    )


def told_apart(a: Mark | None, b: Mark | None) -> Literal["same", "unknown"] | int:
    """``same``, the first common step at which two runs differ, or ``unknown``."""
    if a is None or b is None or a.measured != b.measured:
        return "unknown"
    if a.whole == b.whole:
        return "same"
    one, two = common_rows(a.steps, b.steps)
    differs = a.states[one] != b.states[two]
    return int(a.steps[one][int(np.argmax(differs))]) if differs.any() else "unknown"


def _bits(values: Floats) -> Words:
    return np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)


def _mixed(states: Words, more: Words | np.uint64) -> Words:
    return _stirred(states * _ODD + more)


def _stirred(words: Words) -> Words:
    """The finaliser of MurmurHash3, a permutation of 64-bit words."""
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return words ^ (words >> np.uint64(33))
