"""Which samples of two runs speak of the same sample time.

By step (the default) two samples belong together when their step numbers are equal; by time,
when their simulated times are; by label, when they lie at checkpoints of the same label. With
an adaptive time step hardly any times are equal: then run B is interpolated linearly to the
times of run A in between, and each interpolated number carries the uncertainty that the second
difference of its neighbours gives. Digests cannot be interpolated, so they are compared only
where times are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from ..errors import SetupError
from ..model.record import Record
from .run_view import DigestView, Floats, Ints, Mask, RunView, SeriesView

# Rows by step number.
#
# `numpy.unique` would do, but its first call imports `numpy.ma`, a fifth of a second on a busy
# machine that every comparison would pay.


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
    rows: Ints = order[final].astype(np.int64)
    return rows


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
    present = (at >= 0) & (ordered[np.maximum(at, 0)] == steps)
    return np.where(present, order[np.maximum(at, 0)], -1)


By: TypeAlias = Literal["step", "time", "label"]

HAIR = 1e-9
"""Times closer than this part of the interval between two samples are the same sample time."""

ENOUGH = 0.25
"""Part of the shorter run's samples that must have a counterpart for nothing to be interpolated."""

_NONE = np.empty(0, dtype=np.int64)


class Unmatched(Record, frozen=True, kw_only=True):
    """Samples of one run without a counterpart: how many, in which steps, how many at its end."""

    samples: int = 0
    first: int | None = None
    last: int | None = None
    tail: int = 0


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of sample times: row ``rows_a[i]`` of A belongs to row ``rows_b[i]`` of B.

    Where ``weight[i] > 0`` the moment lies that far on the way from ``rows_b[i]`` to the row
    after it, and B must be interpolated.
    """

    by: By
    rows_a: Ints
    rows_b: Ints
    weight: Floats
    steps_a: Ints
    steps_b: Ints
    t: Floats
    times_b: Floats
    only_a: Unmatched
    only_b: Unmatched
    labels: tuple[str, ...] = ()
    labels_a: tuple[str, ...] = ()
    labels_b: tuple[str, ...] = ()
    problem: str = ""
    interpolated: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interpolated", int(np.count_nonzero(self.weight)))

    def __len__(self) -> int:
        return len(self.rows_a)

    @property
    def exact(self) -> Mask:
        """Moments at which both runs have a sample."""
        mask: Mask = self.weight == 0.0
        return mask

    def pair(self, a: Floats, b: Floats) -> tuple[Floats, Floats, Floats | float]:
        """The values of a quantity of A and of B at each pair, and the uncertainty of B's."""
        if not self.interpolated:
            return a[self.rows_a], b[self.rows_b], 0.0
        at, slack = _interpolate(self.times_b, b, self.rows_b, self.weight)
        return a[self.rows_a], at, slack


def align(a: RunView, b: RunView, by: By = "step") -> Alignment:
    """Pair the samples of two runs.

    Raises
    ------
    SetupError
        If `by` is none of the three ways.
    """
    ways: dict[str, Callable[[RunView, RunView], Alignment]] = {
        "step": _by_step,
        "time": _by_time,
        "label": _by_label,
    }
    if by not in ways:
        raise SetupError("by", by, "is not a way to align two runs", choices=ways)
    return ways[by](a, b)


def _by_step(a: RunView, b: RunView) -> Alignment:
    one, two = a.series(), b.series()
    rows_a, rows_b = common_rows(one.step, two.step)
    problem = "" if len(rows_a) else _nothing_common(one, two, "sample at the same step")
    return _alignment("step", one, two, rows_a, rows_b, problem=problem)


def _by_time(a: RunView, b: RunView) -> Alignment:
    one, two = a.series(), b.series()
    order_a, order_b = _ordered(one.t), _ordered(two.t)
    ta, tb = one.t[order_a], two.t[order_b]
    if not len(ta) or not len(tb):
        problem = _nothing_common(one, two, "times")
        return _alignment("time", one, two, _NONE, _NONE, problem=problem)
    inside = (ta >= tb[0]) & (ta <= tb[-1])
    ta, order_a = ta[inside], order_a[inside]
    lower = np.clip(np.searchsorted(tb, ta, side="right") - 1, 0, len(tb) - 1)
    upper = np.minimum(lower + 1, len(tb) - 1)
    gap = tb[upper] - tb[lower]
    weight = np.divide(ta - tb[lower], gap, out=np.zeros(len(ta)), where=gap > 0)
    # Sums of time steps round differently from multiples of one: a hair apart is the same time.
    lower = np.where(weight > 1.0 - HAIR, upper, lower)
    weight = np.where((weight < HAIR) | (weight > 1.0 - HAIR), 0.0, weight)
    shared = weight == 0.0
    if np.count_nonzero(shared) >= ENOUGH * min(len(ta), len(tb)):
        # Enough sample times need no interpolation; the rest is a matter of cadence.
        order_a, lower, weight = order_a[shared], lower[shared], weight[shared]
    problem = "" if len(ta) else _nothing_common(one, two, "time in common")
    # Interpolation works on rows in order of time, which is the order of the effective series.
    return _alignment("time", one, two, order_a, order_b[lower], weight=weight, problem=problem)


def _by_label(a: RunView, b: RunView) -> Alignment:
    one, two = a.series(), b.series()
    steps_a, steps_b = _label_steps(a), _label_steps(b)
    common = [label for label in steps_a if label in steps_b]
    at_a = {int(step): row for row, step in enumerate(one.step)}
    at_b = {int(step): row for row, step in enumerate(two.step)}
    labels = [n for n in common if steps_a[n] in at_a and steps_b[n] in at_b]
    rows_a = np.array([at_a[steps_a[n]] for n in labels], dtype=np.int64)
    rows_b = np.array([at_b[steps_b[n]] for n in labels], dtype=np.int64)
    order = np.argsort(one.step[rows_a], kind="stable")
    return _alignment(
        "label",
        one,
        two,
        rows_a[order],
        rows_b[order],
        problem="" if labels else _nothing_common(one, two, "sample at a checkpoint of one label"),
        labels=tuple(labels[i] for i in order),
        labels_a=tuple(n for n in steps_a if n not in labels),
        labels_b=tuple(n for n in steps_b if n not in labels),
    )


def _alignment(
    by: By,
    one: SeriesView,
    two: SeriesView,
    rows_a: Ints,
    rows_b: Ints,
    *,
    weight: Floats | None = None,
    problem: str = "",
    labels: tuple[str, ...] = (),
    labels_a: tuple[str, ...] = (),
    labels_b: tuple[str, ...] = (),
) -> Alignment:
    if weight is None:
        weight = np.zeros(len(rows_a))
    used_b = np.concatenate([rows_b, rows_b[weight > 0] + 1])
    labelled = by == "label"
    return Alignment(
        by=by,
        rows_a=rows_a,
        rows_b=rows_b,
        weight=weight,
        steps_a=one.step[rows_a],
        steps_b=two.step[rows_b],
        t=one.t[rows_a],
        times_b=two.t,
        only_a=Unmatched() if labelled else _unmatched(one.step, rows_a),
        only_b=Unmatched() if labelled else _unmatched(two.step, used_b),
        labels=labels,
        labels_a=labels_a,
        labels_b=labels_b,
        problem=problem,
    )


def _nothing_common(one: SeriesView, two: SeriesView, what: str) -> str:
    empty = [name for name, series in (("A", one), ("B", two)) if not len(series.step)]
    if empty:
        return f"{' and '.join(empty)} {'have' if len(empty) > 1 else 'has'} no samples"
    return f"the runs have no {what}"


def _unmatched(steps: Ints, used: Ints) -> Unmatched:
    unmatched = np.ones(len(steps), dtype=bool)
    unmatched[used] = False
    counted = np.zeros(len(steps), dtype=bool)
    counted[last_rows(steps)] = True
    unmatched &= counted
    missing = steps[unmatched]
    if not len(missing):
        return Unmatched()
    end = steps[used].max() if len(used) else np.iinfo(np.int64).min
    return Unmatched(
        samples=len(missing),
        first=int(missing.min()),
        last=int(missing.max()),
        tail=int(np.count_nonzero(missing > end)),
    )


def _ordered(t: Floats) -> Ints:
    """Rows whose times rise; rows without a finite time, or that go back, are left out."""
    rows = np.flatnonzero(np.isfinite(t))
    if not len(rows):
        return rows
    highest = np.maximum.accumulate(t[rows])
    rising = np.ones(len(rows), dtype=bool)
    rising[1:] = t[rows][1:] > highest[:-1]
    return rows[rising]


def _label_steps(run: RunView) -> dict[str, int]:
    """The step of the state at each label's last checkpoint."""
    return {
        c.label: c.state.step if c.state is not None else c.step for c in run.checkpoints if c.label
    }


def _interpolate(t: Floats, values: Floats, lower: Ints, weight: Floats) -> tuple[Floats, Floats]:
    """Values on the way from row `lower` to the next, and how uncertain they are.

    The error of linear interpolation is ``f''/2 * (t - t0) * (t1 - t)``; the second divided
    differences on both sides estimate ``f''/2``, and twice the larger one is taken.
    """
    last = len(values) - 1
    upper = np.minimum(lower + 1, last)
    exact = weight == 0.0
    with np.errstate(invalid="ignore"):
        at = np.where(
            exact, values[lower], values[lower] + weight * (values[upper] - values[lower])
        )
    if len(values) < 3:
        return at, np.where(exact, 0.0, np.abs(values[upper] - values[lower]))
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.diff(values) / np.diff(t)
        bend = np.abs(np.diff(slope) / (t[2:] - t[:-2]))
    bend = np.where(np.isfinite(bend), bend, 0.0)
    before = bend[np.clip(lower - 1, 0, len(bend) - 1)]
    after = bend[np.clip(lower, 0, len(bend) - 1)]
    span = weight * (1.0 - weight) * (t[upper] - t[lower]) ** 2
    return at, np.where(exact, 0.0, 2.0 * np.maximum(before, after) * span)
