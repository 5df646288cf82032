"""What kind of difference it is, with the evidence and how sure that is.

The rules stand in the order in which they are tried; the first that holds names the kind. What
a rule needs is written in its condition, and what it found in its evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, isfinite
from typing import Literal, TypeAlias

import numpy as np
from msgspec.structs import replace

from ..model.record import Record
from .alignment import Alignment
from .fields import FieldFindings, FirstDifference
from .growth import Growth
from .patterns import Figure, outgrows
from .quantities import STATE, QuantityFindings
from .run_view import Floats, RunView

# What is known about a divergence, in the few categories on which the rules decide.
#
# The rules of `classify` and `causes` see nothing else: neither names of cases nor raw series.


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
    elapsed, ratio = _time_base_evidence(a, b, alignment, at if divided else len(alignment) - 1)
    non_finite = _non_finite_evidence(first, quantities)
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


def _non_finite_evidence(first: FirstDifference, quantities: QuantityFindings) -> tuple[str, ...]:
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


def _time_base_evidence(
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


Kind: TypeAlias = Literal[
    "identical",
    "within tolerance",
    "length",
    "diagnostic",
    "resolution",
    "precision",
    "non-finite",
    "blow-up",
    "time base",
    "initial condition",
    "restart seam",
    "local event",
    "decomposition or halo",
    "roundoff, bounded",
    "roundoff, growing",
    "statistical only",
    "answer-changing from the first step",
    "answer-changing at a later step",
    "data",
    "inconclusive",
]

MEANINGS: dict[Kind, str] = {
    "identical": "no difference",
    "within tolerance": "differences within the tolerance",
    "length": "one record ends before the other",
    "diagnostic": "the state is the same; a diagnostic is computed differently",
    "resolution": "fields of different shapes",
    "precision": "fields of different precision",
    "blow-up": "one run turns non-finite where they part",
    "non-finite": "equal but for NaN, which equals nothing",
    "time base": "the same step is another time",
    "initial condition": "different from the initial condition on",
    "restart seam": "a restart did not continue the state",
    "local event": "something changed the state in one place",
    "decomposition or halo": "a fault along the borders between ranks",
    "roundoff, bounded": "roundoff-level and bounded",
    "roundoff, growing": "seeded at roundoff level and growing",
    "statistical only": "other bits, and no further apart than the reference runs",
    "answer-changing from the first step": "answer-changing from the first step",
    "answer-changing at a later step": "answer-changing at a later step",
    "data": "an analysis of other data, or by another rule",
    "inconclusive": "the record does not tell",
}


class Classification(Record, frozen=True, kw_only=True):
    """The kind of a difference; `confidence` runs from 0 to 1."""

    kind: Kind
    confidence: float
    evidence: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """The kind in plain words."""
        return MEANINGS[self.kind]


SMALL_BLOCK = 0.25
"""Part of the tiles up to which a block is surely one place."""
LARGEST_BLOCK = 0.65
"""Part of the tiles up to which it may be."""

Rule: TypeAlias = Callable[[Evidence], Classification | None]


def classify(evidence: Evidence, *, explained: bool = False) -> Classification:
    """The kind of a divergence between two runs of which something differs.

    Where it is `explained` by what the runs recorded differently, no event is needed that changed
    the state in one place, nor a restart that did: a setting that acts there first, or that was
    changed with the restart, is one that acts later.
    """
    for rule in RULES:
        if rule is _restart_of_both and evidence.unrepeated:
            # The record itself says that the state was not the one that was left.
            pass
        elif explained and rule in (_local, _restart_of_one, _restart_of_both):
            continue
        found = rule(evidence)
        if found is not None:
            return found
    return Classification(
        kind="inconclusive",
        confidence=0.3,
        evidence=("digests differ, and no recorded number shows by how much",),
    )


def _non_finite(e: Evidence) -> Classification | None:
    if not e.only_nan:
        return None
    return Classification(
        kind="non-finite", confidence=0.95, evidence=("what differs is NaN in both runs",)
    )


def _diagnostic(e: Evidence) -> Classification | None:
    if not e.fields_compared or e.fields_differ or e.time_differs is not None:
        return None
    text = f"all {e.fields_compared} fields have equal digests at every common sample"
    return Classification(kind="diagnostic", confidence=0.95, evidence=(text,))


def _blow_up(e: Evidence) -> Classification | None:
    if not e.non_finite:
        return None
    names = ", ".join(e.non_finite[:4])
    verb = "is" if len(e.non_finite) == 1 else "are"
    text = f"they part {_interval(e)}, and {names} {verb} not finite in one run only"
    return Classification(kind="blow-up", confidence=0.9, evidence=(text,))


def _time_base(e: Evidence) -> Classification | None:
    # Any difference of the state moves an adaptive time step a little. A changed time base
    # moves time by more than it moves the state.
    if e.time_differs is None:
        return None
    if not e.state_differs:
        text = "the state is the same at every common step, and the simulated times are not"
        return Classification(kind="time base", confidence=0.9, evidence=(text, *_steps(e)))
    if e.onset == "initial" or e.time_differs < 0.3 * (e.observed or 0.0):
        return None
    text = f"simulated time at step {e.step} differs by {_percent(e.time_differs)}"
    return Classification(kind="time base", confidence=0.9, evidence=(text, *_steps(e)))


def _steps(e: Evidence) -> tuple[str, ...]:
    if e.step_ratio is None:
        return ()
    return (f"the time step of B is {times(e.step_ratio)} of that of A",)


def times(ratio: float) -> str:
    """A ratio with the digits that tell it from 1."""
    return f"{ratio:.4g}" if abs(ratio - 1.0) > 1e-3 else f"{ratio:.12g}"


def _initial(e: Evidence) -> Classification | None:
    if e.onset != "initial" or e.size == "roundoff":
        return None
    return Classification(
        kind="initial condition",
        confidence=0.95 if e.size != "unseen" else 0.7,
        evidence=(f"they differ at step {e.step}, {_before(e)}", *_size(e)),
    )


def _before(e: Evidence) -> str:
    return "where both records begin" if e.step else "before any step was taken"


def _restart_of_one(e: Evidence) -> Classification | None:
    return _seam(e, e.restarts, "one run was", 0.85)


def _restart_of_both(e: Evidence) -> Classification | None:
    if e.unrepeated:
        found = _seam(e, e.unrepeated, "both runs were", 0.9)
        told = "one record says that its restart did not repeat the earlier attempt"
        return found and replace(found, evidence=(*found.evidence, told))
    return _seam(e, e.shared_restarts, "both runs were", 0.6)


def _seam(
    e: Evidence, steps: tuple[int, ...], which: str, confidence: float
) -> Classification | None:
    if not steps or e.onset == "initial" or (e.onset == "first interval" and 0 in steps):
        return None
    text = f"{which} restarted at step {steps[0]}, and they part {_interval(e)}"
    return Classification(kind="restart seam", confidence=confidence, evidence=(text, *_size(e)))


def _borders(e: Evidence) -> Classification | None:
    if e.figure != "rank borders":
        return None
    return Classification(
        kind="decomposition or halo",
        confidence=0.85,
        evidence=("the tiles that differ first lie along the borders between ranks", *_size(e)),
    )


def _local(e: Evidence) -> Classification | None:
    ranks = e.figure in ("one rank", "one node") and e.part <= SMALL_BLOCK
    if not e.resolved or not (e.onset == "later" or (e.onset == "first interval" and ranks)):
        return None
    if e.size in ("roundoff", "unseen") and not e.connected:
        # What turns up here and there is rounding, which marked one place first by chance.
        return None
    places = {
        "one tile": "a single tile differs",
        "one rank": "the tiles of one rank differ",
        "one node": "the tiles of one node differ",
        "box": "one block of tiles differs, and nothing outside it",
    }
    if e.figure not in places or (e.figure == "box" and e.part > LARGEST_BLOCK):
        return None
    text = f"they agree up to step {e.after}, then {places[e.figure]}"
    # A block of many tiles may be what a place has spread to, or a feature of the solution.
    sure = 0.85 if e.part <= SMALL_BLOCK else 0.6
    return Classification(kind="local event", confidence=sure, evidence=(text, *_size(e)))


def _roundoff(e: Evidence) -> Classification | None:
    unseen = e.size == "unseen" and e.largest <= e.roundoff
    if e.size != "roundoff" and not unseen:
        return None
    growing = e.growth is not None and e.growth.law != "bounded"
    # Near the threshold the sizes of rounding and of small changes overlap.
    sure = 0.9 if max(e.relative or 0.0, e.observed or 0.0) <= 0.1 * e.roundoff else 0.65
    if growing and e.largest > e.roundoff:
        return Classification(
            kind="roundoff, growing", confidence=sure, evidence=(*_size(e), *_growth(e))
        )
    if e.largest <= 10 * e.roundoff:
        text = f"the largest difference of all samples is {e.largest:.1e}, relative"
        return Classification(kind="roundoff, bounded", confidence=sure, evidence=(*_size(e), text))
    return Classification(
        kind="roundoff, growing", confidence=0.6, evidence=(*_size(e), *_growth(e))
    )


def _answer_changing(e: Evidence) -> Classification | None:
    if e.size not in ("small", "large"):
        return None
    sure = 0.9 if (e.relative or 0.0) >= 100 * e.roundoff else 0.6
    if e.onset in ("first interval", "early"):
        kind: Kind = "answer-changing from the first step"
        sure = sure if e.onset == "first interval" else min(sure, 0.6)
    else:
        kind = "answer-changing at a later step"
    return Classification(
        kind=kind, confidence=sure, evidence=(f"they part {_interval(e)}", *_size(e), *_growth(e))
    )


RULES: tuple[Rule, ...] = (
    _non_finite,
    _diagnostic,
    _restart_of_one,
    _time_base,
    _initial,
    _blow_up,
    _restart_of_both,
    _borders,
    _local,
    _roundoff,
    _answer_changing,
)


def _interval(e: Evidence) -> str:
    if e.after is None:
        return f"before the first common sample, step {e.step}"
    return f"between steps {e.after} and {e.step}"


def _size(e: Evidence) -> tuple[str, ...]:
    if e.observed is None:
        return ("no recorded number shows how large it is",)
    level = "roundoff level" if e.observed <= e.roundoff else "above roundoff level"
    text = f"{e.observed:.1e} relative at step {e.step}, {level} ({e.roundoff:.0e})"
    if e.rapid and e.relative is not None and e.observed <= e.roundoff:
        text += f"; it leaves that level at {e.relative:.0e}, faster than rounding errors can grow"
    elif e.relative is not None and e.relative < 0.5 * e.observed:
        text += f"; carried back to step {e.after}: {e.relative:.0e}"
    return (text,)


def _growth(e: Evidence) -> tuple[str, ...]:
    growth = e.growth
    if growth is None or growth.rate is None:
        return ()
    if growth.law == "exponential":
        return (f"it doubles every {growth.doubling:.3g} in {growth.against}",)
    return (f"it grows like {growth.against}^{growth.rate:.1f}",)


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %" if value >= 1e-4 else f"{value:.1e}, relative"
