"""The report of a comparison of two runs: its sections, in the order in which they are read."""

from __future__ import annotations

from pathlib import PurePath

from ..compare.comparison import Comparison, Coverage, RunSummary
from ..compare.differences import IDLE, RecordedDifference
from ..compare.health import Health, Peak, Reversal
from ..compare.quantities import QuantityDifference
from ..compare.stages import PairedTransform, Sameness, StageComparison
from .sections import (
    Block,
    Item,
    Remaining,
    Report,
    ReportColumn,
    ReportSection,
    Span,
    TableBlock,
    line,
    paragraph,
    sentence,
)
from .text import clean, distinct, index_range, plural, ranks, small, value

MOST_TRANSFORMS = 20
MOST_CAUSES = 5
MOST_UNCOMPARED = 6
MOST_HINTS = 3

OWN_SIZE = 0.5
"""A drift from this part of the scale on is reported as it is, not relative."""
ALARMS = ("first non-finite value", "wrong way", "samples with faults", "events")

_TRANSFORM_RESULTS: dict[Sameness, Span] = {
    "same": Span("same", "good"),
    "different": Span("DIFFERENT", "bad"),
    "unknown": Span("?", "unsure"),
}


def comparison_report(comparison: Comparison) -> Report:
    """What `simckpt compare` says of two runs, for any of its writers."""
    c = comparison
    sections = (
        _runs(c),
        _reasons(c),
        _transforms(c.stages),
        _location(c),
        _type_of_difference(c),
        _causes(c),
        _differences(c),
        _uncompared(c),
        _health(c),
    )
    return Report(
        title=f"{PurePath(c.a.path).name} and {PurePath(c.b.path).name}",
        verdict=c.verdict,
        headline=c.headline.removeprefix("Could not compare: "),
        subtitle=_subtitle(c),
        sections=tuple(s for s in sections if s is not None),
    )


def _subtitle(c: Comparison) -> str:
    """Type and most probable cause of a difference in half a sentence each."""
    if c.verdict != "different":
        return ""
    explanation = c.explanation
    text = c.classification.meaning
    if explanation.finding:
        text += "; no recorded difference explains it"
    elif explanation.causes:
        d = explanation.causes[0].difference
        text += f"; most probably {_name(d)}: {value(d.a, 24)} → {value(d.b, 24)}"
    return sentence(text)


def _runs(c: Comparison) -> ReportSection:
    letters: tuple[tuple[Span, RunSummary], ...] = (
        (Span("A", "key-a"), c.a),
        (Span("B", "key-b"), c.b),
    )
    rows = tuple(
        (
            letter,
            run.path,
            " then ".join(plural(n, "rank") for n in run.ranks[:3]),
            extent(run),
            ending(run),
        )
        for letter, run in letters
    )
    columns = (
        ReportColumn(""),
        ReportColumn("run", width=60),
        ReportColumn("ranks"),
        ReportColumn("samples"),
    )
    return ReportSection("", (TableBlock((*columns, ReportColumn("ending")), rows, bare=True),))


def ending(run: RunSummary) -> Span:
    """How a run ended, so that what did not finish is seen."""
    return Span(run.ending, "" if run.ending == "finished" else "unsure")


def extent(run: RunSummary) -> str:
    """How many samples, of which steps."""
    if run.first_step is None:
        return "no samples"
    return f"{plural(run.samples, 'sample')}, steps {run.first_step} to {run.last_step}"


def _reasons(c: Comparison) -> ReportSection | None:
    if c.verdict == "could-not-compare":
        return None
    blocks = [paragraph(f"{sentence(reason)}.") for reason in c.reasons]
    blocks += [paragraph(Span(f"{hint}.", "unsure")) for hint in c.hints[:MOST_HINTS]]
    return ReportSection("", tuple(blocks)) if blocks else None


def _transforms(stages: StageComparison | None) -> ReportSection | None:
    """A row for each transform of two stages, around the first whose results differ."""
    if stages is None or not stages.transforms:
        return None
    start = max(0, (stages.first or 0) - MOST_TRANSFORMS // 2)
    window = stages.transforms[start : start + MOST_TRANSFORMS]
    rows = tuple(
        (
            _transform_name(pair),
            pair.result_a or "-",
            pair.result_b or "-",
            _TRANSFORM_RESULTS[pair.results],
            "; ".join(pair.differences[:4]),
        )
        for pair in window
    )
    columns = (
        ReportColumn("", width=28),
        ReportColumn("A", width=24),
        ReportColumn("B", width=24),
        ReportColumn("data"),
        ReportColumn("what differs"),
    )
    blocks: tuple[Block, ...] = (TableBlock(columns, rows, most=MOST_TRANSFORMS),)
    if len(stages.transforms) > len(window):
        blocks += (Remaining(len(stages.transforms), len(window), "transforms"),)
    return ReportSection("Transforms", blocks)


def _transform_name(pair: PairedTransform) -> str:
    return f"{pair.a or pair.b} {pair.name}"


def _location(c: Comparison) -> ReportSection | None:
    blocks: list[Block] = []
    if c.first is not None:
        text = f"First seen at step {c.first.step}"
        text += f" (t = {c.first.t:.6g})" if c.first.t is not None else ""
        if c.first.after is not None:
            text += f"; at step {c.first.after} the states are still equal"
        blocks.append(paragraph(text + "."))
    blocks += [table for table in (_fields(c), _quantities(c), _tiles(c)) if table.rows]
    return ReportSection("Location", tuple(blocks)) if blocks else None


def _fields(c: Comparison) -> TableBlock:
    columns = (
        ReportColumn("field", width=24),
        ReportColumn("step", number=True),
        ReportColumn("tiles", number=True),
        ReportColumn("pattern"),
        ReportColumn("first tile"),
        ReportColumn("ranks A"),
        ReportColumn("B"),
        ReportColumn("at end", number=True),
    )
    rows = tuple(
        (
            d.field,
            str(d.step),
            f"{d.tiles} of {d.of}",
            d.location,
            index_range(d.bounds),
            ranks(d.ranks_a),
            ranks(d.ranks_b),
            str(d.tiles_at_end),
        )
        for d in c.fields
    )
    return TableBlock(columns, rows, noun="fields", most=8)


def _quantities(c: Comparison) -> TableBlock:
    columns = (
        ReportColumn("quantity", width=24),
        *(ReportColumn(h, number=True) for h in ("step", "A", "B", "ULPs", "relative", "largest")),
    )
    rows = tuple((q.name, str(q.step), *distinct(q.a, q.b), *_sizes(q)) for q in c.quantities)
    return TableBlock(columns, rows, noun="quantities", most=10)


def _sizes(q: QuantityDifference) -> tuple[str, str, str]:
    """ULPs, relative and largest relative difference; counts and places have none of these."""
    if q.kind in ("count", "location"):
        return "-", "-", "-"
    ulps = "-" if q.ulps is None else f"{q.ulps:,}" if q.ulps < 1_000_000 else f"{q.ulps:.1e}"
    return ulps, small(q.relative), small(q.largest)


def _tiles(c: Comparison) -> TableBlock:
    columns = (
        ReportColumn("tiles of", width=24),
        ReportColumn("statistic"),
        *(ReportColumn(h, number=True) for h in ("step", "beyond", "A", "B", "relative")),
    )
    rows = tuple(
        (
            t.field,
            t.statistic,
            str(t.step),
            f"{t.tiles} of {t.of}",
            *distinct(t.a, t.b),
            small(t.relative),
        )
        for t in c.tiles
    )
    return TableBlock(columns, rows, noun="fields", most=8)


def _type_of_difference(c: Comparison) -> ReportSection | None:
    kind = c.classification
    if not kind.evidence or c.verdict == "could-not-compare":
        return None
    blocks = [paragraph(sentence(text) + ".") for text in kind.evidence]
    if c.growth is not None and c.growth.saturated_at is not None:
        at = f"{c.growth.against} = {c.growth.saturated_at:.4g}"
        text = f"It stops growing at {at}, at {small(c.growth.largest)} relative."
        blocks.append(paragraph(text))
    word = "high" if kind.confidence >= 0.8 else "medium" if kind.confidence >= 0.5 else "low"
    title = f"Type of difference: {kind.meaning} ({word} confidence)"
    return ReportSection(title, tuple(blocks))


def _causes(c: Comparison) -> ReportSection | None:
    explanation = c.explanation
    if not explanation.causes and not explanation.finding:
        return None
    blocks: list[Block] = [paragraph(explanation.finding)] if explanation.finding else []
    for i, cause in enumerate(explanation.causes[:MOST_CAUSES], 1):
        d = cause.difference
        more = f" (and {cause.similar} more like it)" if cause.similar else ""
        also = f", also as {', '.join(d.otherwise[:2])}" if d.otherwise else ""
        change = (Span(value(d.a, 200), width=28), Span(" → "), Span(value(d.b, 200), width=28))
        head = line((_name(d), "strong"), more, "  ", *change, also)
        blocks.append(Item(head, (line((cause.reason, "soft")),), number=i, share=cause.share))
    if len(explanation.causes) > MOST_CAUSES:
        blocks.append(Remaining(len(explanation.causes), MOST_CAUSES, "causes"))
    if explanation.causes and explanation.unexplained >= 0.05 and not explanation.finding:
        head = line(("something that was not recorded", "soft"))
        blocks.append(Item(head, share=explanation.unexplained))
    return ReportSection("Likely causes", tuple(blocks))


def _differences(c: Comparison) -> ReportSection | None:
    causes = {id(cause.difference) for cause in c.explanation.causes[:MOST_CAUSES]}
    rows = tuple(
        (d.part, _setting(d), value(d.a, 200), value(d.b, 200), d.weight)
        for d in c.differences
        if id(d) not in causes and not d.path.endswith(IDLE)
    )
    if not rows:
        return None
    title = "Other recorded differences" if c.explanation.causes else "Recorded differences"
    if c.verdict == "same" and c.bitwise:
        title += ", without effect on the state"
    columns = (
        ReportColumn("part"),
        ReportColumn("what", width=40),
        ReportColumn("A", width=32),
        ReportColumn("B", width=32),
        ReportColumn("to the answer", wide=True),
    )
    return ReportSection(title, (TableBlock(columns, rows, noun="differences"),))


def _uncompared(c: Comparison) -> ReportSection | None:
    blocks: list[Block] = [paragraph(text) for text in _gaps(c.coverage)]
    reasons = [f"{u.what} {u.name} {u.reason}." for u in c.uncompared]
    blocks += [paragraph(reason) for reason in reasons[:MOST_UNCOMPARED]]
    if len(reasons) > MOST_UNCOMPARED:
        blocks.append(Remaining(len(reasons), MOST_UNCOMPARED, "not compared"))
    return ReportSection("Not compared", tuple(blocks)) if blocks else None


def _gaps(coverage: Coverage) -> list[str]:
    lines = []
    for run, only, labels in (
        ("A", coverage.only_a, coverage.labels_a),
        ("B", coverage.only_b, coverage.labels_b),
    ):
        if only.samples:
            steps = f"steps {only.first} to {only.last}"
            if only.first == only.last:
                steps = f"step {only.first}"
            lines.append(
                f"{plural(only.samples, 'sample')} of {run} without a counterpart, {steps}."
            )
        if labels:
            names = ", ".join(clean(label, 30) for label in labels[:4])
            lines.append(f"{plural(len(labels), 'checkpoint')} only in {run}: {names}.")
    return lines


def _health(c: Comparison) -> ReportSection:
    a, b = health_rows(c.health_a), health_rows(c.health_b)
    names = sorted(dict.fromkeys([*a, *b]), key=lambda name: not name.endswith(ALARMS))
    runs = (a,) if a == b else (a, b)
    headings = ("A and B",) if a == b else ("A", "B")
    rows = tuple((name, *(run.get(name, "-") for run in runs)) for name in names)
    columns = tuple(ReportColumn(heading) for heading in ("", *headings))
    return ReportSection("Health of each run", (TableBlock(columns, rows, noun="lines", most=8),))


def health_rows(health: Health) -> dict[str, str]:
    """The health of a run as names and short texts, what is alarming first."""
    rows = {}
    if health.non_finite_step is not None:
        names = ", ".join(health.non_finite[:4])
        rows["first non-finite value"] = f"step {health.non_finite_step}: {names}"
    for reversal in health.reversals:
        rows[f"{reversal.name}, wrong way"] = _reversal(reversal)
    if health.faults:
        rows["samples with faults"] = f"{health.faults:,}"
    if health.errors or health.warnings:
        rows["events"] = f"{plural(health.errors, 'error')}, {plural(health.warnings, 'warning')}"
    if health.anomalies:
        rows["anomalies"] = f"{health.anomalies:,}, the first at step {health.anomaly_step}"
    for peak in health.peaks:
        rows[f"{peak.name}, largest"] = (
            f"{peak.value:.4g} at step {peak.step}{_loss(peak)}{_margin(peak)}"
        )
    for drift in health.drifts:
        if drift.largest is not None and drift.largest >= OWN_SIZE:
            # What moves by its own size has no scale of its own: a sum near zero, or no invariant.
            rows[f"{drift.name}, drift"] = f"as large as itself, {small(drift.distance)}"
            continue
        rows[f"{drift.name}, drift"] = f"{small(drift.final)} (largest {small(drift.largest)})"
        if drift.checkpoint_step:
            # The line before covers a checkpoint at the start.
            rows[f"{drift.name}, since checkpoint"] = (
                f"{small(drift.since_checkpoint)} since step {drift.checkpoint_step}"
            )
    for rest in health.unexplained:
        size = f"{small(rest.relative)} of its scale" if rest.value else "none, to the last bit"
        rows[rest.name] = f"{size}, at step {rest.step}" if rest.value else size
    for name in health.constant:
        rows[f"{name}, drift"] = "none, to the last bit"
    return rows or {"nothing to report": "no conserved quantity or stability metric recorded"}


def _loss(peak: Peak) -> str:
    return (
        "" if peak.non_finite_from is None else f", not finite from step {peak.non_finite_from} on"
    )


def _margin(peak: Peak) -> str:
    if peak.limit is None:
        return ""
    if peak.passed_step is not None:
        return f", past its limit {peak.limit:g} from step {peak.passed_step} on"
    return f", {100 * (1 - peak.value / peak.limit):.0f} % below its limit {peak.limit:g}"


def _reversal(reversal: Reversal) -> str:
    moved = "rose" if reversal.declared == "decreasing" else "fell"
    return (
        f"{moved} by {reversal.relative:.2g} of its scale from step {reversal.from_step} to "
        f"{reversal.step}, first at {reversal.first_step}; declared as {reversal.declared}"
    )


def _name(d: RecordedDifference) -> str:
    """Part and name of a recorded difference, as a person would say it."""
    return f"{d.part} {_setting(d)}"


def _setting(d: RecordedDifference) -> str:
    """A setting by its name; one whose effective value is not the requested one says so."""
    if d.part != "numerics":
        return d.path
    if d.path.startswith("effective.") and not d.also:
        return f"{d.name} (in effect)"
    return d.name
