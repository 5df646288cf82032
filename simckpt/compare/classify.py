"""What type of difference it is, what that rests on, and how sure it is.

The rules are listed in the order in which they are tried; the first that applies names the type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec.structs import replace

from ..model.record import Record
from .divergence import RunDivergence

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
    "blow-up": "one run turns non-finite where they diverge",
    "non-finite": "equal but for NaN, which equals nothing",
    "time base": "same step number, different simulated time",
    "initial condition": "different from the initial condition on",
    "restart seam": "a restart did not continue the state",
    "local event": "something changed the state in one place",
    "decomposition or halo": "a fault along the borders between ranks",
    "roundoff, bounded": "roundoff-level and bounded",
    "roundoff, growing": "seeded at roundoff level and growing",
    "statistical only": "different bits, no further apart than the reference runs",
    "answer-changing from the first step": "answer-changing from the first step",
    "answer-changing at a later step": "answer-changing at a later step",
    "data": "an analysis of different data, or by a different rule",
    "inconclusive": "the record does not show it",
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

Rule: TypeAlias = Callable[[RunDivergence], Classification | None]


def classify(divergence: RunDivergence, *, explained: bool = False) -> Classification:
    """The type of a divergence between two runs of which something differs.

    Where it is `explained` by what the runs recorded differently, no event is needed that changed
    the state in one place, nor a restart that did: a setting that acts there first, or that was
    changed with the restart, is one that acts later.
    """
    for rule in RULES:
        if rule is _restart_of_both and divergence.unrepeated:
            # The record itself says that the state was not the one that was left.
            pass
        elif explained and rule in (_local, _restart_of_one, _restart_of_both):
            continue
        result = rule(divergence)
        if result is not None:
            return result
    return Classification(
        kind="inconclusive",
        confidence=0.3,
        evidence=("digests differ, and no recorded number shows by how much",),
    )


def _non_finite(e: RunDivergence) -> Classification | None:
    if not e.only_nan:
        return None
    return Classification(
        kind="non-finite", confidence=0.95, evidence=("what differs is NaN in both runs",)
    )


def _diagnostic(e: RunDivergence) -> Classification | None:
    if not e.fields_compared or e.fields_differ or e.time_differs is not None:
        return None
    text = f"all {e.fields_compared} fields have equal digests at every matching sample"
    return Classification(kind="diagnostic", confidence=0.95, evidence=(text,))


def _blow_up(e: RunDivergence) -> Classification | None:
    if not e.non_finite:
        return None
    names = ", ".join(e.non_finite[:4])
    verb = "is" if len(e.non_finite) == 1 else "are"
    text = f"they diverge {_interval(e)}, and {names} {verb} not finite in one run only"
    return Classification(kind="blow-up", confidence=0.9, evidence=(text,))


def _time_base(e: RunDivergence) -> Classification | None:
    # Any difference of the state moves an adaptive time step a little. A changed time base
    # moves time by more than it moves the state.
    if e.time_differs is None:
        return None
    if not e.state_differs:
        text = "the state is the same at every matching step, and the simulated times are not"
        return Classification(kind="time base", confidence=0.9, evidence=(text, *_steps(e)))
    if e.onset == "initial" or e.time_differs < 0.3 * (e.observed or 0.0):
        return None
    text = f"simulated time at step {e.step} differs by {_percent(e.time_differs)}"
    return Classification(kind="time base", confidence=0.9, evidence=(text, *_steps(e)))


def _steps(e: RunDivergence) -> tuple[str, ...]:
    if e.step_ratio is None:
        return ()
    return (f"the time step of B is {times(e.step_ratio)} of that of A",)


def times(ratio: float) -> str:
    """A ratio with the digits that tell it from 1."""
    return f"{ratio:.4g}" if abs(ratio - 1.0) > 1e-3 else f"{ratio:.12g}"


def _initial(e: RunDivergence) -> Classification | None:
    if e.onset != "initial" or e.size == "roundoff":
        return None
    return Classification(
        kind="initial condition",
        confidence=0.95 if e.size != "unseen" else 0.7,
        evidence=(f"they differ at step {e.step}, {_before(e)}", *_size(e)),
    )


def _before(e: RunDivergence) -> str:
    return "where both records begin" if e.step else "before any step was taken"


def _restart_of_one(e: RunDivergence) -> Classification | None:
    return _seam(e, e.restarts, "one run was", 0.85)


def _restart_of_both(e: RunDivergence) -> Classification | None:
    if e.unrepeated:
        result = _seam(e, e.unrepeated, "both runs were", 0.9)
        note = "one record says that its restart did not repeat the earlier attempt"
        return result and replace(result, evidence=(*result.evidence, note))
    return _seam(e, e.shared_restarts, "both runs were", 0.6)


def _seam(
    e: RunDivergence, steps: tuple[int, ...], which: str, confidence: float
) -> Classification | None:
    if not steps or e.onset == "initial" or (e.onset == "first interval" and 0 in steps):
        return None
    text = f"{which} restarted at step {steps[0]}, and they diverge {_interval(e)}"
    return Classification(kind="restart seam", confidence=confidence, evidence=(text, *_size(e)))


def _borders(e: RunDivergence) -> Classification | None:
    if e.pattern != "rank borders":
        return None
    return Classification(
        kind="decomposition or halo",
        confidence=0.85,
        evidence=("the tiles that differ first lie along the borders between ranks", *_size(e)),
    )


def _local(e: RunDivergence) -> Classification | None:
    ranks = e.pattern in ("one rank", "one node") and e.tile_fraction <= SMALL_BLOCK
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
    if e.pattern not in places or (e.pattern == "box" and e.tile_fraction > LARGEST_BLOCK):
        return None
    text = f"they agree up to step {e.after}, then {places[e.pattern]}"
    # A block of many tiles may be what a place has spread to, or a feature of the solution.
    sure = 0.85 if e.tile_fraction <= SMALL_BLOCK else 0.6
    return Classification(kind="local event", confidence=sure, evidence=(text, *_size(e)))


def _roundoff(e: RunDivergence) -> Classification | None:
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


def _answer_changing(e: RunDivergence) -> Classification | None:
    if e.size not in ("small", "large"):
        return None
    sure = 0.9 if (e.relative or 0.0) >= 100 * e.roundoff else 0.6
    if e.onset in ("first interval", "early"):
        kind: Kind = "answer-changing from the first step"
        sure = sure if e.onset == "first interval" else min(sure, 0.6)
    else:
        kind = "answer-changing at a later step"
    return Classification(
        kind=kind,
        confidence=sure,
        evidence=(f"they diverge {_interval(e)}", *_size(e), *_growth(e)),
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


def _interval(e: RunDivergence) -> str:
    if e.after is None:
        return f"before the first matching sample, step {e.step}"
    return f"between steps {e.after} and {e.step}"


def _size(e: RunDivergence) -> tuple[str, ...]:
    if e.observed is None:
        return ("no recorded number shows how large it is",)
    level = "roundoff level" if e.observed <= e.roundoff else "above roundoff level"
    text = f"{e.observed:.1e} relative at step {e.step}, {level} ({e.roundoff:.0e})"
    if e.rapid and e.relative is not None and e.observed <= e.roundoff:
        text += f"; it leaves that level at {e.relative:.0e}, faster than rounding errors can grow"
    elif e.relative is not None and e.relative < 0.5 * e.observed:
        text += f"; carried back to step {e.after}: {e.relative:.0e}"
    return (text,)


def _growth(e: RunDivergence) -> tuple[str, ...]:
    growth = e.growth
    if growth is None or growth.rate is None:
        return ()
    if growth.law == "exponential":
        return (f"it doubles every {growth.doubling:.3g} in {growth.against}",)
    return (f"it grows like {growth.against}^{growth.rate:.1f}",)


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %" if value >= 1e-4 else f"{value:.1e}, relative"
