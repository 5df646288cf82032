"""From findings to a verdict: same, different, or could not compare, and what that rests on.

Two runs are the same only if something was compared, all of it is equal, and nothing essential
was left out. A record that ends early is a difference of its own: its later samples would
otherwise pass unseen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from msgspec.structs import replace

from .alignment import Alignment
from .classify import Classification
from .fields import FieldDifference, FieldFindings, FirstDifference, TileStatisticDifference
from .quantities import QuantityDifference, QuantityFindings, Uncompared, columns
from .reference import Reference
from .run_view import RunView
from .tolerance import Tolerance

Verdict: TypeAlias = Literal["same", "different", "could-not-compare"]

LONGEST_LIST = 32
"""Characters of names in a headline."""


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """All that a verdict is drawn from."""

    a: RunView
    b: RunView
    alignment: Alignment
    fields: FieldFindings
    quantities: QuantityFindings
    tiles: tuple[TileStatisticDifference, ...]
    tile_rows: int
    bitwise: bool
    tolerance: Tolerance

    @property
    def judged_fields(self) -> list[FieldDifference]:
        """Fields whose bits differ and that no tolerance is meant for."""
        return [
            d for d in self.fields.differing if self.bitwise or not self.tolerance.judges(d.field)
        ]

    @property
    def judged(self) -> list[QuantityDifference]:
        """Quantities whose difference counts.

        With the digests of all fields equal, a quantity that is not exact may differ by the
        order in which it was summed; that is the instrument's difference, not the runs'.
        """
        state_same = bool(self.fields.compared) and not self.fields.differing
        return [
            q
            for q in self.quantities.differing
            if q.exact or not self.bitwise or not state_same or self.fields.uncompared
        ]

    @property
    def uncompared(self) -> tuple[Uncompared, ...]:
        """What was left out, with what only now turns out to be essential."""
        uncompared = [*self.fields.uncompared, *self.quantities.uncompared]
        if not self.fields.compared:
            # Without digests the series are the only evidence, so each of them counts.
            uncompared = [
                replace(u, essential=True)
                if u.what == "column" and u.code not in ("no-value", "decomposition")
                else u
                for u in uncompared
            ]
        if not self.bitwise:
            # Numbers of another precision have other digests, and the same extrema and integrals.
            uncompared = [
                replace(u, essential=False)
                if u.code == "dtype" and self.tolerance.judges(u.name) and self._has_numbers(u.name)
                else u
                for u in uncompared
            ]
            uncompared += [
                Uncompared(
                    what="field",
                    name=d.field,
                    code="no-number",
                    reason="differs in its bits, and no quantity was recorded to judge it by",
                    essential=True,
                )
                for d in self.fields.differing
                if self.tolerance.judges(d.field)
                and not self.tile_rows
                and not self._has_numbers(d.field)
            ]
        return tuple(uncompared)

    def _has_numbers(self, field: str) -> bool:
        return any(
            c.of == field or c.name.startswith(f"{field}.")
            for c in columns(self.a).values()
            if c.name in self.quantities.compared
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the sentence for it, its reasons, and whether only the lengths differ."""

    verdict: Verdict
    headline: str
    reasons: tuple[str, ...]
    only_length: bool = False


def judge(runs: ComparedRuns, first: FirstDifference | None, kind: str) -> Judgement:
    """Draw the verdict."""
    if not len(runs.alignment):
        text = f"Could not compare: {runs.alignment.problem}"
        return Judgement("could-not-compare", text, (runs.alignment.problem,))
    if not runs.fields.compared and not runs.quantities.compared:
        text = "Could not compare: no field or quantity is in both runs"
        return Judgement("could-not-compare", text, ("nothing was compared",))
    early = shorter(runs)
    reasons = tuple(_reasons(runs))
    if runs.judged_fields or runs.judged or runs.tiles:
        more = (early,) if early else ()
        return Judgement("different", _divergence_text(runs, first, kind), (*reasons, *more))
    essential = [u for u in runs.uncompared if u.essential]
    agreed = _agreed(runs)
    if early:
        return Judgement("different", f"{agreed}, but {early}", (*reasons, early), True)
    gap = _open_end(runs.alignment)
    if essential or gap:
        texts = [gap] if gap else []
        texts += [f"{u.what} {u.name} {u.reason}" for u in essential[:3]]
        more_text = f" (and {len(essential) - 3} more)" if len(essential) > 3 else ""
        text = f"Could not compare: {'; '.join(texts)}{more_text}; all else is equal"
        return Judgement("could-not-compare", text, (*reasons, *texts))
    return Judgement("same", agreed, reasons)


def shorter(runs: ComparedRuns) -> str:
    """How the length of the records differs, or an empty string."""
    alignment = runs.alignment
    for run, labels in (("A", alignment.labels_a), ("B", alignment.labels_b)):
        if labels:
            return f"checkpoint {labels[-1]!r} is only in {run}"
    if alignment.by == "label":
        return ""
    if bool(alignment.only_a.tail) == bool(alignment.only_b.tail):
        return ""
    longer, run, other = (runs.a, "A", "B") if alignment.only_a.tail else (runs.b, "B", "A")
    brief = runs.b if run == "A" else runs.a
    end, far = int(brief.series().step[-1]), int(longer.series().step[-1])
    if 0 <= far - end < _cadence(brief) and _finished(brief) == _finished(longer):
        return ""
    return f"{other} ends at step {end} and {run} goes on to step {far}"


def _open_end(alignment: Alignment) -> str:
    """Both runs go on after the last matching sample: their ends were not compared."""
    if alignment.only_a.tail and alignment.only_b.tail:
        last = int(alignment.steps_a[-1])
        return f"there is no matching sample after step {last}, though both runs go on"
    return ""


def _cadence(run: RunView) -> float:
    steps = run.series().step
    return float(np.sort(np.diff(steps))[len(steps) // 2 - 1]) if len(steps) > 1 else 0.0


def _finished(run: RunView) -> bool:
    segments = list(run.segments)
    end = segments[-1].end if segments else None
    return end is not None and end.ending == "finished"


def rank_text(a: RunView, b: RunView) -> str:
    """``" (4 ranks against 2)"`` where the rank counts differ."""
    one, two = (sorted({v.segment.ranks for v in run.segments}) for run in (a, b))
    if one == two or not one or not two:
        return ""
    first, second = (" and ".join(str(n) for n in ranks) for ranks in (one, two))
    return f" ({first} rank{'' if first == '1' else 's'} against {second})"


def _agreed(runs: ComparedRuns) -> str:
    n = len(runs.alignment)
    samples = f"{n} sample{'' if n == 1 else 's'}"
    ranks = rank_text(runs.a, runs.b)
    exact = not runs.quantities.differing and not runs.fields.differing
    if runs.bitwise or (exact and not runs.alignment.interpolated and runs.fields.compared):
        if runs.fields.compared:
            return f"Bit-for-bit the same at {samples}{ranks}"
        count = len(runs.quantities.compared)
        return f"The same in every bit of {count} quantities at {samples}{ranks}, without fields"
    interpolated = runs.alignment.interpolated
    by = f", {interpolated} of them interpolated" if interpolated else ""
    return f"The same within the tolerance at {samples}{by}{ranks}"


def _divergence_text(runs: ComparedRuns, first: FirstDifference | None, kind: str) -> str:
    if not runs.bitwise:
        quantities = runs.judged
        if quantities:
            names = _some(q.name for q in quantities)
            return f"Beyond the tolerance from step {quantities[0].step} on ({names})"
        if runs.judged_fields:
            field = runs.judged_fields[0]
            return f"The bits of {field.field} differ from step {field.step} on"
        tile = min(runs.tiles, key=lambda t: t.step)
        return f"Beyond the tolerance in the tiles of {tile.field} at step {tile.step}"
    if first is None:
        return "The runs differ"
    what = _some([*first.fields] or [*first.quantities])
    if kind == "non-finite":
        return f"Different only in that NaN equals nothing: {what} from step {first.step} on"
    if runs.fields.compared and not runs.fields.differing and not runs.alignment.interpolated:
        verb = "differs" if len(first.quantities) == 1 else "differ"
        return f"The fields are the same, but {what} {verb} from step {first.step} on"
    if first.after is None:
        shared = ", the first they share" if first.step else ""
        return f"The runs differ from step {first.step} on{shared} ({what})"
    if first.step - first.after == 1:
        return f"The runs diverge at step {first.step} ({what})"
    return f"The runs diverge between steps {first.after} and {first.step} ({what})"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    count = 1
    while count < len(listed) and len(", ".join(listed[: count + 1])) <= LONGEST_LIST:
        count += 1
    more = f" and {len(listed) - count} more" if len(listed) > count else ""
    return ", ".join(listed[:count]) + more


def _reasons(runs: ComparedRuns) -> list[str]:
    reasons = []
    fields, quantities = runs.fields, runs.quantities
    if fields.compared:
        equal = len(fields.compared) - len(fields.differing)
        reasons.append(
            f"{equal} of {len(fields.compared)} fields have equal digests at all "
            f"{fields.samples} matching samples"
        )
    if quantities.compared:
        equal = len(quantities.compared) - len(quantities.differing)
        how = "equal, bit for bit" if runs.bitwise else "within the tolerance"
        reasons.append(f"{equal} of {len(quantities.compared)} quantities are {how}")
    if runs.tile_rows:
        count = "none" if not runs.tiles else str(len(runs.tiles))
        where = f"{runs.tile_rows} matching checkpoint{'' if runs.tile_rows == 1 else 's'}"
        reasons.append(f"tile statistics at {where}: {count} beyond the tolerance")
    inexact = [q for q in quantities.differing if q not in runs.judged]
    if inexact:
        names = _some([q.name for q in inexact])
        reasons.append(f"differing, and no part of the state: {names}")
    if runs.alignment.interpolated:
        reasons.append(
            f"B was interpolated to {runs.alignment.interpolated} of "
            f"{len(runs.alignment)} times of A, within the error of interpolation"
        )
    return reasons


# What reference runs change in a verdict on two runs whose bits differ.


SURE_BY_ENSEMBLE = 0.9
SURE_BY_GROWTH = 0.7

ROUNDOFF_KINDS = ("roundoff, bounded", "roundoff, growing", "inconclusive")


def apply_reference(
    judgement: Judgement,
    kind: Classification,
    reference: Reference,
    runs: ComparedRuns,
    first: FirstDifference,
) -> tuple[Judgement, Classification]:
    """The verdict and the kind once the references have spoken.

    Only a difference of bits can be natural: a record that ends early, or something essential
    that was left out, stays what it is.
    """
    reasons = (*judgement.reasons, *reference.reasons)
    since = f"the bits differ from step {first.step} on"
    if reference.outcome == "unknown":
        text = f"Could not compare with the references: {reference.reasons[0]}; {since}"
        return Judgement("could-not-compare", text, reasons), kind
    if reference.outcome == "beyond":
        return _further(judgement, kind, reasons)
    sure = SURE_BY_GROWTH if reference.ensemble is None else SURE_BY_ENSEMBLE
    alone = f"without the references: {kind.meaning}"
    kind = Classification(
        kind="statistical only", confidence=sure, evidence=(alone, *kind.evidence)
    )
    agreed = f"Statistically the same: {since}, no further apart than the reference runs are"
    essential = [u for u in runs.uncompared if u.essential]
    early = shorter(runs)
    if early:
        return Judgement("different", f"{agreed}, but {early}", (*reasons, early)), kind
    if essential:
        texts = "; ".join(f"{u.what} {u.name} {u.reason}" for u in essential[:3])
        text = f"Could not compare: {texts}; all else is statistically the same"
        return Judgement("could-not-compare", text, (*reasons, texts)), kind
    return Judgement("same", agreed, reasons), kind


def _further(
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
