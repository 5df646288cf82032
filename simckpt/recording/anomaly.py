"""The anomaly score: how far the last sample stands out of its quantity's own recent history.

Three things are watched, each in the form in which a healthy run keeps it steady:

* of a conserved integral, the drift from one sample to the next;
* of a stability number such as the Courant number, its logarithm;
* of a field, the growth rate of its largest magnitude.

The score is the distance above the median of the last samples, over 1.4826 times their median
absolute deviation (Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers): neither is moved
by a few outliers. A run has many quantities and many samples, and distributions with long tails,
so a high score alone is no alarm. The value must also stand out of all values in the history by
a factor, and a drift must be larger than rounding errors. These two tests are cheap, and the
score is worked out only where they hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from ..compare.health import ALLOWED, Reversal, Scale, monotone_columns, rounding
from ..compare.scales import measures, scales
from ..errors import SetupError
from ..model.series import Event
from .trigger_engine import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..compare.run_view import SeriesView
    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.series import Column, SeriesSchema

    Floats = NDArray[np.float64]

# The magnitude that a quantity's rounding errors are relative to, from one sample.


def magnitudes(reading: ReducedSample, schema: SeriesSchema) -> dict[str, float]:
    """The scale of each column in this sample; 0 where it cannot be told.

    A total momentum near zero is the small rest of large contributions: see `compare.where.scales`.
    """
    columns = {column.name: column for column in schema.columns}
    row = {name: reading.values[i : i + 1] for i, name in enumerate(columns)}
    return scales(cast("SeriesView", row), columns)


def magnitude(name: str, reading: ReducedSample, schema: SeriesSchema) -> float:
    """The scale of one column in this sample."""
    return magnitudes(reading, schema)[name]


# Watches integrals that may change in one direction alone, while the run goes on.


class Monotone:
    """Tells of each integral once in a job attempt, where it first goes the wrong way.

    Parameters
    ----------
    schema : SeriesSchema
        What the samples mean.
    """

    def __init__(self, schema: SeriesSchema) -> None:
        self._columns = {column.name: column for column in schema.columns}
        self._unit = rounding(schema.tiles)
        self._watched = [_Watched(c, self._columns) for c in monotone_columns(schema.columns)]

    def look(self, reading: ReducedSample) -> tuple[Reversal, ...]:
        """The integrals that go the wrong way in `reading` for the first time."""
        found = []
        for watched in list(self._watched):
            if reversal := watched.look(reading, self._columns, self._unit):
                found.append(reversal)
                self._watched.remove(watched)
        return tuple(found)


def wrong_way(reversal: Reversal, wall: float) -> Event:
    """The event that tells of it."""
    return Event(
        name="monotone_violated",
        severity="warning",
        step=reversal.step,
        wall=wall,
        text=reversal.text,
        rank=-1,
        facts={
            "quantity": reversal.name,
            "declared": reversal.declared,
            "value": reversal.value,
            "reached": reversal.reached,
            "from_step": reversal.from_step,
            "relative": reversal.relative,
        },
    )


class _Watched:
    """One integral: the extreme that it has reached, and those that its scale is told by.

    Of these the first is its own.
    """

    def __init__(self, column: Column, columns: dict[str, Column]) -> None:
        self._column = column
        self._sign = 1.0 if column.monotone == "decreasing" else -1.0
        self._reached: tuple[float, int] | None = None
        self._scale = Scale(column, columns)
        at = {name: i for i, name in enumerate(columns)}
        self._at = np.array([at[name] for name in self._scale.needs], np.intp)
        self._lowest = np.full(len(self._at), np.inf)
        self._highest = -self._lowest

    def look(
        self, reading: ReducedSample, columns: dict[str, Column], unit: float
    ) -> Reversal | None:
        self._extend(reading)
        value = reading[self._column.name]
        if not math.isfinite(value):
            return None
        if self._reached is None or self._sign * value <= self._sign * self._reached[0]:
            self._reached = value, reading.step
            return None
        reached, since = self._reached
        distance = abs(value - reached)
        # A scale takes longer than a sample's other work: it is asked for where it may matter.
        own = max(abs(self._lowest[0]), abs(self._highest[0]))
        if not distance > ALLOWED * unit * own or self._column.monotone == "":
            return None
        scale = self._known_scale(reading, columns)
        if not distance > ALLOWED * unit * scale:
            return None
        return Reversal(
            name=self._column.name,
            declared=self._column.monotone,
            step=reading.step,
            value=value,
            from_step=since,
            reached=reached,
            relative=distance / scale,
            first_step=reading.step,
            samples=1,
        )

    def _extend(self, reading: ReducedSample) -> None:
        """Keep the extremes of the columns that the scale is told by."""
        values = reading.values[self._at]
        finite = np.isfinite(values)
        np.minimum(self._lowest, values, out=self._lowest, where=finite)
        np.maximum(self._highest, values, out=self._highest, where=finite)

    def _known_scale(self, reading: ReducedSample, columns: dict[str, Column]) -> float:
        row = {name: reading.values[i : i + 1] for i, name in enumerate(columns)}
        measure = measures(cast("SeriesView", row), columns)[self._column.name]
        ends = (np.where(np.isfinite(v), v, np.nan) for v in (self._lowest, self._highest))
        lowest, highest = (
            {name: end[i : i + 1] for i, name in enumerate(self._scale.needs)} for end in ends
        )
        return float(self._scale.within(lowest, highest, measure)[0])


MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""

ROUNDING = 4096
"""A drift from sample to sample below so many units of rounding is never an alarm."""

LEAST_DRIFT = 2.0**-32
"""Nor is one below this part of the quantity's scale: what a limiter, where it switches on, lets
through an open boundary is as large, in a run in which the quantity was constant till then."""

DRIFT_FACTOR = 10.0
"""A drift must be so many times the largest in the history."""

RISE = math.log(1.5)
"""A stability number must be 1.5 times the largest in the history."""

SURGE = math.log(2.0)
"""A field's magnitude must be twice the last one, and twice the largest in the history."""

LEAST_SPREAD = 0.02
"""Spread of logarithms below which a history counts as constant."""


@dataclass(frozen=True)
class Anomaly:
    """Settings of the anomaly score.

    Parameters
    ----------
    threshold : float
        Score from which on a sample is an anomaly.
    history : int
        Samples that it is compared with.
    least : int
        Samples without which there is no score yet.

    Raises
    ------
    SetupError
        If the threshold is not positive, or `least` is not from 8 to `history`.
    """

    threshold: float = 12.0
    history: int = 64
    least: int = 16

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise SetupError("Anomaly.threshold", self.threshold, "is not positive")
        if not 8 <= self.least <= self.history:
            raise SetupError(
                "Anomaly.least",
                self.least,
                f"is not a number of samples from 8 to {self.history}",
                mend="Give `history` and `least`, such as history=64, least=16.",
            )


class AnomalyRule:
    """The score at work on the samples of one job attempt.

    Parameters
    ----------
    settings : Anomaly
        History and threshold.
    schema : SeriesSchema
        What the samples mean.
    """

    def __init__(self, settings: Anomaly, schema: SeriesSchema) -> None:
        at = {column.name: i for i, column in enumerate(schema.columns)}
        self._schema = schema
        self._drifts = [c.name for c in schema.columns if c.kind == "conserved"]
        self._stable = [c.name for c in schema.columns if c.kind == "stability"]
        self._sizes = [
            name.removesuffix(".max")
            for name in at
            if name.endswith(".max") and name.removesuffix("max") + "min" in at
        ]
        self._at_drifts = np.array([at[n] for n in self._drifts], np.intp)
        self._at_stable = np.array([at[n] for n in self._stable], np.intp)
        self._at_sizes = np.array([[at[f"{n}.min"], at[f"{n}.max"]] for n in self._sizes], np.intp)
        self._rounding = max(ROUNDING * _coarsest(t.dtype for t in schema.tiles), LEAST_DRIFT)
        self._last: tuple[int, Floats] | None = None
        signals = len(self._drifts) + len(self._stable) + len(self._sizes)
        self._histories = _Histories(settings, signals)
        self._log_sizes = _Histories(settings, len(self._sizes))
        self._unsound: set[str] = set()
        self._monotone = Monotone(schema)

    def look(self, reading: ReducedSample) -> Finding | None:
        unsound = self._non_finite(reading)
        reversed_ = self._reversed(reading)
        unusual = None if reading.faults else self._unusual(reading)
        return unsound or reversed_ or unusual

    def _non_finite(self, reading: ReducedSample) -> Finding | None:
        """The fields and numbers that are not finite for the first time."""
        names = [*reading.origins]
        if not reading.faults:
            values = reading.values
            names += [n for n, i in zip(self._stable, self._at_stable, strict=True)
                      if np.isinf(values[i])]  # fmt: skip
        new = [name for name in names if name not in self._unsound]
        if not new:
            return None
        self._unsound.update(new)
        shown = {n: list(map(int, reading.origins[n])) for n in new if n in reading.origins}
        return Finding(
            f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} not finite",
            {"not_finite": new, "first_cell": shown},
        )

    def _reversed(self, reading: ReducedSample) -> Finding | None:
        """The integrals that go the other way than was declared, for the first time."""
        found = self._monotone.look(reading)
        if not found:
            return None
        return Finding(
            "; ".join(reversal.text for reversal in found),
            {r.name: {"value": r.value, "reached": r.reached, "relative": r.relative}
             for r in found},
        )  # fmt: skip

    def _unusual(self, reading: ReducedSample) -> Finding | None:
        now = (reading.step, reading.values)
        before, self._last = self._last, now
        if before is None or reading.step <= before[0]:
            return None
        signals, moved, surges, log_sizes = self._signals(before, now)
        suspects = self._histories.exceeded(signals, self._margins())
        if suspects.any():
            suspects &= self._matters(reading, moved, surges, log_sizes)
        found = self._outlier(reading, signals, suspects) if suspects.any() else None
        self._histories.add(signals)
        self._log_sizes.add(log_sizes)
        return found

    def _signals(
        self, before: tuple[int, Floats], now: tuple[int, Floats]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """The steady forms; the drifts, the surges and the logarithms of the sizes behind them."""
        steps = now[0] - before[0]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = np.abs(now[1][self._at_drifts] - before[1][self._at_drifts])
            stable = np.log(now[1][self._at_stable])
            sizes, earlier = (_log_sizes(v, self._at_sizes) for v in (now[1], before[1]))
            surges = sizes - earlier
        signals = np.concatenate([moved / steps, stable, surges / steps])
        return _finite(signals), moved, surges, _finite(sizes)

    def _matters(
        self, reading: ReducedSample, moved: Floats, surges: Floats, log_sizes: Floats
    ) -> NDArray[np.bool_]:
        """Which signals are large by themselves, and not only beside their history."""
        with np.errstate(invalid="ignore"):
            drifted = moved > self._rounding * self._scales(reading)
        margins = np.full(len(self._sizes), SURGE)
        surged = (surges > SURGE) & self._log_sizes.exceeded(log_sizes, margins)
        return np.concatenate([drifted, np.ones(len(self._stable), bool), surged])

    def _outlier(
        self, reading: ReducedSample, signals: Floats, suspects: NDArray[np.bool_]
    ) -> Finding | None:
        worst = self._histories.outlier(signals, suspects, self._floors(reading))
        return None if worst is None else self._finding(*worst)

    def _scales(self, reading: ReducedSample) -> Floats:
        known = magnitudes(reading, self._schema)
        return np.array([known[name] for name in self._drifts])

    def _margins(self) -> Floats:
        """How far above the largest of the history: a factor for drifts, else a difference."""
        drifts, stable, sizes = len(self._drifts), len(self._stable), len(self._sizes)
        highest = self._histories.highest
        return np.concatenate(
            [(DRIFT_FACTOR - 1) * highest[:drifts], np.full(stable, RISE), np.zeros(sizes)]
        )

    def _floors(self, reading: ReducedSample) -> Floats:
        """The least spread that each history is given credit for."""
        floors = np.full(self._histories.signals, LEAST_SPREAD)
        floors[: len(self._drifts)] = self._rounding / 16 * self._scales(reading)
        return floors

    def _finding(self, signal: int, score: float, value: float, usual: float) -> Finding:
        drifts, stable = len(self._drifts), len(self._stable)
        if signal < drifts:
            name, what = self._drifts[signal], "drift in a step"
        elif signal < drifts + stable:
            name, what = self._stable[signal - drifts], ""
            value, usual = math.exp(value), math.exp(usual)
        else:
            name, what = self._sizes[signal - drifts - stable], "growth rate of the magnitude"
        subject = f"{what} of {name}" if what else name
        return Finding(
            f"the {subject} is {value:.3g}, where {usual:.3g} is usual (score {score:.3g})",
            {"quantity": name, "of": what or "value", "score": score, "value": value,
             "usual": usual, "threshold": self._histories.threshold},
        )  # fmt: skip


class _Histories:
    """The last values of several signals, side by side; NaN stands for none."""

    def __init__(self, settings: Anomaly, signals: int) -> None:
        self.signals = signals
        self.threshold = settings.threshold
        self._least = settings.least
        self._ring = np.full((settings.history, signals), np.nan)
        self._next = 0
        self._counts = np.zeros(signals, np.int64)
        self.highest = np.full(signals, np.nan)

    def add(self, values: Floats) -> None:
        leaving = self._ring[self._next].copy()
        self._ring[self._next] = values
        self._next = (self._next + 1) % len(self._ring)
        self._counts += np.isfinite(values).astype(np.int64) - np.isfinite(leaving)
        # Only where the highest itself leaves is the whole history searched.
        if np.any(leaving >= self.highest):
            self.highest = np.fmax.reduce(self._ring, axis=0)
        else:
            self.highest = np.fmax(self.highest, values)

    def exceeded(self, values: Floats, margins: Floats) -> NDArray[np.bool_]:
        """Which values are above all of their history by a margin; none where it is short."""
        known = self._counts >= self._least
        return known & (values > self.highest + margins)

    def outlier(
        self, values: Floats, suspects: NDArray[np.bool_], floors: Floats
    ) -> tuple[int, float, float, float] | None:
        """Signal, score, value and median of the worst suspect past the threshold."""
        worst = None
        for i in np.flatnonzero(suspects):
            history = self._ring[:, i]
            history = history[np.isfinite(history)]
            usual = float(np.median(history))
            spread = MAD_TO_SIGMA * float(np.median(np.abs(history - usual)))
            score = (float(values[i]) - usual) / max(spread, float(floors[i]))
            if score > self.threshold and (worst is None or score > worst[1]):
                worst = (int(i), score, float(values[i]), usual)
        return worst


def _log_sizes(values: Floats, at: NDArray[np.intp]) -> Floats:
    if not len(at):
        return np.empty(0)
    return np.asarray(np.log(np.abs(values[at]).max(axis=1)), np.float64)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _coarsest(dtypes: Iterable[str]) -> float:
    """The unit of rounding of the least precise floating type among the fields."""
    kinds = [np.dtype(dtype) for dtype in dtypes]
    return max((float(np.finfo(k).eps) for k in kinds if k.kind in "fc"), default=2.0**-52)
