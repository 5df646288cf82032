"""Many runs compared with one another: who is the same as whom, and what sets the groups apart.

Two runs whose records are interchangeable (the same samples, every bit equal, nothing left out)
get the same verdict against any third, so each run is compared only with one run of each kind
met so far. The matrix is whole all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ..errors import SetupError
from ..model.record import Record
from .causes import Cause
from .comparison import EXIT_STATUS, Comparison, Options, RunSummary, compare
from .facts import run_facts
from .held import Held, held
from .separation import Separation, separate
from .verdict import Verdict
from .view import RunView

FEWEST_FOR_ODD = 3
"""Runs that it takes for one of them to be the odd one out."""

Matrix: TypeAlias = tuple[tuple["Cell", ...], ...]


class Cell(Record, frozen=True, kw_only=True):
    """The verdict on two runs, and the first step at which they differ, if they do."""

    verdict: Verdict
    step: int | None = None


SELF = Cell(verdict="same")


class Contrast(Record, frozen=True, kw_only=True):
    """How two groups differ, told by the first run of each; `a` and `b` number the groups.

    In the headline the run of group `a` is called A and that of group `b` is called B.
    """

    a: int
    b: int
    verdict: Verdict
    headline: str
    kind: str
    step: int | None = None
    cause: Cause | None = None


class ManyRuns(Record, frozen=True, kw_only=True):
    """The result of comparing several runs, each with each.

    Parameters
    ----------
    runs : tuple of RunSummary
    verdict : str
        ``same``: all are the same as one another; ``different``: some pair is different;
        ``could-not-compare``: no pair is, but some pair could not be compared.
    headline : str
        The verdict as a sentence.
    matrix : tuple of tuple of Cell
        ``matrix[i][j]`` is the verdict on run `i` and run `j`.
    groups : tuple of tuple of int
        Runs that are the same as each other, by number; the largest group first.
    odd : int or None
        The one run that stands apart where all others are the same.
    contrasts : tuple of Contrast
        How each group differs from the first.
    separations : tuple of Separation
        Recorded facts by which the runs fall into these groups, the best first.
    """

    runs: tuple[RunSummary, ...]
    verdict: Verdict
    headline: str
    bitwise: bool
    matrix: Matrix
    groups: tuple[tuple[int, ...], ...]
    odd: int | None
    contrasts: tuple[Contrast, ...]
    separations: tuple[Separation, ...]

    @property
    def exit_status(self) -> int:
        """0 for same, 1 for different, 2 for could not compare."""
        return EXIT_STATUS[self.verdict]

    def __bool__(self) -> bool:
        raise TypeError("many runs have three verdicts and no truth value; test .verdict")


def compare_many(runs: Sequence[RunView], options: Options | None = None) -> ManyRuns:
    """Compare each run with each other.

    Raises
    ------
    SetupError
        For fewer than two runs, or for options that name what a run does not have.
    """
    options = options or Options()
    if len(runs) < 2:
        raise SetupError("runs", len(runs), "are too few to compare")
    if options.renames and len(runs) > 2:
        raise SetupError(
            "map", options.renames, "says what two runs call a field, and here are more"
        )
    views = [held(run) for run in runs]
    first_of, compared = _compare_leaders(views, options)
    matrix = _matrix(first_of, compared)
    groups = _groups(matrix)
    others = {cell.verdict for row in matrix for cell in row}
    verdict: Verdict = "same"
    if others != {"same"}:
        verdict = "different" if "different" in others else "could-not-compare"
    odd = _odd(groups, matrix)
    members = [next(g for g, group in enumerate(groups) if i in group) for i in range(len(views))]
    return ManyRuns(
        runs=tuple(_summary(i, compared) for i in range(len(views))),
        verdict=verdict,
        headline=_headline(verdict, groups, options),
        bitwise=options.tolerance.bitwise,
        matrix=matrix,
        groups=groups,
        odd=odd,
        contrasts=tuple(_contrasts(groups, first_of, compared, views, options)),
        separations=separate([run_facts(view) for view in views], members),
    )


_Compared: TypeAlias = dict[tuple[int, int], Comparison]


def _compare_leaders(views: Sequence[Held], options: Options) -> tuple[list[int], _Compared]:
    """For each run the first one that it is interchangeable with, and all comparisons made."""
    first_of: list[int] = []
    compared: _Compared = {}
    for i, view in enumerate(views):
        mine = i
        for leader in dict.fromkeys(first_of):
            found = compare(views[leader], view, options)
            compared[leader, i] = found
            if _interchangeable(found):
                mine = leader
                break
        first_of.append(mine)
    return first_of, compared


def _interchangeable(c: Comparison) -> bool:
    """Whether any third run compares with one of these two as it does with the other."""
    equal = not (c.fields or c.quantities or c.tiles or c.uncompared)
    coverage = c.coverage
    matched = not (coverage.only_a.samples or coverage.only_b.samples or coverage.interpolated)
    labelled = coverage.by == "label" or coverage.labels_a or coverage.labels_b
    return bool(
        c.verdict == "same" and equal and matched and not labelled and c.a.ending == c.b.ending
    )


def _matrix(first_of: Sequence[int], compared: _Compared) -> Matrix:
    def cell(i: int, j: int) -> Cell:
        one, two = sorted((first_of[i], first_of[j]))
        if one == two:
            return SELF
        found = compared[one, two]
        apart = found.verdict == "different" and found.first is not None
        return Cell(verdict=found.verdict, step=found.first.step if apart and found.first else None)

    count = len(first_of)
    return tuple(tuple(cell(i, j) for j in range(count)) for i in range(count))


def _groups(matrix: Matrix) -> tuple[tuple[int, ...], ...]:
    """Each run joins the first group of which it is the same as every member."""
    groups: list[list[int]] = []
    for i, row in enumerate(matrix):
        for group in groups:
            if all(row[j].verdict == "same" for j in group):
                group.append(i)
                break
        else:
            groups.append([i])
    return tuple(tuple(g) for g in sorted(groups, key=lambda g: (-len(g), g[0])))


def _odd(groups: Sequence[Sequence[int]], matrix: Matrix) -> int | None:
    count = len(matrix)
    if count < FEWEST_FOR_ODD or len(groups) != 2 or len(groups[1]) != 1:
        return None
    (odd,) = groups[1]
    apart = all(matrix[odd][i].verdict == "different" for i in groups[0])
    return odd if apart else None


def _contrasts(
    groups: Sequence[Sequence[int]],
    first_of: Sequence[int],
    compared: _Compared,
    views: Sequence[Held],
    options: Options,
) -> list[Contrast]:
    found = []
    base = first_of[groups[0][0]]
    for number, group in enumerate(groups[1:], 1):
        other = first_of[group[0]]
        # The first group is A in what is told, whichever run was given first.
        comparison = compared.get((base, other))
        if comparison is None:
            comparison = compare(views[base], views[other], options)
        causes = comparison.explanation.causes
        found.append(
            Contrast(
                a=0,
                b=number,
                verdict=comparison.verdict,
                headline=comparison.headline,
                kind=comparison.classification.meaning,
                step=comparison.first.step if comparison.first is not None else None,
                cause=causes[0] if causes and not comparison.explanation.finding else None,
            )
        )
    return found


def _summary(i: int, compared: _Compared) -> RunSummary:
    """Every run was compared with some other."""
    pair = next(pair for pair in compared if i in pair)
    return compared[pair].a if i == pair[0] else compared[pair].b


def _headline(verdict: Verdict, groups: Sequence[Sequence[int]], options: Options) -> str:
    count = sum(len(g) for g in groups)
    how = "bit-for-bit the same" if options.tolerance.bitwise else "the same within the tolerance"
    if verdict == "same":
        return f"All {count} runs are {how}"
    if verdict == "could-not-compare":
        return f"Of {count} runs, some pairs could not be compared, and no pair differs"
    if len(groups) == count:
        return f"{count} runs, no two of them {how}"
    return f"{count} runs in {len(groups)} groups; within each they are {how}"
