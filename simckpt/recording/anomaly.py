"""The anomaly score: how far the last sample stands out of its quantity's own recent history.

Three things are followed, each in the form in which a healthy run keeps it steady:

* of a conserved integral, the drift from one sample to the next;
* of a stability number such as the Courant number, its logarithm;
* of a field, the growth rate of its largest magnitude.

The score is the distance above the median of the last samples, over 1.4826 times their median
absolute deviation (Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers): neither is moved
by a few outliers. A run has many quantities and many samples, and distributions with long tails,
so a high score alone is no alarm. The value must also stand out of all values in the history by
a factor, and a drift must be larger than rounding errors. These two tests are cheap, and the
score is computed only where they hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compare.health import rounding
from ..errors import SetupError
from .sample_checks import MonotoneCheck, magnitudes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.series import SeriesSchema

    Floats = NDArray[np.float64]

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

TINY = 2.0**-1000

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
    """Scores the samples of one job attempt.

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
        ends = [[at[f"{n}.min"], at[f"{n}.max"]] for n in self._sizes]
        self._at_sizes = np.array(ends, np.intp).reshape(-1, 2)
        self._rounding = max(ROUNDING * rounding(schema.tiles), LEAST_DRIFT)
        self._previous: tuple[int, Floats, Floats] | None = None
        signals = len(self._drifts) + len(self._stable) + len(self._sizes)
        self._histories = _Histories(settings, signals)
        self._log_sizes = _Histories(settings, len(self._sizes))
        self._unsound: set[str] = set()
        self._monotone = MonotoneCheck(schema)

    def check(self, sample: ReducedSample) -> tuple[str, dict[str, Any]] | None:
        """Why `sample` is an anomaly, in words and values; None if it is not."""
        unsound = self._non_finite(sample)
        wrong_way = self._wrong_way(sample)
        outlier = None if sample.faults else self._outlier(sample)
        return unsound or wrong_way or outlier

    def _non_finite(self, sample: ReducedSample) -> tuple[str, dict[str, Any]] | None:
        """The fields and numbers that are not finite for the first time."""
        names = [*sample.origins]
        if not sample.faults:
            infinite = np.flatnonzero(np.isinf(sample.values[self._at_stable]))
            names += [self._stable[i] for i in infinite]
        new = [name for name in names if name not in self._unsound]
        if not new:
            return None
        self._unsound.update(new)
        cells = {n: list(map(int, sample.origins[n])) for n in new if n in sample.origins}
        return (
            f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} not finite",
            {"not_finite": new, "first_cell": cells},
        )

    def _wrong_way(self, sample: ReducedSample) -> tuple[str, dict[str, Any]] | None:
        """The integrals that go the other way than was declared, for the first time."""
        reversals = self._monotone.check(sample)
        if not reversals:
            return None
        return "; ".join(reversal.text for reversal in reversals), {
            r.name: {"value": r.value, "reached": r.reached, "relative": r.relative}
            for r in reversals
        }

    def _outlier(self, sample: ReducedSample) -> tuple[str, dict[str, Any]] | None:
        """The signal that stands out most of its history, if any does."""
        values = sample.values
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            log_sizes = np.log(np.abs(values[self._at_sizes]).max(axis=1))
            previous, self._previous = self._previous, (sample.step, values, log_sizes)
            if previous is None or sample.step <= previous[0]:
                return None
            steps = sample.step - previous[0]
            moved = np.abs(values[self._at_drifts] - previous[1][self._at_drifts])
            surges = log_sizes - previous[2]
            stable = np.log(values[self._at_stable])
            signals = np.concatenate([moved / steps, stable, surges / steps])
        signals[~np.isfinite(signals)] = np.nan
        finite_sizes = np.where(np.isfinite(log_sizes), log_sizes, np.nan)
        suspects = self._histories.exceeded(signals, self._margins())
        worst = None
        if suspects.any():
            scales = magnitudes(sample, self._schema)
            least_drifts = self._rounding * np.array([scales[name] for name in self._drifts])
            suspects &= self._large(moved > least_drifts, surges, finite_sizes)
            # The least spread that each history is given credit for.
            floors = np.full(len(signals), LEAST_SPREAD)
            floors[: len(self._drifts)] = least_drifts / 16
            worst = self._histories.outlier(signals, suspects, floors)
        self._histories.add(signals)
        self._log_sizes.add(finite_sizes)
        return None if worst is None else self._description(*worst)

    def _margins(self) -> Floats:
        """How far a signal must be above the largest of its history."""
        margins = np.zeros(len(self._histories.highest))
        drifts, stable = len(self._drifts), len(self._stable)
        margins[:drifts] = (DRIFT_FACTOR - 1) * self._histories.highest[:drifts]
        margins[drifts : drifts + stable] = RISE
        return margins

    def _large(
        self, drifted: NDArray[np.bool_], surges: Floats, log_sizes: Floats
    ) -> NDArray[np.bool_]:
        """Which signals are large by themselves, and not only relative to their history."""
        margins = np.full(len(self._sizes), SURGE)
        surged = (surges > SURGE) & self._log_sizes.exceeded(log_sizes, margins)
        return np.concatenate([drifted, np.ones(len(self._stable), bool), surged])

    def _description(
        self, signal: int, score: float, value: float, usual: float
    ) -> tuple[str, dict[str, Any]]:
        drifts, stable = len(self._drifts), len(self._stable)
        if signal < drifts:
            name, what = self._drifts[signal], "drift in a step"
        elif signal < drifts + stable:
            name, what = self._stable[signal - drifts], ""
            value, usual = math.exp(value), math.exp(usual)
        else:
            name, what = self._sizes[signal - drifts - stable], "growth rate of the magnitude"
        subject = f"{what} of {name}" if what else name
        return (
            f"the {subject} is {value:.3g}, where {usual:.3g} is usual (score {score:.3g})",
            {
                "quantity": name,
                "of": what or "value",
                "score": score,
                "value": value,
                "usual": usual,
                "threshold": self._histories.threshold,
            },
        )


class _Histories:
    """The last values of several signals, side by side; NaN where there is none."""

    def __init__(self, settings: Anomaly, signals: int) -> None:
        self.threshold = settings.threshold
        self.highest = np.full(signals, np.nan)
        self._least = settings.least
        self._ring = np.full((settings.history, signals), np.nan)
        self._next = 0
        self._counts = np.zeros(signals, np.int64)

    def add(self, values: Floats) -> None:
        oldest = self._ring[self._next].copy()
        self._ring[self._next] = values
        self._next = (self._next + 1) % len(self._ring)
        self._counts += np.isfinite(values).astype(np.int64) - np.isfinite(oldest)
        # Only where the highest itself is replaced is the whole history searched.
        if np.any(oldest >= self.highest):
            self.highest = np.fmax.reduce(self._ring, axis=0)
        else:
            self.highest = np.fmax(self.highest, values)

    def exceeded(self, values: Floats, margins: Floats) -> NDArray[np.bool_]:
        """Which values are above all of their history by a margin; none where it is short."""
        return (self._counts >= self._least) & (values > self.highest + margins)

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
            # The floor is 0 where a quantity became exactly 0 and has no scale.
            score = (float(values[i]) - usual) / max(spread, float(floors[i]), TINY)
            if score > self.threshold and (worst is None or score > worst[1]):
                worst = (int(i), score, float(values[i]), usual)
        return worst
