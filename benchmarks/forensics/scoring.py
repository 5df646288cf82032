"""What a comparison says of a case, held against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from simckpt.compare.comparison import Comparison, compare
from simckpt.compare.differences import RecordedDifference
from simckpt.compare.run_view import RunView

from .case import ANSWER, NOTHING, Case
from .truth import Account, Spread, Truth, truth


@dataclass(frozen=True, kw_only=True)
class Score:
    """How a comparison did on one case; None where a question does not apply.

    `rank` is the place of the true cause among the causes, 1 for the first, None if it is not among
    them; `void` says that the change had no effect on this machine, so that the case asks nothing.
    """

    name: str
    half: str
    same: bool
    void: bool = False
    found: bool | None = None
    step: bool | None = None
    place: bool | None = None
    kind: bool | None = None
    rank: int | None = None
    false_alarm: bool | None = None
    bytes: int = 0
    told_kind: str = ""
    told_cause: str = ""
    why_not: str = ""

    @property
    def first(self) -> bool | None:
        """Whether the true cause comes first."""
        return None if self.same or self.void else self.rank == 1

    @property
    def in_three(self) -> bool | None:
        """Whether the true cause is among the first three."""
        return None if self.same or self.void else self.rank is not None and self.rank <= 3


@dataclass(frozen=True)
class Known:
    """The truth of a case that does not depend on what a comparison says."""

    truth: Truth
    after: int | None
    a: Spread
    b: Spread


def known(a: Account, b: Account, one: RunView, two: RunView) -> Known:
    """The first step and place at which the runs diverge, of the steps that both have sampled."""
    steps = set(one.series().step.tolist()) & set(two.series().step.tolist())
    found = truth(a, b, steps)
    step = found.step if found.step is not None else 0
    after = max((s for s in steps if s < step), default=None)
    return Known(found, after, a.spread(step), b.spread(step))


def score(case: Case, facts: Known, one: RunView, two: RunView, size: int) -> Score:
    """Compare two runs and hold what is found against what is true."""
    found = compare(one, two)
    told = {
        "name": case.name, "half": case.half, "same": case.same, "bytes": size,
        "told_kind": found.classification.kind, "told_cause": _first_cause(found),
    }  # fmt: skip
    if case.same:
        alarm = found.exit_status != 0 or bool(found.explanation.causes)
        return Score(**told, false_alarm=alarm, why_not=found.headline if alarm else "")
    if facts.truth.step is None:
        return Score(**told, void=True, why_not="no array differs in any bit")
    place, why = _place(case, facts, found, one)
    step = _step(facts, found)
    if step is False and found.first is not None:
        why = f"step {facts.truth.step} and not {found.first.step}; {why}"
    return Score(
        **told,
        found=found.verdict == "different",
        step=step,
        place=place,
        kind=found.classification.kind in _kinds(case, facts),
        rank=_rank(case, found),
        why_not=why,
    )


def _kinds(case: Case, facts: Known) -> tuple[str, ...]:
    """The kinds that are right; of an answer-changing difference by when it is first seen."""
    when = "initial condition" if facts.truth.step == 0 else "answer-changing at a later step"
    if facts.after == 0 and facts.truth.step:
        when = "answer-changing from the first step"
    return tuple(when if kind == ANSWER else kind for kind in case.kinds)


def _step(facts: Known, found: Comparison) -> bool | None:
    if not facts.truth.comparable:
        return None
    return found.first is not None and found.first.step == facts.truth.step


def _place(case: Case, facts: Known, found: Comparison, one: RunView) -> tuple[bool | None, str]:
    """Fields, tiles, bounds and ranks as the arrays have them, and the figure as declared."""
    cells, step = facts.truth.cells, facts.truth.step
    named = [d for d in found.fields if d.step == step]
    if not facts.truth.comparable or not found.coverage.fields or step is None:
        return None, ""
    if {d.field for d in named} != set(cells):
        return False, f"fields {sorted(cells)} and not {sorted(d.field for d in named)}"
    for d in named:
        tiles = _tiles(cells[d.field], one.digests(d.field).tiles.edges)
        if tiles != (d.tiles, d.tile):
            return False, f"tiles of {d.field} {tiles} and not {(d.tiles, d.tile)}"
        held = facts.a.ranks(d.bounds), facts.b.ranks(d.bounds)
        if d.ranks_a and (d.ranks_a, d.ranks_b) != held:
            return False, f"ranks {held} and not {(d.ranks_a, d.ranks_b)}"
    figures = {d.pattern for d in named}
    if case.figures and not figures & set(case.figures):
        return False, f"figure {sorted(figures)}"
    return True, ""


def _tiles(cells: NDArray[np.bool_], edges: Sequence[Sequence[int]]) -> tuple[int, int]:
    """How many tiles hold a cell that differs, and the number of the first of them."""
    counts = cells.astype(np.int64)
    for axis, cuts in enumerate(edges):
        counts = np.add.reduceat(counts, cuts[:-1], axis=axis)
    return int(np.count_nonzero(counts)), int(np.argmax(counts.ravel() > 0))


def _rank(case: Case, found: Comparison) -> int | None:
    explanation = found.explanation
    if case.causes == (NOTHING,):
        # "Nothing recorded explains this" competes with the causes by its own share.
        if explanation.finding and not explanation.explained:
            return 1
        return 1 + sum(c.share > explanation.unexplained for c in explanation.causes)
    places = [
        i
        for i, cause in enumerate(explanation.causes, start=1)
        if any(_names(pattern, cause.difference) for pattern in case.causes)
    ]
    if not places:
        return None
    # A cause behind "nothing recorded" is not what the page says first.
    ahead = not explanation.explained and bool(explanation.finding)
    return places[0] + (1 if ahead else 0)


def _names(pattern: str, difference: RecordedDifference) -> bool:
    part, _, name = pattern.partition(":")
    names = (difference.path, difference.name)
    return fnmatchcase(difference.part, part) and any(fnmatchcase(n, name) for n in names)


def _first_cause(found: Comparison) -> str:
    explanation = found.explanation
    if not explanation.explained and explanation.finding:
        return NOTHING
    if not explanation.causes:
        return ""
    first = explanation.causes[0].difference
    return f"{first.part}:{first.path}"
