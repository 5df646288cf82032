"""Two runs compared with reference runs: is their difference no more than the natural spread?

The references are runs whose difference from A counts as no difference: twins with a perturbed
initial condition, or an ensemble of which A is a member. Two tests are made. The growth of the
difference between A and B must stay in the band of the growth between A and the references. With
enough of them, B must also pass for a member of the ensemble. Failing either is a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from msgspec.structs import replace

from ..errors import SetupError
from ..model.record import Record
from ..model.series import ColumnKind
from .alignment import Alignment, By, align, common_rows
from .ensemble import FEWEST, EnsembleTest, ensemble_test
from .growth import Band, growth_band
from .quantities import columns, renamed
from .run_view import Floats, Ints, RunView, SeriesView
from .scales import scales

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


MEASURES: frozenset[ColumnKind] = frozenset(
    {"budget", "conserved", "maximum", "minimum", "norm", "stability"}
)
"""Kinds of columns whose size is a fact about the state."""

COVERED = 0.5
"""Part of the sample times of A and B that a reference must have."""
MOST_MOMENTS = 1000
"""Longer series are thinned evenly to so many sample times."""
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
class _CommonSamples:
    """Quantities of several runs at the sample times that all of them have.

    `natural` holds A and the references, `tested` the runs compared with them; both are
    ``[runs, quantities, samples]``.
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
        If no sample of the series lies in the window, or if every reference is one of the runs
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
) -> _CommonSamples | Reference:
    """The quantities that all have at the sample times that all have; or why there are none."""
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
    return _CommonSamples(
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
    """The references that cover the samples of A and measure what A does, and why others do not."""
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
    """The sample times of the window, and the first and last step of them."""
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
