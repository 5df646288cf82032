"""The health of one run by itself: drifts, Courant number, first non-finite value, faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from ..model.record import Record
from ..model.series import Column, FieldTiles
from .held import held
from .quantities import STATE, columns
from .run_view import Floats, Ints, RunView, SeriesView
from .scales import Extrema, extrema, extrema_of, largest_size, measures, names_in, scales, summary

# What a budget leaves unexplained: how well a run accounts for what it moves.


class Unexplained(Record, frozen=True, kw_only=True):
    """The largest residual of a budget, by itself and relative to the budget's scale, and where."""

    name: str
    value: float
    relative: float | None
    step: int


def unexplained(
    series: SeriesView, columns: dict[str, Column], scale: dict[str, float]
) -> tuple[Unexplained, ...]:
    """The residual columns of every budget."""
    residuals = []
    for column in columns.values():
        budget = columns.get(column.of)
        if column.kind != "residual" or budget is None or budget.kind != "budget":
            continue
        sizes = np.abs(series[column.name])
        if not np.isfinite(sizes).any():
            continue
        at = int(np.argmax(np.where(np.isfinite(sizes), sizes, -1.0)))
        size = scale[budget.name]
        residuals.append(
            Unexplained(
                name=column.name,
                value=float(sizes[at]),
                relative=float(sizes[at]) / size if size > 0 else None,
                step=int(series.step[at]),
            )
        )
    return tuple(residuals)


# Integrals that may change in one direction alone, and where they went the other way.
#
# An entropy that must decrease is declared ``Conserved("...", monotone="decreasing")``. Rounding
# moves it both ways all the same, and a steady state nothing else. So what counts is its distance
# from the extreme that it had reached, and only beyond `ALLOWED` units of rounding of its scale:
# 2.3e-13 of it for float64 fields, 1.2e-4 for float32. In 20,000 steps of explicit schemes for
# heat conduction and Burgers' equation rounding moved the integral of the square by at most 14.
#
# The scale is what the magnitudes of the contributions add up to, as far as the samples so far
# tell: at least the largest magnitude of the integral. That may be the small rest of large
# contributions, as the entropy of a gas whose reference state is the initial one. So for a field
# it is the bound that its extrema give, and for an expression at least the domain's volume times
# the largest value of the smallest field in it.


ALLOWED = 1024
"""Units of rounding of the scale by which a quantity may go the wrong way."""


class Reversal(Record, frozen=True, kw_only=True):
    """An integral that went the wrong way.

    Parameters
    ----------
    name : str
        Its column.
    declared : str
        The direction in which alone it may change.
    step, value : int, float
        Where it was farthest from what it had reached.
    from_step, reached : int, float
        What it had reached, and where.
    relative : float
        The distance over the scale.
    first_step, samples : int
        The first sample beyond the allowance, and how many there are.
    """

    name: str
    declared: Literal["increasing", "decreasing"]
    step: int
    value: float
    from_step: int
    reached: float
    relative: float
    first_step: int
    samples: int

    @property
    def text(self) -> str:
        """What happened, as a clause."""
        moved = "rose" if self.declared == "decreasing" else "fell"
        return (
            f"{self.name}, declared as {self.declared}, {moved} from {self.reached:.9g} at step "
            f"{self.from_step} to {self.value:.9g} at step {self.step}, by {self.relative:.2g} "
            "of its scale"
        )


def monotone_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Those that were declared to change in one direction alone."""
    return tuple(column for column in columns if column.monotone)


def rounding(tiles: Iterable[FieldTiles]) -> float:
    """The unit of rounding of the least precise floating type among the fields."""
    kinds = [np.dtype(t.dtype) for t in tiles]
    return max((float(np.finfo(k).eps) for k in kinds if k.kind in "fc"), default=2.0**-52)


class Scale:
    """What an integral's rounding errors are relative to.

    It is worked out from the extremes that some columns have reached, so that it is the same
    while the run goes on and after it.

    Parameters
    ----------
    column : Column
        The integral.
    columns : mapping of str to Column
        All columns of the samples.

    Attributes
    ----------
    needs : tuple of str
        The columns whose extremes must be known.
    """

    def __init__(self, column: Column, columns: Mapping[str, Column]) -> None:
        self._name = column.name
        self._of_field = extrema(column, columns)
        self._fields: tuple[Extrema, ...] = ()
        if self._of_field is None:
            ends = (extrema_of(name, columns) for name in sorted(names_in(column)))
            self._fields = tuple(end for end in ends if end is not None)
        used = self._fields if self._of_field is None else (self._of_field,)
        self.needs = (column.name, *(n for end in used for part in end for n in part))

    def within(
        self, lowest: Mapping[str, Floats], highest: Mapping[str, Floats], measure: float
    ) -> Floats:
        """The scale, where each column lies between these values (NaN: it has none yet)."""
        ends = lowest[self._name], highest[self._name]
        scale: Floats = np.fmax(_size(ends[0]), _size(ends[1]))
        if self._of_field is not None:
            least = np.fmin.reduce([lowest[n] for n in self._of_field.minima])
            greatest = np.fmax.reduce([highest[n] for n in self._of_field.maxima])
            for end in ends:
                scale = np.fmax(scale, largest_size(end, least, greatest, measure))
        elif self._fields and measure:
            sizes = [
                np.maximum.reduce(
                    [
                        *(_size(lowest[n]) for n in end.minima),
                        *(_size(highest[n]) for n in end.maxima),
                    ]
                )
                for end in self._fields
            ]
            scale = np.fmax(scale, measure * np.minimum.reduce(sizes))
        return scale


def reversals(series: SeriesView, columns: dict[str, Column], unit: float) -> tuple[Reversal, ...]:
    """The integrals that went the wrong way in a run; `unit` is that of rounding."""
    results = (_reversal(c, series, columns, unit) for c in monotone_columns(columns.values()))
    return tuple(reversal for reversal in results if reversal is not None)


def _reversal(
    column: Column, series: SeriesView, columns: dict[str, Column], unit: float
) -> Reversal | None:
    values = series[column.name]
    if not len(values) or column.monotone == "":
        return None
    falling = values if column.monotone == "decreasing" else -values
    falling = np.where(np.isfinite(falling), falling, np.inf)
    reached = np.minimum.accumulate(falling)
    scale = _scale(column, series, columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = np.where(np.isfinite(falling), falling - reached, 0.0)
        relative = np.where(excess > 0, excess / scale, 0.0)
    wrong = np.flatnonzero(excess > ALLOWED * unit * scale)
    if not len(wrong):
        return None
    worst = int(wrong[np.argmax(relative[wrong])])
    start = int(np.argmin(falling[: worst + 1]))
    return Reversal(
        name=column.name,
        declared=column.monotone,
        step=int(series.step[worst]),
        value=float(values[worst]),
        from_step=int(series.step[start]),
        reached=float(values[start]),
        relative=float(relative[worst]),
        first_step=int(series.step[wrong[0]]),
        samples=len(wrong),
    )


def _scale(column: Column, series: SeriesView, columns: dict[str, Column]) -> Floats:
    """The scale at each sample, from all samples up to it."""
    scale = Scale(column, columns)
    values_of = {name: _finite(series[name]) for name in scale.needs}
    return scale.within(
        {name: np.fmin.accumulate(values) for name, values in values_of.items()},
        {name: np.fmax.accumulate(values) for name, values in values_of.items()},
        measures(series, columns)[column.name],
    )


def _finite(values: Floats) -> Floats:
    finite: Floats = np.where(np.isfinite(values), values, np.nan)
    return finite


def _size(values: Floats) -> Floats:
    sizes: Floats = np.where(np.isfinite(values), np.abs(values), 0.0)
    return sizes


NON_FINITE = (".nan", ".posinf", ".neginf")


class Drift(Record, frozen=True, kw_only=True):
    """How far a conserved integral moved from its first value, and from its last checkpoint's.

    `final` and `largest` are relative to the integral's scale, `distance` is the largest drift
    itself; `largest_step` is where that is. `since_checkpoint` is the last sample's, relative to
    the same scale, from the checkpoint before it, at `checkpoint_step`;
    `largest_since_checkpoint` is the largest that any sample had, each from the checkpoint
    before it. All are None where the values are not finite, or there is no such checkpoint.
    """

    name: str
    first: float
    last: float
    final: float | None
    largest: float | None
    largest_step: int | None
    distance: float | None = None
    since_checkpoint: float | None = None
    checkpoint_step: int | None = None
    largest_since_checkpoint: float | None = None


class Peak(Record, frozen=True, kw_only=True):
    """The largest value of a stability metric, and where.

    `limit` is the largest it may be, if that was declared, and `passed_step` the first sample at
    which it was larger. `non_finite_from` is the sample from which on it is
    not finite, up to the end.
    """

    name: str
    value: float
    step: int
    limit: float | None = None
    passed_step: int | None = None
    non_finite_from: int | None = None


class Health(Record, frozen=True, kw_only=True):
    """What a run says about itself.

    Parameters
    ----------
    drifts : tuple of Drift
        One for each conserved integral that is not constant to the last bit.
    constant : tuple of str
        Conserved integrals that kept every bit.
    peaks : tuple of Peak
        Largest values of the stability metrics, such as the Courant number.
    non_finite : tuple of str
        Fields and quantities that turned non-finite, at step `non_finite_step`.
    faults : int
        Samples in which a diagnostic failed.
    warnings, errors : int
        Recorded events of these severities.
    reversals : tuple of Reversal
        Integrals that went the other way than was declared of them.
    unexplained : tuple of Unexplained
        The largest residuals of the budgets.
    anomalies : int
        Events in which the anomaly score spiked, the first at step `anomaly_step`.
    """

    drifts: tuple[Drift, ...] = ()
    constant: tuple[str, ...] = ()
    peaks: tuple[Peak, ...] = ()
    non_finite: tuple[str, ...] = ()
    non_finite_step: int | None = None
    faults: int = 0
    warnings: int = 0
    errors: int = 0
    reversals: tuple[Reversal, ...] = ()
    unexplained: tuple[Unexplained, ...] = ()
    anomalies: int = 0
    anomaly_step: int | None = None

    @property
    def sound(self) -> bool:
        """Whether all is finite, and nothing failed, passed its limit or went the wrong way."""
        passed = any(peak.passed_step is not None for peak in self.peaks)
        wrong = self.faults or self.errors or self.reversals or passed
        return self.non_finite_step is None and not wrong


def health(run: RunView) -> Health:
    """Judge a run by its own record."""
    run = held(run)
    series = run.series()
    by_name = columns(run)
    size = scales(series, by_name)
    before = _checkpoint_before(run)
    drifts, constant, peaks = [], [], []
    for column in by_name.values():
        if column.kind not in ("conserved", "stability") or not len(series.step):
            continue
        values = series[column.name]
        if column.kind == "conserved":
            drift = _drift(column.name, values, size[column.name], series.step, before)
            if drift is None:
                constant.append(column.name)
            else:
                drifts.append(drift)
        elif column.kind == "stability" and np.isfinite(values).any():
            peaks.append(_peak(column, values, series.step))
    names, step = _non_finite(run)
    severities = [e.severity for e in run.events]
    anomalies = [e.step for e in run.events if e.facts.get("rule") == "anomaly"]
    return Health(
        drifts=tuple(drifts),
        constant=tuple(constant),
        peaks=tuple(peaks),
        non_finite=names,
        non_finite_step=step,
        faults=int(np.count_nonzero(np.asarray(series.faults))),
        warnings=severities.count("warning"),
        errors=severities.count("error"),
        reversals=reversals(series, by_name, _unit(run)),
        unexplained=unexplained(series, by_name, size),
        anomalies=len(anomalies),
        anomaly_step=min(anomalies, default=None),
    )


def _unit(run: RunView) -> float:
    return rounding(t for view in run.segments if view.schema for t in view.schema.tiles)


def _checkpoint_before(run: RunView) -> Ints:
    """For each sample, the number of the sample that the checkpoint before it holds; -1: none.

    A checkpoint that a later segment has gone back behind is none of the samples that count.
    """
    steps = run.series().step
    starts = [(view.segment.index, view.start_step) for view in run.segments]
    checkpoint_steps = sorted(
        {
            checkpoint.step
            for checkpoint in run.checkpoints
            if not any(i > checkpoint.segment and s < checkpoint.step for i, s in starts)
        }
    )
    # The last sample up to each checkpoint, and of each sample the last checkpoint before it.
    rows = np.searchsorted(steps, np.array(checkpoint_steps, np.int64), side="right") - 1
    last = np.searchsorted(np.array(checkpoint_steps, np.int64), steps, side="left") - 1
    before = np.full(len(steps), -1, np.int64)
    some = last >= 0
    before[some] = rows[last[some]]
    return before


def _peak(column: Column, values: Floats, steps: Ints) -> Peak:
    at = int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))
    over_limit = values > (np.inf if column.limit is None else column.limit)
    finite_end = len(values) - int(np.argmax(np.isfinite(values[::-1])))
    return Peak(
        name=column.name,
        value=float(values[at]),
        step=int(steps[at]),
        limit=column.limit,
        passed_step=int(steps[int(np.argmax(over_limit))])
        if column.limit is not None and over_limit.any()
        else None,
        non_finite_from=int(steps[finite_end]) if finite_end < len(values) else None,
    )


def _drift(name: str, values: Floats, scale: float, steps: Ints, before: Ints) -> Drift | None:
    measured = values[~np.isnan(values)]
    if len(measured) == len(values) and bool(np.all(values == values[0])):
        return None
    first = float(measured[0]) if len(measured) else float("nan")
    with np.errstate(invalid="ignore", over="ignore"):
        moved = np.abs(values - first) / scale if scale > 0 else np.abs(values - first)
        lately = np.abs(values - values[before]) / (scale if scale > 0 else 1.0)
    finite = np.isfinite(moved)
    since = (before >= 0) & np.isfinite(lately)
    at = int(np.argmax(np.where(finite, moved, -1.0))) if finite.any() else None
    return Drift(
        name=name,
        first=first,
        last=float(values[-1]),
        final=float(moved[-1]) if finite[-1] else None,
        largest=float(moved[at]) if at is not None else None,
        largest_step=int(steps[at]) if at is not None else None,
        distance=float(abs(values[at] - first)) if at is not None else None,
        since_checkpoint=float(lately[-1]) if since[-1] else None,
        checkpoint_step=int(steps[before[-1]]) if since[-1] else None,
        largest_since_checkpoint=float(lately[since].max()) if since.any() else None,
    )


def _non_finite(run: RunView) -> tuple[tuple[str, ...], int | None]:
    series = run.series()
    by_name = columns(run)
    firsts: dict[str, int] = {}
    for name, column in by_name.items():
        extremes = summary(series, name)
        if extremes.finite and (extremes.largest == 0 or not name.endswith(NON_FINITE)):
            continue
        values = series[name]
        if name.endswith(NON_FINITE):
            bad = values > 0
            label = name.rpartition(".")[0]
        elif f"{name.rpartition('.')[0]}.nan" not in by_name:
            # A failed diagnostic is NaN, and so is a time step that is not known yet.
            bad = ~np.isfinite(values) if column.kind in STATE else np.isinf(values)
            bad &= np.asarray(series.faults) == 0
            if bad.all():
                continue
            label = name
        else:
            continue
        if bad.any():
            at = int(series.step[int(np.argmax(bad))])
            firsts[label] = min(at, firsts.get(label, at))
    if not firsts:
        return (), None
    step = min(firsts.values())
    # The field itself says more than the sums it spoils.
    fields = {name.rpartition(".")[0] for name in by_name if name.endswith(NON_FINITE)}
    names = sorted((n for n, at in firsts.items() if at == step), key=lambda n: n not in fields)
    return tuple(names), step
