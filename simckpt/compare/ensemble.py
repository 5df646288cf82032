"""Whether runs belong to an ensemble: a test of principal components in the manner of PyCECT.

Each quantity is standardised by the ensemble's mean and standard deviation, the ensemble's
principal components are taken, and a component fails where a new run's score lies further from
the mean than chance allows, in two of three runs where three are tested (Baker et al. 2015,
Geosci. Model Dev. 8, 2829; single short runs as in Milroy et al. 2018, Geosci. Model Dev. 11,
697). Three failing components fail the test.

PyCECT takes 2 standard deviations and 50 components, which three runs of the ensemble itself
pass in 99.5 % of cases. It has hundreds of members. With few, three things are done so that the
rate stays: a score is judged by Student's t; each component's spread is that of members left out
in turn, since members lie closer to components that they helped to find; and the number of
standard deviations is raised until at most one in 200 ensembles' own runs would fail. A single
component, or what lies outside all of them, fails alone only where it is far beyond that.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan, comb, cos, pi, sin, sqrt

import numpy as np

from ..model.record import Record
from .run_view import Floats, Mask

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
MOST_STRAYS = 5


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
        Those so far off that one is enough; 0 is what lies outside all components.
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
    members: Floats,
    tested: Floats,
    names: Sequence[str],
    scale: Floats,
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
        Steps between which the values are means, for the report.
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


def _moved(members: Floats, tested: Floats, steady: Mask, scale: Floats) -> Mask:
    """Quantities that are constant in the ensemble and not in the runs that are tested."""
    distance = np.abs(tested - members.mean(axis=0)).min(axis=0)
    allowed = np.maximum(STRAYED * np.ptp(members, axis=0), ROUNDOFF * scale)
    moved: Mask = steady & (distance > allowed)
    return moved


def _scores(members: Floats, tested: Floats, components: int) -> tuple[Floats, Floats]:
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


def _standard(members: Floats, tested: Floats, components: int) -> tuple[Floats, Floats]:
    """Scores of runs over the members' spread of scores, and the length of the rest."""
    count = len(members)
    _, sizes, axes = np.linalg.svd(members, full_matrices=False)
    axes, sizes = axes[:components], sizes[:components]
    raw = tested @ axes.T
    rest = np.linalg.norm(tested - raw @ axes, axis=1)
    # With a member left out, the last directions may have lost the only run that spanned them.
    spread = np.maximum(sizes, 1e-9 * sizes[0] + 1e-300) / np.sqrt(count - 1)
    return raw / (spread * np.sqrt(1 + 1 / count)), rest


def _rank(members: Floats) -> int:
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


def _strays(sigmas: Floats, names: Sequence[str]) -> tuple[Stray, ...]:
    least = sigmas.min(axis=0)
    order = np.argsort(-least, kind="stable")[:MOST_STRAYS]
    strays = [Stray(name=names[int(i)], sigmas=float(least[i])) for i in order]
    return tuple(stray for stray in strays if stray.sigmas > SIGMAS)


# How probable a deviation is by chance alone.


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
