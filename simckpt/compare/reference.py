"""Two runs compared with reference runs: is their difference no more than the natural spread?

The references are runs whose difference from A counts as no difference: twins with a perturbed
initial condition, or an ensemble of which A is a member. Two tests are made. The growth of the
difference between A and B must stay in the band of the growth between A and the references. With
enough of them, B must also pass for a member of the ensemble. Failing either is a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import atan, comb, cos, pi, sin, sqrt
from typing import Literal, TypeAlias

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ..errors import SetupError
from ..model.record import Record
from ..model.series import ColumnKind
from .alignment import Alignment, By, align, common_rows
from .growth import GrowthFit, fit_growth
from .quantities import columns, renamed
from .run_view import Floats, Ints, RunView, SeriesView
from .scales import scales

# How far runs that count as the same drift apart, and whether two runs drift further.
#
# In a chaotic system a difference of one rounding grows until it saturates. Twins that differ by
# no more than a rounding, or members of an ensemble, show how it grows: the largest difference
# between any two of them so far, quantity by quantity, is the top of the band. How far above it one
# more pair may lie depends on how many drew it. Two seeds of a difference project on the growing
# directions by chance, so with one reference a natural pair may be a hundred times as far apart
# while the difference is small; with eight hardly twice. The allowance is that of the 99th
# percentile in two chaotic systems (Lorenz 1996 and coupled logistic maps).


MOST_PAIRS = 120
WIDEST = 300.0
"""Times the top of the band that one reference allows; it falls as the square of their number."""
NARROWEST = 2.0
FLOOR = 1e-14
"""Relative difference below which rounding is all there is."""


class Excess(Record, frozen=True, kw_only=True):
    """A quantity that leaves the band: at which step first, and at most how many times its top."""

    name: str
    step: int
    times: float


class Band(Record, frozen=True, kw_only=True):
    """The natural growth of differences, and how two runs compare with it.

    Parameters
    ----------
    pairs, moments, quantities : int
        What the band was drawn from.
    allowance : float
        Times its top that counts as within.
    outside : tuple of Excess
        Quantities whose difference leaves the band, the earliest first.
    natural, observed : Growth or None
        The growth between the pairs that are furthest apart, and between the two runs.
    initial, observed_initial : float or None
        Relative size of the first difference seen between any pair, and between the two runs.
    """

    pairs: int
    moments: int
    quantities: int
    allowance: float
    outside: tuple[Excess, ...] = ()
    natural: GrowthFit | None = None
    observed: GrowthFit | None = None
    initial: float | None = None
    observed_initial: float | None = None


def growth_band(
    natural: Floats,
    tested: Floats,
    names: Sequence[str],
    scale: Floats,
    steps: Ints,
    t: Floats,
) -> Band:
    """Compare the growth of a difference with that between runs which count as the same.

    Parameters
    ----------
    natural : float64 array ``[runs, quantities, moments]``
        Two or more runs that count as the same; `tested` is compared with the first.
    tested : float64 array ``[quantities, moments]``
    names, scale : ``[quantities]``
    steps, t : ``[moments]``
    """
    scaled = np.where(scale > 0, scale, 1.0)[:, None]
    chosen = _pairs(len(natural))
    top = _top(natural, chosen, scaled)
    tested_curve = _so_far(np.abs(tested - natural[0]) / scaled)
    factor = allowance(len(natural) - 1)
    ratio = tested_curve / np.maximum(factor * top, FLOOR)
    ratio = np.where(np.isnan(tested) != np.isnan(natural[0]), np.inf, ratio)
    outside = [
        Excess(
            name=names[q],
            step=int(steps[int(np.argmax(ratio[q] > 1.0))]),
            times=float(np.max(tested_curve[q] / np.maximum(top[q], FLOOR))),
        )
        for q in range(len(names))
        if np.any(ratio[q] > 1.0)
    ]
    outside.sort(key=lambda e: (e.step, -e.times))
    highest, observed = top.max(axis=0), tested_curve.max(axis=0)
    return Band(
        pairs=len(chosen),
        moments=len(steps),
        quantities=len(names),
        allowance=factor,
        outside=tuple(outside),
        natural=fit_growth(highest, t, steps),
        observed=fit_growth(observed, t, steps),
        initial=_first(highest),
        observed_initial=_first(observed),
    )


def allowance(references: int) -> float:
    """Times the top of the band that a natural difference may reach."""
    return max(NARROWEST, WIDEST / references**2)


def _pairs(runs: int) -> list[tuple[int, int]]:
    pairs = list(combinations(range(runs), 2))
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return [pairs[i] for i in np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(int)]


def _top(natural: Floats, pairs: Sequence[tuple[int, int]], scale: Floats) -> Floats:
    """The largest difference of any pair so far."""
    top = np.zeros(natural.shape[1:])
    for i, j in pairs:
        np.maximum(top, _so_far(np.abs(natural[i] - natural[j]) / scale), out=top)
    return top


def _so_far(distance: Floats) -> Floats:
    """The largest finite difference up to each moment: a curve that crosses zero is still apart."""
    return np.maximum.accumulate(np.where(np.isfinite(distance), distance, 0.0), axis=-1)


def _first(curve: Floats) -> float | None:
    live = np.flatnonzero(curve > 0)
    return float(curve[live[0]]) if len(live) else None


# Which reference runs are runs of their own.
#
# A reference shows natural spread only if it is another run than those compared and than the other
# references. A copy, a file named twice, or a twin that repeats another bit for bit shows none: it
# would narrow the band, or make the run under test its own witness.


def independent(
    compared: Sequence[RunView], references: Sequence[RunView]
) -> tuple[list[RunView], list[str]]:
    """The references that repeat no other run, and why the others are left out."""
    runs = [
        ("the run under test" if number else "run A", run) for number, run in enumerate(compared)
    ]
    independent_runs: list[RunView] = []
    left_out = []
    for run in references:
        twin = next((name for name, other in runs if _repeats(run, other)), None)
        if twin is None:
            independent_runs.append(run)
            runs.append((f"reference {run.path}", run))
        else:
            left_out.append(f"{run.path} repeats {twin} and shows no spread")
    return independent_runs, left_out


def _repeats(run: RunView, other: RunView) -> bool:
    if run.run_id == other.run_id:
        return True
    one, two = run.series(), other.series()
    rows = common_rows(one.step, two.step)
    if not len(rows[0]) or not _same_numbers(one, two, rows):
        return False
    return all(_same_state(run, other, name) for name in {*run.fields} & {*other.fields})


def _same_numbers(one: SeriesView, two: SeriesView, rows: tuple[Ints, Ints]) -> bool:
    return all(
        np.array_equal(one[name][rows[0]], two[name][rows[1]], equal_nan=True)
        for name in {*one} & {*two}
    )


def _same_state(run: RunView, other: RunView, field: str) -> bool:
    """Whether a field is the same at the last step that has its digests in both runs.

    What differed before and left no trace in any number is no spread either.
    """
    one, two = run.digests(field), other.digests(field)
    if one.tiles.edges != two.tiles.edges:
        return True
    rows = common_rows(one.step, two.step)
    if not len(rows[0]):
        return True
    i, j = int(rows[0][-1]), int(rows[1][-1])
    return bool(np.array_equal(one.rows(i, i + 1), two.rows(j, j + 1)))


# How probable a deviation is by chance alone: Student's t and the binomial distribution.


def two_sided(t: float, freedom: int) -> float:
    """The probability that Student's t with `freedom` degrees lies outside ``[-t, t]``.

    The finite sums for a whole number of degrees: Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    angle = atan(abs(t) / sqrt(freedom))
    square = cos(angle) ** 2
    odd = freedom % 2
    term, total = (cos(angle) if odd else 1.0), 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= square * (k - 1) / k
    inside = 2.0 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
    return max(0.0, 1.0 - inside)


def deviation(probability: float, freedom: int) -> float:
    """The `t` outside of which Student's t lies with this probability, on either side."""
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > probability:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if two_sided(middle, freedom) > probability:
            low = middle
        else:
            high = middle
    return high


def at_least(count: int, of: int, probability: float) -> float:
    """The probability of at least `count` successes in `of` independent trials."""
    return sum(
        comb(of, k) * probability**k * (1.0 - probability) ** (of - k) for k in range(count, of + 1)
    )


# Whether runs belong to an ensemble: a test of principal components in the manner of PyCECT.
#
# Each quantity is standardised by the ensemble's mean and standard deviation, the ensemble's
# principal components are taken, and a component fails where a new run's score lies further from
# the mean than chance allows, in two of three runs where three are tested (Baker et al. 2015,
# Geosci. Model Dev. 8, 2829; single short runs as in Milroy et al. 2018, Geosci. Model Dev. 11,
# 697). Three failing components fail the test.
#
# PyCECT takes 2 standard deviations and 50 components, which three runs of the ensemble itself
# pass in 99.5 % of cases. It has hundreds of members. With few, three things are done so that the
# rate stays: a score is judged by Student's t; each component's spread is that of members left out
# in turn, since members lie closer to components that they helped to find; and the number of
# standard deviations is raised until at most one in 200 ensembles' own runs would fail. A single
# component, or what lies outside all of them, fails alone only where it is far beyond that.


Table: TypeAlias = NDArray[np.float64]
"""``[runs, quantities]``."""

FEWEST = 8
"""Members from which on a spread of components is worth anything."""
MOST_COMPONENTS = 50
MEMBERS_TO_A_COMPONENT = 4
FAILING = 3
SIGMAS = 2.0
BY_CHANCE = 0.005
FAR_BY_CHANCE = 0.0025
ROUNDOFF = 9e-13
"""Relative spread up to which a quantity is constant in the ensemble."""
STRAYED = 10.0
"""Ranges of the ensemble by which a quantity that hardly varies may lie off."""
MOST_NAMED_ENSEMBLE = 5


class Stray(Record, frozen=True, kw_only=True):
    """A quantity and how many of the ensemble's standard deviations it lies off its mean."""

    name: str
    sigmas: float


class EnsembleTest(Record, frozen=True, kw_only=True):
    """Whether runs belong to an ensemble.

    Parameters
    ----------
    passed : bool
        Whether they could.
    members, runs, quantities, components : int
        Of the ensemble, of those tested, and how many of each were used.
    first, last : int
        Steps between which the quantities are averaged.
    threshold : float
        Standard deviations beyond which a component fails in one run.
    in_runs : int
        Runs in which a component must fail.
    needed : int
        Failing components that fail the test.
    failing : tuple of int
        The components that fail, the first being 1.
    far : tuple of int
        Those so far off that one is enough; 0 stands for what lies outside all components.
    constant : tuple of str
        Quantities that no member moves and a tested run does.
    strays : tuple of Stray
        The quantities furthest off, the furthest first.
    """

    passed: bool
    members: int
    runs: int
    quantities: int
    components: int
    first: int
    last: int
    threshold: float
    in_runs: int
    needed: int
    failing: tuple[int, ...] = ()
    far: tuple[int, ...] = ()
    constant: tuple[str, ...] = ()
    strays: tuple[Stray, ...] = ()


def ensemble_test(
    members: Table,
    tested: Table,
    names: Sequence[str],
    scale: NDArray[np.float64],
    window: tuple[int, int],
) -> EnsembleTest | None:
    """Test runs against an ensemble; None with too few members, or if nothing in it varies.

    Parameters
    ----------
    members, tested : float64 arrays ``[runs, quantities]``
    names : sequence of str
    scale : float64 array ``[quantities]``
        The magnitude to which rounding errors of each quantity are relative.
    window : (int, int)
        Steps between which the values are means, to be told.
    """
    count = len(members)
    if count < FEWEST:
        return None
    mean, spread = members.mean(axis=0), members.std(axis=0, ddof=1)
    steady = spread <= ROUNDOFF * scale
    constant = _moved(members, tested, steady, scale)
    varying = ~steady
    if not varying.any():
        return None
    used = (members - mean)[:, varying] / spread[varying]
    new = (tested - mean)[:, varying] / spread[varying]
    components = min(MOST_COMPONENTS, count // MEMBERS_TO_A_COMPONENT, _rank(used))
    scores, rest = _scores(used, new, components)
    in_runs = -(-2 * len(tested) // 3)
    needed = min(FAILING, components)
    threshold = _threshold(count, components, len(tested), in_runs, needed)
    outside = np.count_nonzero(scores > threshold, axis=0) >= in_runs
    limit = deviation(_each_run(FAR_BY_CHANCE / components, len(tested), in_runs), count - 1)
    far = np.count_nonzero(scores > limit, axis=0) >= in_runs
    rest_limit = deviation(2 * _each_run(FAR_BY_CHANCE, len(tested), in_runs), count - 1)
    rest_fails = np.count_nonzero(rest > rest_limit) >= in_runs
    failing = (np.flatnonzero(outside) + 1).tolist()
    alone = [0] * bool(rest_fails) + (np.flatnonzero(far) + 1).tolist()
    moved = [names[int(i)] for i in np.flatnonzero(constant)]
    return EnsembleTest(
        passed=len(failing) < needed and not alone and not moved,
        members=count,
        runs=len(tested),
        quantities=int(np.count_nonzero(varying)),
        components=components,
        first=window[0],
        last=window[1],
        threshold=threshold,
        in_runs=in_runs,
        needed=needed,
        failing=tuple(failing),
        far=tuple(alone),
        constant=tuple(moved),
        strays=_strays(np.abs(new), [names[int(i)] for i in np.flatnonzero(varying)]),
    )


def _moved(
    members: Table, tested: Table, steady: NDArray[np.bool_], scale: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Quantities that are constant in the ensemble and not in the runs that are tested."""
    distance = np.abs(tested - members.mean(axis=0)).min(axis=0)
    allowed = np.maximum(STRAYED * np.ptp(members, axis=0), ROUNDOFF * scale)
    moved: NDArray[np.bool_] = steady & (distance > allowed)
    return moved


def _scores(members: Table, tested: Table, components: int) -> tuple[Table, NDArray[np.float64]]:
    """How far each run's scores, and what they leave unexplained, lie off, in deviations.

    The spread is that of members left out in turn; that of the members themselves is its floor.
    """
    count = len(members)
    own = _standard(members, members, components)[0]
    left_out, rests = np.empty((count, components)), np.empty(count)
    for i in range(count):
        rest_of = np.delete(members, i, axis=0)
        middle, spread = rest_of.mean(axis=0), rest_of.std(axis=0, ddof=1)
        spread[spread == 0] = 1.0
        one = (members[i : i + 1] - middle) / spread
        scores, rest = _standard((rest_of - middle) / spread, one, components)
        left_out[i], rests[i] = scores[0], rest[0]
    new, rest = _standard(members, tested, components)
    wider = np.maximum(np.sqrt(np.mean(left_out**2, axis=0)), np.sqrt(np.mean(own**2, axis=0)))
    logs = np.log(rests + 1e-300)
    spread_of_rest = max(float(logs.std(ddof=1)), 1e-3) * np.sqrt(1 + 1 / count)
    return np.abs(new) / wider, (np.log(rest + 1e-300) - logs.mean()) / spread_of_rest


def _standard(members: Table, tested: Table, components: int) -> tuple[Table, NDArray[np.float64]]:
    """Scores of runs over the members' spread of scores, and the length of the rest."""
    count = len(members)
    _, sizes, axes = np.linalg.svd(members, full_matrices=False)
    axes, sizes = axes[:components], sizes[:components]
    raw = tested @ axes.T
    rest = np.linalg.norm(tested - raw @ axes, axis=1)
    # With a member left out, the last directions may have lost the only run that spanned them.
    spread = np.maximum(sizes, 1e-9 * sizes[0] + 1e-300) / np.sqrt(count - 1)
    return raw / (spread * np.sqrt(1 + 1 / count)), rest


def _rank(members: Table) -> int:
    sizes = np.linalg.svd(members, compute_uv=False)
    return max(1, int(np.count_nonzero(sizes > 1e-9 * sizes[0])))


def _threshold(members: int, components: int, runs: int, in_runs: int, needed: int) -> float:
    """The deviations, at least 2, by which an ensemble's own runs seldom fail."""

    def failing(sigmas: float) -> float:
        component = at_least(in_runs, runs, two_sided(sigmas, members - 1))
        return at_least(needed, components, component)

    low, high = SIGMAS, SIGMAS
    while failing(high) > BY_CHANCE:
        high *= 1.5
    for _ in range(40):
        middle = 0.5 * (low + high)
        if failing(middle) > BY_CHANCE:
            low = middle
        else:
            high = middle
    return high


def _each_run(probability: float, runs: int, in_runs: int) -> float:
    """The probability in one run by which `in_runs` of `runs` have this one."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if at_least(in_runs, runs, middle) > probability:
            high = middle
        else:
            low = middle
    return low


def _strays(sigmas: Table, names: Sequence[str]) -> tuple[Stray, ...]:
    least = sigmas.min(axis=0)
    order = np.argsort(-least, kind="stable")[:MOST_NAMED_ENSEMBLE]
    strays = [Stray(name=names[int(i)], sigmas=float(least[i])) for i in order]
    return tuple(stray for stray in strays if stray.sigmas > SIGMAS)


MEASURES: frozenset[ColumnKind] = frozenset(
    {"budget", "conserved", "maximum", "minimum", "norm", "stability"}
)
"""Kinds of columns whose size is a fact about the state."""

COVERED = 0.5
"""Part of the moments of A and B that a reference must have."""
MOST_MOMENTS = 1000
"""Longer series are thinned evenly to so many moments."""
FEWEST_MOMENTS = 3
MOST_NAMED = 3

ReferenceOutcome: TypeAlias = Literal["within", "beyond", "unknown"]


class Reference(Record, frozen=True, kw_only=True):
    """How the difference between two runs compares with that between runs that count as the same.

    Parameters
    ----------
    outcome : str
        ``within``: no more than their spread; ``beyond``: more; ``unknown``: they cannot say.
    runs : tuple of str
        The references used.
    left_out : tuple of str
        References that were not, and why.
    band : Band or None
        The test of growth.
    ensemble : EnsembleTest or None
        The test of principal components, which takes eight members with A.
    reasons : tuple of str
        What the outcome rests on.
    """

    outcome: ReferenceOutcome
    runs: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    band: Band | None = None
    ensemble: EnsembleTest | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    """Quantities of several runs at the moments that all of them have.

    `natural` holds A and the references, `tested` the runs compared with them; both are
    ``[runs, quantities, moments]``.
    """

    names: tuple[str, ...]
    scale: Floats
    steps: Ints
    t: Floats
    natural: Floats
    tested: Floats
    runs: tuple[str, ...]
    left_out: tuple[str, ...]


def refer(
    a: RunView,
    tested: Sequence[RunView],
    references: Sequence[RunView],
    by: By = "step",
    window: tuple[int, int] | None = None,
    renames: Mapping[str, str] | None = None,
) -> Reference:
    """Hold runs against the references of A.

    Parameters
    ----------
    a : RunView
        The run that the references are perturbed twins of, or an ensemble with.
    tested : sequence of RunView
        One run, or several of one configuration, of which a component must then fail in two
        thirds.
    references : sequence of RunView
    by : str
        How samples are paired.
    window : (int, int), optional
        Steps between which the quantities are averaged for the test of principal components. By
        default the later half of what all runs have.
    renames : dict, optional
        Names in the tested runs of what A calls otherwise.

    Raises
    ------
    SetupError
        If no moment of the series lies in the window, or if every reference is one of the runs
        compared.
    """
    alone, repeated = independent((a, *tested), references)
    if references and not alone:
        raise SetupError(
            "--reference",
            ", ".join(str(run.path) for run in references),
            f"leaves no run to refer to: {'; '.join(repeated[:MOST_NAMED])}",
            mend="Name perturbed twins of A, or other members of an ensemble with it.",
        )
    table = _table(a, tested, alone, by, renames or {})
    if isinstance(table, Reference):
        texts = tuple(f"reference {text}" for text in repeated[:MOST_NAMED])
        return replace(
            table,
            left_out=(*repeated, *table.left_out),
            reasons=(*table.reasons, *texts),
        )
    left_out = (*repeated, *table.left_out)
    new, natural = table.tested, table.natural
    bands = [
        growth_band(natural, one, table.names, table.scale, table.steps, table.t) for one in new
    ]
    # Of several runs the middle one speaks, as most of them must fail.
    band = sorted(bands, key=lambda b: len(b.outside))[(len(bands) - 1) // 2]
    rows, first, last = _rows(table.steps, window)
    members, averaged = natural[:, :, rows].mean(axis=2), new[:, :, rows].mean(axis=2)
    sound = np.isfinite(members).all(axis=0) & np.isfinite(averaged).all(axis=0)
    ensemble = ensemble_test(
        members[:, sound],
        averaged[:, sound],
        [n for n, s in zip(table.names, sound, strict=True) if s],
        table.scale[sound],
        (first, last),
    )
    differs = bool(band.outside) or (ensemble is not None and not ensemble.passed)
    return Reference(
        outcome="beyond" if differs else "within",
        runs=table.runs,
        left_out=left_out,
        band=band,
        ensemble=ensemble,
        reasons=(
            _about_band(band),
            _about_ensemble(ensemble, len(natural)),
            *(f"reference {text}" for text in left_out[:MOST_NAMED]),
        ),
    )


def _table(
    a: RunView,
    tested: Sequence[RunView],
    references: Sequence[RunView],
    by: By,
    renames: Mapping[str, str],
) -> _Table | Reference:
    """The quantities that all have at the moments that all have; or why there are none."""
    series, columns_a = a.series(), columns(a)
    aligned = [align(a, run, by) for run in tested]
    rows = np.arange(len(series.step))
    for alignment in aligned:
        rows = rows[np.isin(rows, alignment.rows_a)]
    names = [
        name
        for name, column in columns_a.items()
        if column.kind in MEASURES
        and all(renamed(name, renames) in columns(run) for run in tested)
        and bool(np.isfinite(series[name][rows]).any())
    ]
    usable, left_out = _usable(a, references, by, rows, names)
    for _, alignment in usable:
        rows = rows[np.isin(rows, alignment.rows_a)]
    problem = ""
    if not usable:
        problem = "none of the references can be compared with A"
    elif len(rows) < FEWEST_MOMENTS:
        problem = f"all runs together have {_plain(len(rows), 'sample')} in common"
    elif not names:
        problem = "no quantity is measured in all runs"
    if problem:
        reasons = (problem, *(f"reference {text}" for text in left_out[:MOST_NAMED]))
        return Reference(outcome="unknown", runs=(), left_out=tuple(left_out), reasons=reasons)
    if len(rows) > MOST_MOMENTS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_MOMENTS).astype(int)]
    size = scales(series, columns_a)
    own = np.array([series[name][rows] for name in names])
    return _Table(
        names=tuple(names),
        scale=np.array([size[name] for name in names]),
        steps=series.step[rows],
        t=series.t[rows],
        natural=np.array([own, *(_at(a, run, al, rows, names, {}) for run, al in usable)]),
        tested=np.array(
            [_at(a, run, al, rows, names, renames) for run, al in zip(tested, aligned, strict=True)]
        ),
        runs=tuple(str(run.path) for run, _ in usable),
        left_out=tuple(left_out),
    )


def _usable(
    a: RunView, references: Sequence[RunView], by: By, rows: Ints, names: Sequence[str]
) -> tuple[list[tuple[RunView, Alignment]], list[str]]:
    """The references that cover the moments of A and measure what A does, and why others do not."""
    usable, left_out = [], []
    for run in references:
        alignment = align(a, run, by)
        shared = int(np.count_nonzero(np.isin(rows, alignment.rows_a)))
        missing = [name for name in names if name not in columns(run)]
        if shared < max(FEWEST_MOMENTS, COVERED * len(rows)):
            left_out.append(f"{run.path} has {shared} of {_plain(len(rows), 'sample')}")
        elif missing:
            left_out.append(f"{run.path} does not measure {missing[0]}")
        else:
            usable.append((run, alignment))
    return usable, left_out


def _at(
    a: RunView,
    run: RunView,
    alignment: Alignment,
    rows: Ints,
    names: Sequence[str],
    renames: Mapping[str, str],
) -> Floats:
    """The quantities of one run at some rows of A, ``[quantities, rows]``."""
    order = np.argsort(alignment.rows_a, kind="stable")
    at = order[np.searchsorted(alignment.rows_a, rows, sorter=order)]
    own, other = a.series(), run.series()
    return np.array([alignment.pair(own[n], other[renamed(n, renames)])[1][at] for n in names])


def _rows(steps: Ints, window: tuple[int, int] | None) -> tuple[Ints, int, int]:
    """The moments of the window, and the first and last step of them."""
    if window is None:
        rows = np.arange(len(steps) // 2, len(steps))
    else:
        rows = np.flatnonzero((steps >= window[0]) & (steps <= window[1]))
        if not len(rows):
            raise SetupError(
                "window",
                f"{window[0]}:{window[1]}",
                f"holds none of the samples that all runs have (steps {steps[0]} to {steps[-1]})",
            )
    return rows, int(steps[rows[0]]), int(steps[rows[-1]])


def _about_band(band: Band) -> str:
    of = f"between {_plain(band.pairs, 'pair')} of runs that count as the same"
    if not band.outside:
        text = f"A and B stay within the growth of differences {of}"
    else:
        names = ", ".join(e.name for e in band.outside[:MOST_NAMED])
        more = f" and {len(band.outside) - MOST_NAMED} more" * (len(band.outside) > MOST_NAMED)
        first = band.outside[0]
        text = (
            f"A and B are further apart than any difference {of}: {names}{more}, "
            f"from step {first.step} on, at most {first.times:.2g} times"
        )
    rates = [
        f"{'they' if growth is band.natural else 'A and B'} double every {growth.doubling:.3g}"
        for growth in (band.natural, band.observed)
        if growth is not None and growth.doubling is not None
    ]
    if len(rates) == 2 and band.natural is not None:
        text += f"; {' and '.join(rates)} in {band.natural.against}"
    return text


def _about_ensemble(test: EnsembleTest | None, members: int) -> str:
    if test is None:
        if members < FEWEST:
            return (
                f"no test of principal components: {members} members with A, and it takes {FEWEST}"
            )
        return "no test of principal components: no quantity varies in the ensemble"
    where = f"steps {test.first} to {test.last}" if test.first < test.last else f"step {test.first}"
    basis = (
        f"{test.components} principal components of {_plain(test.quantities, 'quantity')} in an "
        f"ensemble of {test.members} ({where})"
    )
    if test.passed:
        failing = f"{len(test.failing)} of {basis} fail"
        return f"B passes for a member: {failing}, and it takes {test.needed}"
    parts = []
    if len(test.failing) >= test.needed:
        parts.append(
            f"{len(test.failing)} of {basis} lie beyond {test.threshold:.1f} standard deviations"
        )
    elif test.far:
        which = "what lies outside" if test.far[0] == 0 else f"number {test.far[0]}"
        parts.append(f"of {basis}, {which} is far off")
    if test.constant:
        parts.append(f"{', '.join(test.constant[:MOST_NAMED])} is constant in it and moves in B")
    if test.strays:
        worst = test.strays[0]
        parts.append(f"furthest off is {worst.name}, by {worst.sigmas:.3g} standard deviations")
    return f"B is no member: {'; '.join(parts)}"


def _plain(count: int, what: str) -> str:
    """A number with its noun."""
    if count == 1:
        return f"1 {what}"
    return f"{count} {what[:-1]}ies" if what.endswith("y") else f"{count} {what}s"
