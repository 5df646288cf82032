"""What kind of difference it is, with the evidence and how sure that is.

The rules stand in the order in which they are tried; the first that holds names the kind. What
a rule needs is written in its condition, and what it found in its evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec.structs import replace

from ...model.record import Record
from .evidence import Evidence

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
