"""What reference runs change in a verdict on two runs whose bits differ."""

from __future__ import annotations

from ..verdict import Findings, Judgement, shorter
from ..where.divergence import FirstDifference
from .classify import Classification
from .reference import Reference

SURE_BY_ENSEMBLE = 0.9
SURE_BY_GROWTH = 0.7

ROUNDOFF_KINDS = ("roundoff, bounded", "roundoff, growing", "inconclusive")


def with_reference(
    judgement: Judgement,
    kind: Classification,
    reference: Reference,
    found: Findings,
    first: FirstDifference,
) -> tuple[Judgement, Classification]:
    """The verdict and the kind once the references have spoken.

    Only a difference of bits can be natural: a record that ends early, or something essential
    that was left out, stays what it is.
    """
    reasons = (*judgement.reasons, *reference.reasons)
    since = f"the bits differ from step {first.step} on"
    if reference.standing == "untold":
        text = f"Could not compare with the references: {reference.reasons[0]}; {since}"
        return Judgement("could-not-compare", text, reasons), kind
    if reference.standing == "beyond":
        return _beyond(judgement, kind, reasons)
    sure = SURE_BY_GROWTH if reference.ensemble is None else SURE_BY_ENSEMBLE
    alone = f"without the references: {kind.meaning}"
    kind = Classification(
        kind="statistical only", confidence=sure, evidence=(alone, *kind.evidence)
    )
    agreed = f"Statistically the same: {since}, no further apart than the reference runs are"
    essential = [u for u in found.uncompared if u.essential]
    early = shorter(found)
    if early:
        return Judgement("different", f"{agreed}, but {early}", (*reasons, early)), kind
    if essential:
        named = "; ".join(f"{u.what} {u.name} {u.reason}" for u in essential[:3])
        text = f"Could not compare: {named}; all else is statistically the same"
        return Judgement("could-not-compare", text, (*reasons, named)), kind
    return Judgement("same", agreed, reasons), kind


def _beyond(
    judgement: Judgement, kind: Classification, reasons: tuple[str, ...]
) -> tuple[Judgement, Classification]:
    headline = f"{judgement.headline}, further than the reference runs do"
    if kind.kind in ROUNDOFF_KINDS:
        # A small difference that grows is natural only if that of the references grows as much.
        kind = Classification(
            kind="answer-changing at a later step",
            confidence=min(kind.confidence, SURE_BY_GROWTH),
            evidence=(f"without the references: {kind.meaning}", *kind.evidence),
        )
    return Judgement("different", headline, reasons), kind
