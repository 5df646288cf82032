"""The series of two runs, quantity by quantity: which differ, from when on, and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from ..model.record import Record
from ..model.series import DECOMPOSITION, DECOMPOSITION_CHANGED, Column, ColumnKind
from .alignment import Alignment, digest_rows
from .comparable import together
from .run_view import DigestView, Floats, Ints, Mask, RunView, SeriesView
from .scales import scales
from .tolerance import NOT_A_DISTANCE, Tolerance, ulp_distance

# Where a quantity has no value, or another meaning, by its own definition and not by the state's.
#
# NaN equals nothing, so that a NaN of a simulation is never passed over. Other NaN are the
# instrument's own words for "there is none": a field of a level that has no boxes at the time has
# no extrema, and a growth rate none before its window is full. And the rank that holds an
# extremum is a fact about the decomposition, which two runs need not share.


GROWTH = "least-squares slope of"
"""How the note of a growth rate begins. All that it says of the state is in the column that it
is made of, which is compared by itself."""

BLOCK_BYTES = 1 << 21
"""Digests are read in blocks of this size."""

RANK = ".rank"
"""How the name of a column ends that tells which rank holds an extremum."""


class Undefined:
    """Which values are none, in both runs, by definition.

    Parameters
    ----------
    a, b : RunView
        The runs.
    alignment : Alignment
        Their sample times.
    """

    def __init__(self, a: RunView, b: RunView, alignment: Alignment) -> None:
        self._runs = a, b
        self._alignment = alignment
        self._empty: dict[tuple[str, str], Mask] = {}

    def where(self, column: Column, other: Column, nan: Mask) -> Mask:
        """The sample times, of those at which both values are NaN, at which that is no difference.

        `column` is that of A, and `other` that of B.
        """
        if all(c.kind == "stability" and c.note.startswith(GROWTH) for c in (column, other)):
            return nan
        if column.kind in ("minimum", "maximum"):
            fields = [(column.of, other.of)]
        else:
            fields = [(name, name) for name in self._runs[0].fields]
        recorded = all(o in self._runs[0].fields and t in self._runs[1].fields for o, t in fields)
        if not recorded or not fields:
            return np.zeros(len(nan), dtype=bool)
        undefined: Mask = nan & np.logical_and.reduce(
            [self._without_cells(*pair) for pair in fields]
        )
        return undefined

    def _without_cells(self, one: str, two: str) -> Mask:
        """Moments at which no cell of a field counts, in both runs: all digests are zero."""
        if (one, two) not in self._empty:
            a, b = self._runs
            rows = self._alignment.rows_a, self._alignment.rows_b
            self._empty[one, two] = (
                _all_zero(a.digests(one), a.series().step[rows[0]])
                & _all_zero(b.digests(two), b.series().step[rows[1]])
                & self._alignment.exact
            )
        return self._empty[one, two]


@dataclass(frozen=True, slots=True)
class Absent:
    """Where a column has no value by definition; `column` is that of A, `other` that of B.

    `before_first_step` are sample times before the first time step.
    """

    undefined: Undefined
    column: Column
    other: Column
    before_first_step: Mask | None = None

    def where(self, nan: Mask) -> Mask:
        """Where both values are NaN and that is no difference."""
        undefined = self.undefined.where(self.column, self.other, nan)
        return (
            undefined
            if self.before_first_step is None
            else undefined | (nan & self.before_first_step)
        )


def _all_zero(digests: DigestView, steps: Ints) -> Mask:
    """Of each step, whether all digests of the field are zero; not where there are none."""
    zero = np.zeros(len(steps), dtype=bool)
    rows = digest_rows(digests, steps)
    some = np.flatnonzero(rows >= 0)
    block = max(1, BLOCK_BYTES // (8 * max(digests.tiles.size, 1)))
    for start in range(0, len(some), block):
        part = some[start : start + block]
        low, high = int(rows[part].min()), int(rows[part].max()) + 1
        words = digests.rows(low, high).reshape(high - low, -1)
        empty = np.count_nonzero(words, axis=1) == 0
        zero[part] = empty[rows[part] - low]
    return zero


def tells_of_ranks(column: Column) -> bool:
    """Whether a column's numbers are those of ranks."""
    return column.kind == "location" and column.name.endswith(RANK)


def same_decomposition(a: RunView, b: RunView) -> bool:
    """Whether both runs were cut and spread over ranks in one way, all the time."""
    one, two = _decompositions(a), _decompositions(b)
    return one == two and _moves(a) == _moves(b)


def _decompositions(run: RunView) -> list[tuple[int, object]]:
    layouts = [(view.segment.ranks, view.decomposition) for view in run.segments]
    return [now for i, now in enumerate(layouts) if not i or now != layouts[i - 1]]


def _moves(run: RunView) -> list[tuple[int, object]]:
    return [
        (event.step, event.facts.get(DECOMPOSITION))
        for event in run.events
        if event.name == DECOMPOSITION_CHANGED
    ]


STATE: frozenset[ColumnKind] = frozenset(
    {"budget", "conserved", "count", "location", "maximum", "minimum", "norm"}
)
"""Kinds that measure the state; a time step or a Courant number also shows the settings."""

SIZED: frozenset[ColumnKind] = frozenset({"budget", "conserved", "maximum", "minimum", "norm"})
"""Kinds of which a relative difference is the size of a difference of the state."""

WANDERING = 0.1
"""Part of its scale by which an integral must move to be no measure of relative size."""

TIME = "t"
"""The name under which the simulated time itself is compared."""

OTHER_RANKS = "is a rank's number, and the runs are not spread over ranks in the same way"
"""Why a column of rank numbers is left out."""

STEP_LENGTH = "dt"
"""The column that holds the time step, where drivers report it."""


class QuantityDifference(Record, frozen=True, kw_only=True):
    """A quantity of the series that is not equal in two runs.

    Parameters
    ----------
    samples : int
        Samples at which it differs.
    step, t : int, float or None
        The first of them; `a` and `b` are its values there.
    ulps : int or None
        Representable float64 numbers between `a` and `b`; None if one of them is NaN.
    relative : float or None
        ``|a - b|`` over the quantity's scale; None if not finite.
    largest, largest_step : float or None, int or None
        The largest such ratio over all samples, and where.
    scale : float
        Its largest magnitude, or that of what it sums; 0 if it is zero throughout.
    only_nan : bool
        It differs only in that it is NaN in both runs.
    """

    name: str
    kind: ColumnKind
    exact: bool
    samples: int
    step: int
    t: float | None
    a: float
    b: float
    ulps: int | None
    relative: float | None
    largest: float | None
    largest_step: int | None
    scale: float = 0.0
    only_nan: bool = False


Reason: TypeAlias = Literal[
    "one-sided",
    "meaning",
    "no-value",
    "not-measured",
    "shape",
    "dtype",
    "tiles",
    "no-number",
    "decomposition",
]


class Uncompared(Record, frozen=True, kw_only=True):
    """Something that could not be compared, and why. `essential` keeps runs from being the same."""

    what: Literal["field", "column"]
    name: str
    code: Reason
    reason: str
    essential: bool = False


@dataclass(slots=True)
class QuantityFindings:
    """What the series say, as arrays over the alignment's sample times."""

    differing: list[QuantityDifference] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    uncompared: list[Uncompared] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, ColumnKind] = field(default_factory=dict)
    curves: dict[int, Floats] = field(default_factory=dict)

    @property
    def curve(self) -> Floats:
        """The largest relative difference at each sample time, of what measures the state best.

        Best are extrema, norms, and integrals that keep to their scale; then integrals that
        wander as far as they are large, as a sum near zero does; then all the rest. 0 where all
        agree or nothing finite can be said.
        """
        return self.curves[min(self.curves)] if self.curves else np.empty(0)

    def add(self, kind: ColumnKind, ratio: Floats, wanders: bool = False) -> None:
        """Take one quantity's relative differences into the curve."""
        finite = np.where(np.isfinite(ratio), ratio, 0.0)
        rank = int(wanders) if kind in SIZED else 2
        curve = self.curves.setdefault(rank, finite)
        np.maximum(curve, finite, out=curve)


def compare_quantities(
    a: RunView,
    b: RunView,
    alignment: Alignment,
    tolerance: Tolerance,
    renames: Mapping[str, str] | None = None,
) -> QuantityFindings:
    """Compare every column that both runs have, and the simulated time.

    `renames` maps names of A to names of B; a field's name renames its columns too. Columns
    that are not exact are judged like the others, and marked.
    """
    renames = renames or {}
    one, two = a.series(), b.series()
    columns_a, columns_b = columns(a), columns(b)
    pairs = {name: renamed(name, renames) for name in columns_a}
    results = QuantityFindings()
    size_a, size_b = scales(one, columns_a), scales(two, columns_b)
    before_first_step = _before_first_step(one, two, alignment)
    undefined = Undefined(a, b, alignment)
    measured_a, measured_b = _Measured(a), _Measured(b)
    same_layout = not any(map(tells_of_ranks, columns_a.values())) or same_decomposition(a, b)

    if alignment.by != "time":
        times = Column(name=TIME, kind="scalar", of=TIME)
        span = max(_largest(one.t), _largest(two.t))
        measured = together(a)[alignment.rows_a] & together(b)[alignment.rows_b]
        t_a, t_b = (np.where(together(run), run.series().t, np.nan) for run in (a, b))
        _judge(results, times, alignment, t_a, t_b, measured, span, tolerance)
    for name, other in pairs.items():
        column = columns_a[name]
        if other not in columns_b:
            results.uncompared.append(_one_sided(name, "A", columns_b))
            continue
        if column.kind != columns_b[other].kind:
            results.uncompared.append(
                Uncompared(
                    what="column",
                    name=name,
                    code="meaning",
                    reason=f"is a {column.kind} in A and a {columns_b[other].kind} in B",
                )
            )
            continue
        if tells_of_ranks(column) and not same_layout:
            results.uncompared.append(
                Uncompared(what="column", name=name, code="decomposition", reason=OTHER_RANKS)
            )
            continue
        measured = measured_a(name)[alignment.rows_a] & measured_b(other)[alignment.rows_b]
        scale = max(size_a[name], size_b[other])
        needs_step = column.kind == "stability" or name == STEP_LENGTH
        absent = Absent(
            undefined, column, columns_b[other], before_first_step if needs_step else None
        )
        _judge(
            results, column, alignment, one[name], two[other], measured, scale, tolerance, absent
        )
    names_b = {pairs[name] for name in columns_a}
    results.uncompared += [
        _one_sided(name, "B", columns_a) for name in columns_b if name not in names_b
    ]
    results.differing.sort(key=lambda d: (d.step, -(d.largest or 0.0)))
    return results


def columns(run: RunView) -> dict[str, Column]:
    """Every column that some segment of the run has, as the last of them defines it."""
    schemas = [view.schema for view in run.segments] + [run.series().schema]
    return {c.name: c for schema in schemas if schema is not None for c in schema.columns}


def renamed(name: str, renames: Mapping[str, str]) -> str:
    """The name in B of what A calls `name`: the field in front of a dot is renamed too."""
    if name in renames:
        return renames[name]
    head, dot, tail = name.partition(".")
    return renames.get(head, head) + dot + tail


def _judge(
    results: QuantityFindings,
    column: Column,
    alignment: Alignment,
    values_a: Floats,
    values_b: Floats,
    measured: Mask | None,
    scale: float,
    tolerance: Tolerance,
    absent: Absent | None = None,
) -> None:
    name = column.name
    va, vb, slack = alignment.pair(values_a, values_b)
    if not len(va):
        return
    limits = tolerance.limits(name)
    nan_a, nan_b = np.isnan(va), np.isnan(vb)
    if nan_a.all() and nan_b.all():
        results.uncompared.append(
            Uncompared(
                what="column", name=name, code="no-value", reason="has no value in either run"
            )
        )
        return
    differs = ~limits.agree(va, vb, slack)
    both_nan = differs & nan_a & nan_b
    if absent is not None and both_nan.any():
        differs &= ~absent.where(both_nan)
    if measured is not None and not measured.all():
        # A failed diagnostic leaves NaN; that says nothing about the state.
        unknown = ~measured & (nan_a | nan_b)
        if unknown.any():
            count = int(np.count_nonzero(unknown))
            results.uncompared.append(
                Uncompared(
                    what="column",
                    name=name,
                    code="not-measured",
                    reason=f"was not measured at {count} of {len(va)} samples",
                )
            )
            differs &= ~unknown
            if unknown.all():
                return
    results.compared.append(name)
    results.kinds[name] = column.kind
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.maximum(np.abs(va - vb) - slack, 0.0) if np.any(slack) else np.abs(va - vb)
        ratio = distance / scale if scale > 0 else distance
    results.add(column.kind, ratio, wanders=_wanders(column, (va, vb), scale))
    if not differs.any():
        return
    at = int(np.argmax(differs))
    ratios = np.where(differs & np.isfinite(ratio), ratio, -1.0)
    top = int(np.argmax(ratios))
    ulps = int(ulp_distance(va[at : at + 1], vb[at : at + 1])[0])
    results.first[name] = at
    t = float(alignment.t[at])
    results.differing.append(
        QuantityDifference(
            name=name,
            kind=column.kind,
            exact=column.exact,
            samples=int(np.count_nonzero(differs)),
            step=int(alignment.steps_a[at]),
            t=t if np.isfinite(t) else None,
            a=float(va[at]),
            b=float(vb[at]),
            ulps=None if ulps == int(NOT_A_DISTANCE) else ulps,
            relative=float(ratio[at]) if np.isfinite(ratio[at]) else None,
            largest=float(ratios[top]) if ratios[top] >= 0 else None,
            largest_step=int(alignment.steps_a[top]) if ratios[top] >= 0 else None,
            scale=scale,
            only_nan=bool(np.all(nan_a[differs] & nan_b[differs])),
        )
    )


def _before_first_step(one: SeriesView, two: SeriesView, alignment: Alignment) -> Mask:
    """Moments at which neither driver reported a time step, as before the first one.

    What needs one has no value there, which is another thing than a value of NaN.
    """
    if STEP_LENGTH not in list(one) or STEP_LENGTH not in list(two):
        return np.zeros(len(alignment), dtype=bool)
    dt_a, dt_b = one[STEP_LENGTH][alignment.rows_a], two[STEP_LENGTH][alignment.rows_b]
    missing: Mask = np.isnan(dt_a) & np.isnan(dt_b)
    return missing


class _Measured:
    """Samples at which a column was part of the schema and no diagnostic failed."""

    def __init__(self, run: RunView) -> None:
        series = run.series()
        self._segment = np.asarray(series.segment)
        self._sound: Mask = np.asarray(series.faults) == 0
        self._columns = {
            view.segment.index: {c.name for c in view.schema.columns}
            for view in run.segments
            if view.schema is not None
        }

    def __call__(self, name: str) -> Mask:
        measured = self._sound
        for segment, columns in self._columns.items():
            if name not in columns:
                measured = measured & (self._segment != segment)
        return measured


def _wanders(column: Column, runs: Iterable[Floats], scale: float) -> bool:
    """Whether an integral moves by a good part of its scale, so that the scale means little."""
    if column.kind != "conserved":
        return False
    finite = [values[np.isfinite(values)] for values in runs]
    return any(len(v) and float(v.max() - v.min()) >= WANDERING * scale for v in finite)


def _one_sided(name: str, run: str, columns: Iterable[str]) -> Uncompared:
    other = "B" if run == "A" else "A"
    similar = [column for column in columns if column.lower() == name.lower()]
    hint = f" ({other} has {similar[0]})" if similar else ""
    return Uncompared(what="column", name=name, code="one-sided", reason=f"is only in {run}{hint}")


def _largest(values: Floats) -> float:
    return float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
