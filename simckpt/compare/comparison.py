"""Two runs compared: one frozen result with its verdict and its reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import SetupError
from ..model.record import Record
from ..model.series import Column
from .alignment import Alignment, By, Unmatched, align
from .causes import Explanation, explain, explain_by_design, explain_length
from .classify import Classification, Kind, classify
from .differences import RecordedDifference, recorded_differences
from .divergence import describe_divergence
from .facts import ending
from .fields import (
    FieldDifference,
    FieldFindings,
    FirstDifference,
    TileStatisticDifference,
    compare_fields,
    compare_tiles,
    first_difference,
)
from .growth import GrowthFit, fit_growth
from .health import Health, health
from .held import held
from .quantities import (
    TIME,
    QuantityDifference,
    QuantityFindings,
    Reason,
    Uncompared,
    columns,
    compare_quantities,
)
from .reference import Reference, refer
from .run_view import Floats, RunView
from .scales import measures, names_in, summary, unscaled
from .stages import StageComparison, compare_stages, judge_stages
from .tolerance import Tolerance
from .verdict import ComparedRuns, Judgement, Verdict, apply_reference, judge

# Options for quantities that only a tolerance of another kind can judge.
#
# A sum of contributions of either sign rounds relative to what it sums. Where that is known, a
# difference within the tolerance of it is reported as such. Where it is not, as for the momentum of
# a flow at rest when no field that keeps one sign gives the volume, the sum is a multiple of
# roundoff that no relative tolerance accepts; that its scale is unknown is the reason then.


SUMS = frozenset({"budget", "conserved", "residual"})
"""Kinds of columns that are sums of contributions of either sign."""
NEAR_ZERO = 1e-3
"""Part of its scale below which a sum is the small rest of large contributions."""
TINY = 1e-6
"""Part of what its fields could sum to below which the sum of an expression is surely a rest."""
ROOM = 2.0
"""Times the largest difference that is advised as a limit where the scale is not known."""


def hints(runs: ComparedRuns) -> Iterator[str]:
    """What to say on the command line so that such a quantity is judged as it should be."""
    by_name: dict[str, Column] = {}
    without_scale: frozenset[str] = frozenset()
    if not runs.bitwise and any(q.kind in SUMS for q in runs.judged):
        by_name = columns(runs.a)
        without_scale = unscaled(runs.a.series(), by_name)
    for q in runs.judged:
        rtol = runs.tolerance.limits(q.name).rtol
        near_zero = q.kind in SUMS and max(abs(q.a), abs(q.b)) < NEAR_ZERO * q.scale
        if not runs.bitwise and near_zero and q.largest is not None and q.largest <= rtol:
            yield (
                f"{q.name} is a sum near zero; relative to what it sums, the runs differ by "
                f"{q.largest:.1e}: --atol {q.name}={rtol * q.scale:.1e} would accept it"
            )
        elif q.name in without_scale and q.largest and _only_a_rest(q, by_name[q.name], runs):
            distance = q.largest * q.scale
            yield (
                f"{q.name} may be a sum near zero, its scale is not known; the runs differ by "
                f"{distance:.1e}: --atol {q.name}={ROOM * distance:.1e} would accept it"
            )
        if q.only_nan:
            yield f"{q.name} is NaN in both runs: --equal-nan would accept it"


def _only_a_rest(q: QuantityDifference, column: Column, runs: ComparedRuns) -> bool:
    """Whether the sum differs and its fields do not, and nothing shows it far from zero."""
    names = {d.name for d in runs.judged if d.name != q.name}
    fields = {name.partition(".")[0] for name in names if "." in name}
    fields |= {tile.field for tile in runs.tiles}
    if not fields.isdisjoint(names_in(column)):
        return False
    if column.of in runs.a.fields:
        return not _far_from_zero(runs, column.of)
    # Of an expression the tiles say nothing: what is only a rest differs as much as it is large,
    # or is tiny beside its fields.
    return (q.largest or 0.0) >= NEAR_ZERO or q.scale < TINY * _size(runs, column)


def _size(runs: ComparedRuns, column: Column) -> float:
    """The smallest extreme of the fields that are summed, times the volume where it is known."""
    series, by_name = runs.a.series(), columns(runs.a)
    extrema = [f"{name}.{end}" for name in names_in(column) for end in ("min", "max")]
    largest = [summary(series, name).largest for name in extrema if name in by_name]
    return min(largest, default=0.0) * (measures(series, by_name).get(column.name) or 1.0)


def _far_from_zero(runs: ComparedRuns, field: str) -> bool:
    """Whether the field's mean, from its tiles, is no small part of its largest value."""
    rows = runs.a.tiles(field)
    cells = np.ones(())
    for edges in runs.a.digests(field).tiles.edges:
        cells = np.multiply.outer(cells, np.diff(edges))
    if not len(rows.step) or rows.mean.shape[1:] != cells.shape:
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        means = np.abs(np.sum(rows.mean * cells, axis=tuple(range(1, rows.mean.ndim))))
        sizes = np.maximum(np.abs(rows.minimum), np.abs(rows.maximum)).reshape(len(rows.step), -1)
        return bool(np.any(means / cells.sum() > NEAR_ZERO * sizes.max(axis=1)))


LONG = 100_000
"""Samples from which on a second thread earns its start."""

EXIT_STATUS: dict[Verdict, int] = {"same": 0, "different": 1, "could-not-compare": 2}


class Options(Record, frozen=True, kw_only=True):
    """How to compare: alignment, tolerance, and names in B of what A calls otherwise.

    `window` holds the steps between which quantities are averaged where reference runs are given.
    """

    by: By = "step"
    tolerance: Tolerance = Tolerance()
    renames: dict[str, str] = {}
    window: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window[0] > self.window[1]:
            raise SetupError("window", self.window, "ends before it begins")


class RunSummary(Record, frozen=True, kw_only=True):
    """Which run it is and how far it got."""

    path: str
    run_id: str
    samples: int
    first_step: int | None
    last_step: int | None
    last_t: float | None
    ranks: tuple[int, ...]
    segments: int
    checkpoints: int
    ending: str
    uncommitted: int


class Coverage(Record, frozen=True, kw_only=True):
    """What was compared: samples, by which alignment, and how many quantities and fields.

    `interpolated` of the samples had no sample in B. `first` and `last` are steps of A.
    `field_names` and `quantity_names` name them, so that what passed can be named too.
    """

    by: By
    samples: int
    interpolated: int
    first: int | None
    last: int | None
    quantities: int
    fields: int
    tile_statistics: int
    only_a: Unmatched
    only_b: Unmatched
    labels_a: tuple[str, ...] = ()
    labels_b: tuple[str, ...] = ()
    field_names: tuple[str, ...] = ()
    quantity_names: tuple[str, ...] = ()


class Comparison(Record, frozen=True, kw_only=True):
    """The result of comparing run A with run B.

    Parameters
    ----------
    verdict : str
        ``same``: everything essential was compared and is equal; ``different``: something is
        not, or one record ends early; ``could-not-compare``: nothing differs, but something
        essential was left out.
    headline : str
        The verdict as a sentence.
    reasons : tuple of str
        What the verdict rests on.
    hints : tuple of str
        Options that a user may have wanted.
    bitwise : bool
        Equal means equal bits; else the tolerance decides, over quantities and tile statistics.
    reference : Reference or None
        How the difference compares with that between reference runs, if there are any.
    stages : StageComparison or None
        What two stages of an analysis did to their data; where they took no samples, the verdict
        rests on it.
    """

    a: RunSummary
    b: RunSummary
    verdict: Verdict
    headline: str
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    bitwise: bool
    tolerance: Tolerance
    coverage: Coverage
    first: FirstDifference | None
    fields: tuple[FieldDifference, ...]
    quantities: tuple[QuantityDifference, ...]
    tiles: tuple[TileStatisticDifference, ...]
    classification: Classification
    growth: GrowthFit | None
    explanation: Explanation
    differences: tuple[RecordedDifference, ...]
    uncompared: tuple[Uncompared, ...]
    health_a: Health
    health_b: Health
    reference: Reference | None = None
    stages: StageComparison | None = None

    @property
    def exit_status(self) -> int:
        """0 for same, 1 for different, 2 for could not compare."""
        return EXIT_STATUS[self.verdict]

    def __bool__(self) -> bool:
        raise TypeError(
            "a comparison has three verdicts and no truth value; test comparison.verdict"
        )


def compare(
    a: RunView, b: RunView, options: Options | None = None, references: Sequence[RunView] = ()
) -> Comparison:
    """Compare two runs: whether they are the same, where they diverge, how, and why.

    Parameters
    ----------
    a, b : RunView
        Two bundles.
    options : Options, optional
        By default samples are paired by step and equal means equal bits.
    references : sequence of RunView
        Runs whose difference from A counts as none: perturbed twins, or an ensemble with A. Bits
        that differ by no more than theirs are statistically the same.

    Raises
    ------
    SetupError
        If the options name a quantity or a field that run A does not have.
    """
    options = options or Options()
    a, b = held(a), held(b)
    _refuse_unknown_names(a, b, options)
    alignment = align(a, b, options.by)
    quantities, fields = _compared(a, b, alignment, options)
    bitwise = options.tolerance.bitwise and not alignment.interpolated
    rows = 0
    tiles: tuple[TileStatisticDifference, ...] = ()
    if not bitwise:
        rows, tiles = compare_tiles(
            a, b, fields.measured, options.tolerance, options.renames, alignment
        )
    runs = ComparedRuns(
        a=a,
        b=b,
        alignment=alignment,
        fields=fields,
        quantities=quantities,
        tiles=tiles,
        tile_rows=rows,
        bitwise=bitwise,
        tolerance=options.tolerance,
    )
    first = first_difference(alignment, fields, quantities)
    curve = quantities.curve if quantities.compared else np.zeros(len(alignment))
    growth = fit_growth(curve, alignment.t, alignment.steps_a) if first is not None else None
    differences = recorded_differences(a, b)
    kind, explanation, judgement = _judged(runs, first, growth, curve, differences)
    stages = compare_stages(a, b)
    if stages is not None and not len(a.series().step) and not len(b.series().step):
        kind, explanation, judgement = judge_stages(stages, differences)
    reference = None
    if references and first is not None and judgement.verdict == "different":
        reference = refer(
            a, [b], [held(r) for r in references], options.by, options.window, options.renames
        )
        judgement, kind = apply_reference(judgement, kind, reference, runs, first)
    return Comparison(
        a=summarise(a),
        b=summarise(b),
        verdict=judgement.verdict,
        headline=judgement.headline,
        reasons=judgement.reasons,
        hints=tuple(hints(runs)),
        bitwise=bitwise,
        tolerance=options.tolerance,
        coverage=_coverage(runs),
        first=first,
        fields=tuple(fields.differing),
        quantities=tuple(quantities.differing),
        tiles=tiles,
        classification=kind,
        growth=growth,
        explanation=explanation,
        differences=differences,
        uncompared=runs.uncompared,
        health_a=health(a),
        health_b=health(b),
        reference=reference,
        stages=stages,
    )


def _compared(
    a: RunView, b: RunView, alignment: Alignment, options: Options
) -> tuple[QuantityFindings, FieldFindings]:
    """Quantities and fields; those of long runs at the same time, since both wait for storage."""

    def quantities() -> QuantityFindings:
        return compare_quantities(a, b, alignment, options.tolerance, options.renames)

    def fields() -> FieldFindings:
        return compare_fields(a, b, alignment, options.renames)

    if len(alignment) < LONG:
        return quantities(), fields()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(fields)
        return quantities(), future.result()


def _judged(
    runs: ComparedRuns,
    first: FirstDifference | None,
    growth: GrowthFit | None,
    curve: Floats,
    differences: tuple[RecordedDifference, ...],
) -> tuple[Classification, Explanation, Judgement]:
    """Kind, causes and verdict, each of which may rest on the one before."""
    if first is None:
        judgement = judge(runs, None, "identical")
        kind = _undivided(judgement)
        explanation = Explanation()
        if judgement.only_length:
            explanation = explain_length(differences)
        return kind, explanation, judgement
    divergence = describe_divergence(
        runs.a, runs.b, runs.alignment, runs.fields, runs.quantities, first, growth, curve
    )
    kind = _of_other_fields(runs) or classify(divergence)
    judgement = judge(runs, first, kind.kind)
    if kind.kind == "resolution":
        parts = ("numerics", "parameters", "command", "configuration", "inputs")
        reason = "It may set the shape of the fields."
        explanation = explain_by_design(_sizes_first(runs, differences), parts, reason)
    elif kind.kind == "diagnostic":
        reason = "It defines what is measured, not the state."
        explanation = explain_by_design(differences, ("declarations", "simckpt"), reason)
    else:
        explanation = explain(differences, divergence, kind)
        # The state that a restart loads is an input, and a seam all the same.
        loaded = explanation.explained and explanation.causes[0].difference.part == "inputs"
        seam = kind.kind == "restart seam" and not loaded
        if (kind.kind == "local event" or seam) and explanation.acts_anywhere:
            kind = classify(divergence, explained=True)
    if judgement.verdict == "same":
        kind = Classification(
            kind="identical" if runs.bitwise else "within tolerance",
            confidence=1.0,
            evidence=(f"bits differ from step {first.step} on: {kind.meaning}", *kind.evidence),
        )
    return kind, explanation, judgement


def _sizes_first(
    runs: ComparedRuns, differences: tuple[RecordedDifference, ...]
) -> list[RecordedDifference]:
    """Settings whose values are sides of the fields before all others."""
    sides = [
        {n for name in run.fields for n in run.digests(name).tiles.global_shape}
        for run in (runs.a, runs.b)
    ]

    def names_sides(d: RecordedDifference) -> bool:
        return all(isinstance(v, int) and v in s for v, s in zip((d.a, d.b), sides, strict=True))

    return sorted(differences, key=lambda d: not names_sides(d))


def _undivided(judgement: Judgement) -> Classification:
    """The kind where no difference was found."""
    if judgement.verdict == "same":
        return Classification(kind="identical", confidence=1.0)
    if judgement.only_length:
        return Classification(kind="length", confidence=1.0)
    return Classification(kind="inconclusive", confidence=1.0, evidence=judgement.reasons[-1:])


def _of_other_fields(runs: ComparedRuns) -> Classification | None:
    """The kind where all fields are of another shape or precision, so that none compares."""
    if runs.fields.compared:
        return None
    kinds: tuple[tuple[Reason, Kind], ...] = (("shape", "resolution"), ("dtype", "precision"))
    for reason, kind in kinds:
        texts = [f"field {u.name} {u.reason}" for u in runs.fields.uncompared if u.code == reason]
        if texts:
            return Classification(kind=kind, confidence=0.95, evidence=tuple(texts[:2]))
    return None


def _refuse_unknown_names(a: RunView, b: RunView, options: Options) -> None:
    names = [*columns(a), *a.fields, *(f"{name}.mean" for name in a.fields), TIME]
    for pattern in options.tolerance.unused(names):
        raise SetupError("tolerance", pattern, "matches no quantity of run A", choices=names)
    for name, other in options.renames.items():
        if name not in names:
            raise SetupError("map", name, "is no field or quantity of run A", choices=names)
        kind, choices = ("field", b.fields) if name in a.fields else ("quantity", [*columns(b)])
        if name not in (*a.fields, *columns(a)):
            continue
        if other not in choices:
            problem = f"is no {kind} of run B, and {name} is one of run A"
            raise SetupError("map", f"{name}={other}", problem, choices=choices)


def _coverage(runs: ComparedRuns) -> Coverage:
    alignment = runs.alignment
    steps = alignment.steps_a
    return Coverage(
        by=alignment.by,
        samples=len(alignment),
        interpolated=alignment.interpolated,
        first=int(steps[0]) if len(steps) else None,
        last=int(steps[-1]) if len(steps) else None,
        quantities=len(runs.quantities.compared),
        fields=len(runs.fields.compared),
        tile_statistics=runs.tile_rows,
        only_a=alignment.only_a,
        only_b=alignment.only_b,
        labels_a=alignment.labels_a,
        labels_b=alignment.labels_b,
        field_names=tuple(runs.fields.compared),
        quantity_names=tuple(runs.quantities.compared),
    )


def summarise(run: RunView) -> RunSummary:
    """Which run it is and how far it got."""
    series = run.series()
    segments = list(run.segments)
    times = series.t[np.isfinite(series.t)]
    return RunSummary(
        path=str(run.path),
        run_id=run.run_id,
        samples=len(series.step),
        first_step=int(series.step[0]) if len(series.step) else None,
        last_step=int(series.step[-1]) if len(series.step) else None,
        last_t=float(times[-1]) if len(times) else None,
        ranks=tuple(dict.fromkeys(v.segment.ranks for v in segments)),
        segments=len(segments),
        checkpoints=len(run.checkpoints),
        ending=ending(segments[-1]) if segments else "not begun",
        uncommitted=run.uncommitted,
    )
