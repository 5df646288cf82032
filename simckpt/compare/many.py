"""Many runs compared with one another: which runs are identical, and what separates the groups.

Two runs whose records are interchangeable (the same samples, every bit equal, nothing left out)
get the same verdict against any third, so each run is compared only with one run of each kind
met so far; and where fingerprints differ, no further comparison is made. The matrix is
whole all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import blake3
import numpy as np

from ..errors import SetupError
from ..model.record import Record
from .alignment import common_rows, rising
from .causes import Cause
from .comparison import EXIT_STATUS, Comparison, Options, RunSummary, compare, summarise
from .facts import RunFacts, ending, run_facts
from .held import Held, held
from .quantities import STATE, columns
from .reference import Reference, refer
from .run_view import Floats, Ints, RunView, Words
from .separation import Separation, separate
from .verdict import Verdict

# Fingerprints of runs: one number for the state at each sample.
#
# Of thousands of runs, each with each, hardly any pair needs a whole comparison. Where two runs
# measure the same things in the same way, equal fingerprints throughout mean interchangeable
# records, and the first matching step at which they differ is the first at which the states do.
# Anything else (a NaN, which equals nothing; a failed diagnostic; other fields or columns) gets no
# fingerprint and is compared in full.


BLOCK_BYTES = 1 << 21
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class StateFingerprint:
    """What distinguishes a run from others.

    Parameters
    ----------
    measured : tuple
        What it measures and how it ended; only runs that share this have comparable fingerprints.
    steps, states : arrays
        The steps of its samples, and one number for the state at each.
    whole : bytes
        A hash of all samples, whatever they measure.
    """

    measured: tuple[object, ...]
    steps: Ints
    states: Words
    all_samples: bytes


def fingerprint(run: Held) -> StateFingerprint | None:
    """The fingerprint of a run, or None if only a whole comparison can judge it."""
    series, by_name, segments = run.series(), columns(run), run.segments
    if not run.fields or not rising(series.step) or np.asarray(series.faults).any():
        return None
    if len(segments) != 1:
        return None
    states = np.zeros(len(series.step), np.uint64)
    all_samples, absent = blake3.blake3(series.step.tobytes()), []
    for name in ("t", *by_name):
        values = series.t if name == "t" else series[name]
        missing = np.isnan(values)
        if missing.any() and not missing.all():
            return None
        absent.append(bool(missing.any()))
        bits = _bits(values)
        all_samples.update(bits.tobytes())
        if name != "t" and by_name[name].kind in STATE and by_name[name].exact:
            states = _mixed(states, bits)
    tiles: list[object] = []
    for field in run.fields:
        digests = run.digests(field)
        if not np.array_equal(digests.step, series.step):
            return None
        tiles.append(digests.tiles)
        rows = max(1, BLOCK_BYTES // (8 * max(1, digests.tiles.size)))
        for start in range(0, len(series.step), rows):
            part = slice(start, min(start + rows, len(series.step)))
            words = digests.rows(part.start, part.stop).reshape(part.stop - part.start, -1)
            all_samples.update(np.ascontiguousarray(words).tobytes())
            weights = _mixed(np.arange(1, words.shape[1] + 1, dtype=np.uint64), _ODD)
            states[part] = _mixed(states[part], (_stirred(words) * weights).sum(axis=1))
    return StateFingerprint(
        measured=(
            tuple(tiles),
            tuple((c.name, c.kind, c.exact) for c in by_name.values()),
            tuple(absent),
            ending(segments[0]),
        ),
        steps=series.step,
        states=states,
        all_samples=all_samples.digest(),
    )


def compare_fingerprints(
    a: StateFingerprint | None, b: StateFingerprint | None
) -> Literal["same", "unknown"] | int:
    """``same``, the first matching step at which two runs differ, or ``unknown``."""
    if a is None or b is None or a.measured != b.measured:
        return "unknown"
    if a.all_samples == b.all_samples:
        return "same"
    one, two = common_rows(a.steps, b.steps)
    differs = a.states[one] != b.states[two]
    return int(a.steps[one][int(np.argmax(differs))]) if differs.any() else "unknown"


def _bits(values: Floats) -> Words:
    return np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)


def _mixed(states: Words, more: Words | np.uint64) -> Words:
    return _stirred(states * _ODD + more)


def _stirred(words: Words) -> Words:
    """The finaliser of MurmurHash3, a permutation of 64-bit words."""
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return words ^ (words >> np.uint64(33))


FEWEST_FOR_ODD = 3
"""Runs that it takes for one of them to be the odd one out."""

MOST_HELD = 32
"""Runs of which the samples are kept between one comparison and the next."""

MOST_CONTRASTS = 50
"""Groups that are compared with the first in full."""

Matrix: TypeAlias = tuple[tuple["Cell", ...], ...]


class Cell(Record, frozen=True, kw_only=True):
    """The verdict on two runs, and the first step at which they differ, if they do."""

    verdict: Verdict
    step: int | None = None


SELF = Cell(verdict="same")


class Contrast(Record, frozen=True, kw_only=True):
    """How the first runs of two groups differ; `a` and `b` number the groups.

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
        The one run that differs where all others are the same.
    contrasts : tuple of Contrast
        How each group differs from the first, of at most 50.
    separations : tuple of Separation
        Recorded facts by which the runs fall into these groups, the best first.
    reference : Reference or None
        How the runs after the first compare with reference runs, if there are any; together, as
        runs of one configuration.
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
    reference: Reference | None = None

    @property
    def exit_status(self) -> int:
        """0 for same, 1 for different, 2 for could not compare."""
        return EXIT_STATUS[self.verdict]

    def __bool__(self) -> bool:
        raise TypeError("many runs have three verdicts and no truth value; test .verdict")


def compare_many(
    runs: Sequence[RunView],
    options: Options | None = None,
    references: Sequence[RunView] = (),
) -> ManyRuns:
    """Compare each run with each other.

    With `references`, which count as the same as the first run, the other runs are tested against
    these together; if they differ from the first by no more, all are statistically the same.

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
    # One run after another: of thousands, each is opened once.
    briefs = [_brief(view, options) for view in views]
    pairs = _Pairs(views, [one.fingerprint for one in briefs], options)
    first_of = _leaders(pairs)
    matrix = _matrix(first_of, pairs)
    groups = _groups(matrix)
    verdicts = {cell.verdict for row in matrix for cell in row}
    verdict: Verdict = "same"
    if verdicts != {"same"}:
        verdict = "different" if "different" in verdicts else "could-not-compare"
    odd = _odd(groups, matrix)
    members = [0] * len(views)
    for number, group in enumerate(groups):
        for i in group:
            members[i] = number
    headline, reference = _headline(verdict, groups, options), None
    if references and verdict == "different":
        reference = refer(
            views[0], views[1:], [held(r) for r in references], options.by, options.window
        )
        verdict, headline = _with_reference(reference, headline, len(views) - 1)
    return ManyRuns(
        runs=tuple(one.summary for one in briefs),
        verdict=verdict,
        headline=headline,
        bitwise=options.tolerance.bitwise,
        matrix=matrix,
        groups=groups,
        odd=odd,
        contrasts=tuple(_contrasts(groups, first_of, pairs)),
        separations=separate([one.facts for one in briefs], members),
        reference=reference,
    )


def _with_reference(reference: Reference, headline: str, tested: int) -> tuple[Verdict, str]:
    after = f"the {tested} runs after the first"
    if reference.outcome == "within":
        distance = "no further apart from it than the reference runs are"
        return "same", f"Statistically the same: {after} are {distance}; {headline}"
    if reference.outcome == "beyond":
        return "different", f"{headline}; {after} go further from it than the reference runs"
    problem = reference.reasons[0]
    return "could-not-compare", f"Could not compare with the references: {problem}; {headline}"


class _RunBrief(NamedTuple):
    """What is kept of a run that is not compared in full."""

    fingerprint: StateFingerprint | None
    summary: RunSummary
    facts: RunFacts


def _brief(view: Held, options: Options) -> _RunBrief:
    # Marks know bits, and samples at the same step.
    by_bits = options.by == "step" and options.tolerance.bitwise and not options.renames
    brief = _RunBrief(fingerprint(view) if by_bits else None, summarise(view), run_facts(view))
    view.release()
    return brief


class _Pairs:
    """The verdicts on pairs of runs, found as they are asked for and by the shortest way."""

    def __init__(
        self,
        views: Sequence[Held],
        fingerprints: Sequence[StateFingerprint | None],
        options: Options,
    ) -> None:
        self.views = views
        self._fingerprints = fingerprints
        self._options = options
        self._compared: dict[tuple[int, int], Comparison] = {}
        self._different: dict[int, Cell] = {}

    def interchangeable(self, i: int, j: int) -> bool:
        """Whether any third run compares with one of these two as it does with the other."""
        result = compare_fingerprints(self._fingerprints[i], self._fingerprints[j])
        if result == "unknown":
            return _interchangeable(self.compared(i, j))
        return result == "same"

    def cell(self, i: int, j: int) -> Cell:
        """The verdict on two runs."""
        result = compare_fingerprints(self._fingerprints[i], self._fingerprints[j])
        if result == "same":
            return SELF
        if isinstance(result, int):
            return self._different.setdefault(result, Cell(verdict="different", step=result))
        comparison = self.compared(min(i, j), max(i, j))
        differs = comparison.verdict == "different" and comparison.first is not None
        return Cell(
            verdict=comparison.verdict,
            step=comparison.first.step if differs and comparison.first else None,
        )

    def compared(self, i: int, j: int) -> Comparison:
        """The whole comparison, in which run `i` is A."""
        if (i, j) not in self._compared:
            self._compared[i, j] = compare(self.views[i], self.views[j], self._options)
            if len(self.views) > MOST_HELD:
                self.views[i].release()
                self.views[j].release()
        return self._compared[i, j]


def _leaders(pairs: _Pairs) -> list[int]:
    """For each run the first one that it is interchangeable with."""
    first_of: list[int] = []
    leaders: list[int] = []
    for i in range(len(pairs.views)):
        leader = next((other for other in leaders if pairs.interchangeable(other, i)), i)
        if leader == i:
            leaders.append(i)
        first_of.append(leader)
    return first_of


def _interchangeable(c: Comparison) -> bool:
    """Whether any third run compares with one of these two as it does with the other."""
    left_out = [u for u in c.uncompared if u.code != "no-value"]
    equal = not (c.fields or c.quantities or c.tiles or left_out)
    coverage = c.coverage
    matched = not (coverage.only_a.samples or coverage.only_b.samples or coverage.interpolated)
    labelled = coverage.by == "label" or coverage.labels_a or coverage.labels_b
    return bool(
        c.verdict == "same" and equal and matched and not labelled and c.a.ending == c.b.ending
    )


def _matrix(first_of: Sequence[int], pairs: _Pairs) -> Matrix:
    leaders = list(dict.fromkeys(first_of))
    place = {leader: at for at, leader in enumerate(leaders)}
    cells = [[SELF] * len(leaders) for _ in leaders]
    for i, one in enumerate(leaders):
        for j in range(i):
            cells[i][j] = cells[j][i] = pairs.cell(leaders[j], one)
    columns = [place[leader] for leader in first_of]
    rows = [tuple(row[c] for c in columns) for row in cells]
    return tuple(rows[c] for c in columns)


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
    differs = all(matrix[odd][i].verdict == "different" for i in groups[0])
    return odd if differs else None


def _contrasts(
    groups: Sequence[Sequence[int]],
    first_of: Sequence[int],
    pairs: _Pairs,
) -> list[Contrast]:
    contrasts = []
    base = first_of[groups[0][0]]
    for number, group in enumerate(groups[1 : 1 + MOST_CONTRASTS], 1):
        other = first_of[group[0]]
        # The first group is A in the report, whichever run was given first.
        comparison = pairs.compared(base, other)
        causes = comparison.explanation.causes
        contrasts.append(
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
    return contrasts


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
