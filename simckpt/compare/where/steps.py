"""Rows by step number.

`numpy.unique` would do, but its first call imports `numpy.ma`, a fifth of a second on a busy
machine that every comparison would pay.
"""

from __future__ import annotations

import numpy as np

from ..view import DigestView, Ints


def rising(steps: Ints) -> bool:
    """Whether each step is larger than the one before."""
    return len(steps) < 2 or bool(np.all(steps[1:] > steps[:-1]))


def last_rows(steps: Ints) -> Ints:
    """Rows in order of step; of rows at the same step, only the last one."""
    if rising(steps):
        return np.arange(len(steps), dtype=np.int64)
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    final = np.append(ordered[1:] != ordered[:-1], True)
    found: Ints = order[final].astype(np.int64)
    return found


def common_rows(one: Ints, two: Ints) -> tuple[Ints, Ints]:
    """The rows of both at the steps that both have, in order of step."""
    if np.array_equal(one, two) and rising(one):
        rows: Ints = np.arange(len(one), dtype=np.int64)
        return rows, rows
    rows_one, rows_two = last_rows(one), last_rows(two)
    _, i, j = np.intersect1d(one[rows_one], two[rows_two], assume_unique=True, return_indices=True)
    return rows_one[i], rows_two[j]


def digest_rows(view: DigestView, steps: Ints) -> Ints:
    """The row of each step among the digests, -1 where there is none."""
    if len(view.step) == 0:
        return np.full(len(steps), -1, dtype=np.int64)
    if np.array_equal(view.step, steps) and rising(steps):
        return np.arange(len(steps), dtype=np.int64)
    if rising(view.step):
        order, ordered = np.arange(len(view.step)), view.step
    else:
        order = np.argsort(view.step, kind="stable")
        ordered = view.step[order]
    at = np.searchsorted(ordered, steps, side="right") - 1
    there = (at >= 0) & (ordered[np.maximum(at, 0)] == steps)
    return np.where(there, order[np.maximum(at, 0)], -1)
