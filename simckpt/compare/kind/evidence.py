"""What is known about a divergence, in the few categories on which the rules decide.

The rules of `classify` and `causes` see nothing else: neither names of cases nor raw series.
"""

from __future__ import annotations

from math import exp, isfinite
from typing import Literal, TypeAlias

import numpy as np

from ...model.record import Record
from ..view import Floats, RunView
from ..where.alignment import Alignment
from ..where.divergence import FieldFindings, FirstDifference
from ..where.patterns import Figure
from ..where.propagation import outgrows
from ..where.quantities import STATE, QuantityFindings
from .growth import Growth

Onset: TypeAlias = Literal["initial", "first interval", "early", "later"]
Size: TypeAlias = Literal["roundoff", "small", "large", "unseen"]

ROUNDOFF_ULPS = 4096
"""Relative differences up to so many units of the precision count as roundoff-level: what a
changed order of operations leaves after some tens of steps, and far below any truncation error."""
SMALL = 1e-6
"""Relative differences from here on are large."""
EPSILON = {"float16": 2.0**-10, "float32": 2.0**-23, "complex64": 2.0**-23}
DOUBLE = 2.0**-52
BELIEVED_R2 = 0.8
BLIND = 1e4
"""The series do not measure a difference that is so much larger in the tiles."""


class Evidence(Record, frozen=True, kw_only=True):
    """A divergence in categories.

    Parameters
    ----------
    onset : str
        ``initial``: they differ at the step at which both records begin; ``first interval``: they
        agree there and differ at
        the next common sample; ``early``: they differ at the first common sample, which is past
        step 0; ``later``: they agree at two samples or more before.
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
    figure : str
        The figure of the differing tiles; ``everywhere`` if no tiles were compared.
    resolved : bool
        Tiles were compared, and there were enough of them to speak of a place.
    rank : int or None
        Not None if the figure is one rank's tiles.
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
        How many fields were compared by digest at every moment, and how many of them differ.
    part : float
        Part of the tiles that differ.
    edge : bool
        They all lie at the edge of the domain.
    connected : bool
        The next sample finds the difference in the same tiles and their neighbours.
    rapid : bool
        It leaves roundoff level faster than rounding errors can grow.
    only_nan : bool
        What differs is NaN in both runs.
    non_finite : tuple of str
        What is not finite in one run, and finite in the other, at the first differing sample.
    growth : Growth or None
        How the difference grows.
    final, largest : float
        Relative difference at the last sample and at most.
    """

    onset: Onset
    state_differs: bool
    step: int
    after: int | None
    size: Size
    relative: float | None
    observed: float | None
    epsilon: float
    figure: Figure
    resolved: bool
    rank: int | None
    time_differs: float | None
    step_ratio: float | None
    restarts: tuple[int, ...]
    shared_restarts: tuple[int, ...]
    fields_compared: int
    fields_differ: int
    part: float
    edge: bool
    connected: bool
    rapid: bool
    only_nan: bool
    non_finite: tuple[str, ...]
    growth: Growth | None
    final: float
    largest: float
    unrepeated: tuple[int, ...] = ()

    @property
    def roundoff(self) -> float:
        """The largest relative difference that counts as roundoff-level."""
        return ROUNDOFF_ULPS * self.epsilon


def gather(
    a: RunView,
    b: RunView,
    alignment: Alignment,
    fields: FieldFindings,
    quantities: QuantityFindings,
    first: FirstDifference,
    growth: Growth | None,
    curve: Floats,
) -> Evidence:
    """Put what the comparison found into categories."""
    at = first.sample
    epsilon = _epsilon(a, fields)
    observed = _size_at(at, first, alignment, fields, curve)
    relative = observed
    if (
        observed is not None
        and growth is not None
        and growth.law == "exponential"
        and growth.rate is not None
        and growth.r2 >= BELIEVED_R2
        and at > 0
    ):
        axis = alignment.t if growth.against == "t" else alignment.steps_a.astype(np.float64)
        relative = observed * exp(-growth.rate * float(axis[at] - axis[at - 1]))
    left = outgrows(curve, alignment.steps_a, at, epsilon, ROUNDOFF_ULPS * epsilon)
    if left is not None and (relative is None or left > relative):
        relative = left
    primary = next((d for d in fields.differing if d.field in first.fields), None)
    divided = bool(fields.differing) or any(
        quantities.kinds[name] in STATE for name in quantities.first
    )
    # Where the state never differs, the clocks may still run apart: they tell at the end.
    elapsed, ratio = _time_base(a, b, alignment, at if divided else len(alignment) - 1)
    non_finite = _non_finite(first, quantities)
    restarts_a, restarts_b = (_restarts(run, first) for run in (a, b))
    return Evidence(
        onset=_onset(first, a, b),
        state_differs=divided,
        step=first.step,
        after=first.after,
        size="large" if non_finite else _category(relative, ROUNDOFF_ULPS * epsilon),
        relative=relative,
        observed=observed,
        epsilon=epsilon,
        figure=primary.figure if primary is not None else "everywhere",
        resolved=primary is not None and primary.of >= 4,
        rank=_one_rank(primary.ranks_a, primary.figure) if primary is not None else None,
        time_differs=elapsed if elapsed is not None and elapsed > ROUNDOFF_ULPS * DOUBLE else None,
        step_ratio=ratio,
        restarts=tuple(sorted(restarts_a ^ restarts_b)),
        shared_restarts=tuple(sorted(restarts_a & restarts_b)),
        unrepeated=tuple(sorted(restarts_a & restarts_b & (_unrepeated(a) ^ _unrepeated(b)))),
        fields_compared=0 if alignment.interpolated else len(fields.compared),
        fields_differ=len(fields.differing),
        part=primary.tiles / primary.of if primary is not None else 1.0,
        edge=primary is not None and fields.propagation[primary.field].edge,
        connected=all(fields.propagation[name].connected for name in first.fields),
        rapid=left is not None,
        non_finite=non_finite,
        only_nan=not fields.differing and all(d.only_nan for d in quantities.differing),
        growth=growth,
        final=float(curve[-1]) if len(curve) else 0.0,
        largest=float(curve.max()) if len(curve) else 0.0,
    )


def _non_finite(first: FirstDifference, quantities: QuantityFindings) -> tuple[str, ...]:
    return tuple(
        d.name
        for d in quantities.differing
        if d.name in first.quantities and d.kind != "count" and isfinite(d.a) != isfinite(d.b)
    )


def _onset(first: FirstDifference, a: RunView, b: RunView) -> Onset:
    if first.sample == 0:
        begun = all(next(iter(run.segments)).start_step == first.step for run in (a, b))
        return "initial" if begun or first.step == 0 else "early"
    return "first interval" if first.sample == 1 else "later"


def _category(relative: float | None, roundoff: float) -> Size:
    if relative is None:
        return "unseen"
    if relative <= roundoff:
        return "roundoff"
    return "small" if relative < SMALL else "large"


def _size_at(
    at: int,
    first: FirstDifference,
    alignment: Alignment,
    fields: FieldFindings,
    curve: Floats,
) -> float | None:
    """The difference at onset: of the quantities, or of tile statistics taken at that step."""
    tiles = [d.relative for d in fields.differing if d.relative_step == first.step]
    found = [float(curve[at]), *(r for r in tiles if r is not None)]
    size = max(*found, _missed(alignment, fields, curve))
    if size > 0:
        return size
    # The bits differ and no number recorded there shows it: the next numbers that do.
    later = np.flatnonzero(curve[at : at + 4] > 0)
    return float(curve[at + later[0]]) if len(later) else None


def _missed(alignment: Alignment, fields: FieldFindings, curve: Floats) -> float:
    """The difference that the tiles show and the series do not, as of a state and its mirror image.

    Integrals and extrema of a whole field may agree where the field does not. Then they do not
    measure the difference, at onset as little as where tiles were recorded; 0 if they do.
    """
    found = 0.0
    for d in fields.differing:
        if d.relative and d.relative_step is not None:
            at = int(np.searchsorted(alignment.steps_a, d.relative_step))
            seen = float(curve[min(at, len(curve) - 1)])
            if d.relative > BLIND * seen:
                found = max(found, d.relative)
    return found


def _epsilon(a: RunView, fields: FieldFindings) -> float:
    kinds = [a.digests(d.field).tiles.dtype for d in fields.differing]
    return max((EPSILON.get(kind, DOUBLE) for kind in kinds), default=DOUBLE)


def _time_base(
    a: RunView, b: RunView, alignment: Alignment, at: int
) -> tuple[float | None, float | None]:
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
    """Steps at which later segments began, inside the interval in which the runs part."""
    after = first.after if first.after is not None else -1
    return {
        view.start_step for view in list(run.segments)[1:] if after <= view.start_step <= first.step
    }


def _unrepeated(run: RunView) -> set[int]:
    """Steps at which the record says that a restart differs from the earlier attempt."""
    return {event.step for event in run.events if event.name == "restart_differs"}


def _one_rank(ranks: tuple[int, ...], figure: Figure) -> int | None:
    return ranks[0] if figure == "one rank" and ranks else None
