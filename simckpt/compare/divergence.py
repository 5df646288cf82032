"""What is known about a divergence, in the few categories on which the rules decide.

The rules of `classify` and `causes` see nothing else: neither names of cases nor raw series.
"""

from __future__ import annotations

from math import exp, isfinite
from typing import Literal, TypeAlias

import numpy as np

from ..model.record import Record
from .alignment import Alignment
from .fields import FieldFindings, FirstDifference
from .growth import GrowthFit
from .patterns import TilePattern, outgrows
from .quantities import STATE, QuantityFindings
from .run_view import Floats, RunView

Onset: TypeAlias = Literal["initial", "first interval", "early", "later"]
Size: TypeAlias = Literal["roundoff", "small", "large", "unseen"]

ROUNDOFF_ULPS = 4096
"""Relative differences up to so many units of the precision count as roundoff-level: what a
changed order of operations leaves after some tens of steps, and far below any truncation error."""
SMALL = 1e-6
"""Relative differences from here on are large."""
EPSILON = {"float16": 2.0**-10, "float32": 2.0**-23, "complex64": 2.0**-23}
DOUBLE = 2.0**-52
LEAST_R2 = 0.8
"""A fit of growth that explains less is not used."""
BLIND = 1e4
"""The series do not measure a difference that is so much larger in the tiles."""


class RunDivergence(Record, frozen=True, kw_only=True):
    """How two runs diverge, in categories.

    Parameters
    ----------
    onset : str
        ``initial``: they differ at the step at which both records begin; ``first interval``: they
        agree there and differ at the next matching sample; ``early``: they differ at the first
        matching sample, which is past step 0; ``later``: they agree at two samples or more before.
    state_differs : bool
        A field or a quantity that measures the state differs, not only times or step lengths.
    step, after : int, int or None
        The first differing step and the last agreeing one.
    size : str
        The relative difference at onset as a category; ``unseen`` if the digests differ and
        no recorded number does.
    relative : float or None
        That difference, carried back to the last agreeing step where it grows exponentially.
    observed : float or None
        The same as it was recorded.
    epsilon : float
        Unit of precision of the coarsest field that differs.
    pattern : str
        The pattern of the differing tiles; ``everywhere`` if no tiles were compared.
    resolved : bool
        Tiles were compared, and there were enough of them to speak of a location.
    tile_fraction : float
        Part of the tiles that differ.
    at_boundary : bool
        They all lie at the boundary of the domain.
    connected : bool
        The next sample has the difference in the same tiles and their neighbours.
    time_differs : float or None
        Relative difference of the elapsed time at onset, if it is above roundoff level.
    step_ratio : float or None
        The ratio of B's time step to A's at onset, if the runs recorded one.
    restarts : tuple of int
        Steps of restarts, of one run and not of the other, in the interval of the onset.
    shared_restarts : tuple of int
        The same for restarts that both runs have.
    unrepeated : tuple of int
        Those of them at which one run recorded that it did not repeat its earlier attempt, in the
        very state that it started from.
    fields_compared, fields_differ : int
        How many fields were compared by digest at every sample time, and how many of them differ.
    rapid : bool
        The difference leaves roundoff level faster than rounding errors can grow.
    only_nan : bool
        What differs is NaN in both runs.
    non_finite : tuple of str
        What is not finite in one run, and finite in the other, at the first differing sample.
    growth : GrowthFit or None
        How the difference grows.
    largest : float
        The largest relative difference of all samples.
    """

    onset: Onset
    state_differs: bool
    step: int
    after: int | None
    size: Size
    relative: float | None
    observed: float | None
    epsilon: float
    pattern: TilePattern
    resolved: bool
    tile_fraction: float
    at_boundary: bool
    connected: bool
    time_differs: float | None
    step_ratio: float | None
    restarts: tuple[int, ...]
    shared_restarts: tuple[int, ...]
    unrepeated: tuple[int, ...] = ()
    fields_compared: int
    fields_differ: int
    rapid: bool
    only_nan: bool
    non_finite: tuple[str, ...]
    growth: GrowthFit | None
    largest: float

    @property
    def roundoff(self) -> float:
        """The largest relative difference that counts as roundoff-level."""
        return ROUNDOFF_ULPS * self.epsilon


def describe_divergence(
    a: RunView,
    b: RunView,
    alignment: Alignment,
    fields: FieldFindings,
    quantities: QuantityFindings,
    first: FirstDifference,
    growth: GrowthFit | None,
    curve: Floats,
) -> RunDivergence:
    """Put the differences of fields and quantities into categories."""
    at = first.sample
    epsilon = _epsilon(a, fields)
    observed = _size_at_onset(at, first, alignment, fields, curve)
    relative = _carry_back(observed, at, alignment, growth)
    rapid = outgrows(curve, alignment.steps_a, at, epsilon, ROUNDOFF_ULPS * epsilon)
    if rapid is not None and (relative is None or rapid > relative):
        relative = rapid
    state_differs = bool(fields.differing) or any(
        quantities.kinds[name] in STATE for name in quantities.first
    )
    # Where the state never differs, the times may still differ, most clearly at the end.
    elapsed, ratio = _time_step(a, b, alignment, at if state_differs else len(alignment) - 1)
    non_finite = tuple(
        d.name
        for d in quantities.differing
        if d.name in first.quantities and d.kind != "count" and isfinite(d.a) != isfinite(d.b)
    )
    pattern, resolved, tile_fraction, at_boundary = _location(fields, first)
    restarts_a, restarts_b = (_restarts(run, first) for run in (a, b))
    shared = restarts_a & restarts_b
    return RunDivergence(
        onset=_onset(first, a, b),
        state_differs=state_differs,
        step=first.step,
        after=first.after,
        size="large" if non_finite else _category(relative, ROUNDOFF_ULPS * epsilon),
        relative=relative,
        observed=observed,
        epsilon=epsilon,
        pattern=pattern,
        resolved=resolved,
        tile_fraction=tile_fraction,
        at_boundary=at_boundary,
        connected=all(fields.propagation[name].connected for name in first.fields),
        time_differs=elapsed if elapsed is not None and elapsed > ROUNDOFF_ULPS * DOUBLE else None,
        step_ratio=ratio,
        restarts=tuple(sorted(restarts_a ^ restarts_b)),
        shared_restarts=tuple(sorted(shared)),
        unrepeated=tuple(sorted(shared & (_unrepeated(a) ^ _unrepeated(b)))),
        fields_compared=0 if alignment.interpolated else len(fields.compared),
        fields_differ=len(fields.differing),
        rapid=rapid is not None,
        non_finite=non_finite,
        only_nan=not fields.differing and all(d.only_nan for d in quantities.differing),
        growth=growth,
        largest=float(curve.max()) if len(curve) else 0.0,
    )


def _location(
    fields: FieldFindings, first: FirstDifference
) -> tuple[TilePattern, bool, float, bool]:
    """Pattern of the differing tiles, whether there were enough, their part, and the boundary."""
    primary = next((d for d in fields.differing if d.field in first.fields), None)
    if primary is None:
        return "everywhere", False, 1.0, False
    at_boundary = fields.propagation[primary.field].at_boundary
    return primary.pattern, primary.of >= 4, primary.tiles / primary.of, at_boundary


def _carry_back(
    observed: float | None, at: int, alignment: Alignment, growth: GrowthFit | None
) -> float | None:
    """The size at the last agreeing sample of a difference that grows exponentially."""
    if observed is None or growth is None or at == 0:
        return observed
    if growth.law != "exponential" or growth.rate is None or growth.r2 < LEAST_R2:
        return observed
    axis = alignment.t if growth.against == "t" else alignment.steps_a.astype(np.float64)
    return observed * exp(-growth.rate * float(axis[at] - axis[at - 1]))


def _onset(first: FirstDifference, a: RunView, b: RunView) -> Onset:
    if first.sample == 0:
        from_start = all(next(iter(run.segments)).start_step == first.step for run in (a, b))
        return "initial" if from_start or first.step == 0 else "early"
    return "first interval" if first.sample == 1 else "later"


def _category(relative: float | None, roundoff: float) -> Size:
    if relative is None:
        return "unseen"
    if relative <= roundoff:
        return "roundoff"
    return "small" if relative < SMALL else "large"


def _size_at_onset(
    at: int,
    first: FirstDifference,
    alignment: Alignment,
    fields: FieldFindings,
    curve: Floats,
) -> float | None:
    """The difference at onset: of the quantities, or of tile statistics taken at that step."""
    tiles = [d.relative for d in fields.differing if d.relative_step == first.step]
    sizes = [float(curve[at]), *(r for r in tiles if r is not None)]
    size = max(*sizes, _unseen_by_series(alignment, fields, curve))
    if size > 0:
        return size
    # The bits differ and no number recorded there shows it: the next numbers that do.
    later = np.flatnonzero(curve[at : at + 4] > 0)
    return float(curve[at + later[0]]) if len(later) else None


def _unseen_by_series(alignment: Alignment, fields: FieldFindings, curve: Floats) -> float:
    """The difference that the tiles show and the series do not, as of a state and its mirror image.

    Integrals and extrema of a whole field may agree where the field does not. Then they do not
    measure the difference, at onset as little as where tiles were recorded; 0 if they do.
    """
    largest = 0.0
    for d in fields.differing:
        if d.relative and d.relative_step is not None:
            at = int(np.searchsorted(alignment.steps_a, d.relative_step))
            in_series = float(curve[min(at, len(curve) - 1)])
            if d.relative > BLIND * in_series:
                largest = max(largest, d.relative)
    return largest


def _epsilon(a: RunView, fields: FieldFindings) -> float:
    kinds = [a.digests(d.field).tiles.dtype for d in fields.differing]
    return max((EPSILON.get(kind, DOUBLE) for kind in kinds), default=DOUBLE)


def _time_step(
    a: RunView, b: RunView, alignment: Alignment, at: int
) -> tuple[float | None, float | None]:
    """Relative difference of the elapsed time at a sample, and the ratio of the time steps."""
    one, two = a.series(), b.series()
    ta, tb = (
        float(s.t[rows[at]]) for s, rows in ((one, alignment.rows_a), (two, alignment.rows_b))
    )
    elapsed = None
    if alignment.by == "step" and np.isfinite(ta) and np.isfinite(tb):
        begin = float(alignment.t[0]) if np.isfinite(alignment.t[0]) else 0.0
        span = max(abs(ta - begin), abs(tb - begin))
        elapsed = abs(ta - tb) / span if span > 0 else 0.0
    ratio = None
    if "dt" in list(one) and "dt" in list(two):
        dts = [
            float(s["dt"][rows[at]])
            for s, rows in ((one, alignment.rows_a), (two, alignment.rows_b))
        ]
        if all(np.isfinite(dt) and dt > 0 for dt in dts) and dts[0] != dts[1]:
            ratio = dts[1] / dts[0]
    return elapsed, ratio


def _restarts(run: RunView, first: FirstDifference) -> set[int]:
    """Steps at which later job attempts began, inside the interval in which the runs diverge."""
    after = first.after if first.after is not None else -1
    return {
        view.start_step for view in list(run.segments)[1:] if after <= view.start_step <= first.step
    }


def _unrepeated(run: RunView) -> set[int]:
    """Steps at which the record says that a restart differs from the earlier attempt."""
    return {event.step for event in run.events if event.name == "restart_differs"}
