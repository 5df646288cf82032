"""Two runs held against reference runs: is their difference no more than the natural spread?

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

from ...errors import SetupError
from ...model.record import Record
from ...model.series import ColumnKind
from ..view import Floats, Ints, RunView
from ..where.alignment import Alignment, By, align
from ..where.quantities import columns, renamed
from ..where.scales import scales
from .ensemble import FEWEST, EnsembleTest, ensemble_test
from .independent import independent
from .spread import Band, growth_band

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

Standing: TypeAlias = Literal["within", "beyond", "untold"]


class Reference(Record, frozen=True, kw_only=True):
    """How the difference between two runs compares with that between runs that count as the same.

    Parameters
    ----------
    standing : str
        ``within``: no more than their spread; ``beyond``: more; ``untold``: they do not tell.
    runs : tuple of str
        The references used.
    left_out : tuple of str
        References that were not, and why.
    band : Band or None
        The test of growth.
    ensemble : EnsembleTest or None
        The test of principal components, which takes eight members with A.
    reasons : tuple of str
        What the standing rests on.
    """

    standing: Standing
    runs: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    band: Band | None = None
    ensemble: EnsembleTest | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    """Quantities of several runs at the moments that all of them have.

    `natural` holds A and the references, `tested` the runs held against them; both are
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
        told = tuple(f"reference {text}" for text in repeated[:MOST_NAMED])
        return replace(
            table,
            left_out=(*repeated, *table.left_out),
            reasons=(*table.reasons, *told),
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
    beyond = bool(band.outside) or (ensemble is not None and not ensemble.passed)
    return Reference(
        standing="beyond" if beyond else "within",
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
    series, known = a.series(), columns(a)
    aligned = [align(a, run, by) for run in tested]
    rows = np.arange(len(series.step))
    for alignment in aligned:
        rows = rows[np.isin(rows, alignment.rows_a)]
    wanted = [
        name
        for name, column in known.items()
        if column.kind in MEASURES
        and all(renamed(name, renames) in columns(run) for run in tested)
        and bool(np.isfinite(series[name][rows]).any())
    ]
    kept, left_out = _usable(a, references, by, rows, wanted)
    for _, alignment in kept:
        rows = rows[np.isin(rows, alignment.rows_a)]
    problem = ""
    if not kept:
        problem = "none of the references can be held against A"
    elif len(rows) < FEWEST_MOMENTS:
        problem = f"all runs together have {_plain(len(rows), 'sample')} in common"
    elif not wanted:
        problem = "no quantity is measured in all runs"
    if problem:
        reasons = (problem, *(f"reference {text}" for text in left_out[:MOST_NAMED]))
        return Reference(standing="untold", runs=(), left_out=tuple(left_out), reasons=reasons)
    if len(rows) > MOST_MOMENTS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_MOMENTS).astype(int)]
    size = scales(series, known)
    own = np.array([series[name][rows] for name in wanted])
    return _Table(
        names=tuple(wanted),
        scale=np.array([size[name] for name in wanted]),
        steps=series.step[rows],
        t=series.t[rows],
        natural=np.array([own, *(_at(a, run, al, rows, wanted, {}) for run, al in kept)]),
        tested=np.array(
            [
                _at(a, run, al, rows, wanted, renames)
                for run, al in zip(tested, aligned, strict=True)
            ]
        ),
        runs=tuple(str(run.path) for run, _ in kept),
        left_out=tuple(left_out),
    )


def _usable(
    a: RunView, references: Sequence[RunView], by: By, rows: Ints, wanted: Sequence[str]
) -> tuple[list[tuple[RunView, Alignment]], list[str]]:
    """The references that cover the moments of A and measure what A does, and why others do not."""
    kept, left_out = [], []
    for run in references:
        alignment = align(a, run, by)
        shared = int(np.count_nonzero(np.isin(rows, alignment.rows_a)))
        missing = [name for name in wanted if name not in columns(run)]
        if shared < max(FEWEST_MOMENTS, COVERED * len(rows)):
            left_out.append(f"{run.path} has {shared} of {_plain(len(rows), 'sample')}")
        elif missing:
            left_out.append(f"{run.path} does not measure {missing[0]}")
        else:
            kept.append((run, alignment))
    return kept, left_out


def _at(
    a: RunView,
    run: RunView,
    alignment: Alignment,
    rows: Ints,
    wanted: Sequence[str],
    renames: Mapping[str, str],
) -> Floats:
    """The quantities of one run at some rows of A, ``[quantities, rows]``."""
    order = np.argsort(alignment.rows_a, kind="stable")
    at = order[np.searchsorted(alignment.rows_a, rows, sorter=order)]
    own, other = a.series(), run.series()
    return np.array([alignment.pair(own[n], other[renamed(n, renames)])[1][at] for n in wanted])


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
