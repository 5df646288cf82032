"""A comparison as one page: verdict, where, what kind, why, recorded differences, health."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.comparison import Comparison, Coverage, RunSummary
from ..compare.differences import IDLE, RecordedDifference
from ..compare.health import Health, Peak, Reversal
from ..compare.quantities import QuantityDifference
from ..compare.stages import PairedTransform, StageComparison, Standing
from ..compare.verdict import Verdict
from .text import (
    apart,
    clean,
    indented,
    index_range,
    more,
    plural,
    ranks,
    section,
    share,
    small,
    styled,
    table,
    value,
)

# Two stages side by side: each transform, the data it left in either, and what differs.


MOST_TRANSFORMS = 20

WORDS: dict[Standing, str] = {"same": "same", "different": "DIFFERENT", "unknown": "?"}
STYLES: dict[Standing, str] = {"same": "green", "different": "red", "unknown": "yellow"}


def stages_section(found: StageComparison | None) -> RenderableType:
    """A row for each transform; nothing for runs that are no stages."""
    if found is None or not found.transforms:
        return Group()
    out = table("", "A", "B", "data", "what differs")
    # Where two stages part must be among what is shown.
    start = max(0, (found.first or 0) - MOST_TRANSFORMS // 2)
    shown = found.transforms[start : start + MOST_TRANSFORMS]
    for pair in shown:
        out.add_row(
            styled(_name(pair), longest=28),
            styled(pair.result_a or "-", longest=24),
            styled(pair.result_b or "-", longest=24),
            Text(WORDS[pair.results], style=STYLES[pair.results]),
            Text("\n".join(clean(text) for text in pair.differences[:4])),
        )
    parts: list[RenderableType] = [out]
    if len(found.transforms) > len(shown):
        parts.append(more(len(found.transforms), len(shown), "transforms"))
    return section("Transforms", *parts)


def _name(pair: PairedTransform) -> str:
    return f"{pair.a or pair.b} {pair.name}"


MOST_FIELDS = 8
MOST_QUANTITIES = 10
MOST_CAUSES = 5
MOST_DIFFERENCES = 12
MOST_UNCOMPARED = 6
MOST_HEALTH = 8
MOST_HINTS = 3

OWN_SIZE = 0.5
"""A drift from this part of the scale on is told as it is, not relative."""
ALARMS = ("first non-finite value", "wrong way", "samples with faults", "events")

VERDICT_STYLES: dict[Verdict, str] = {
    "same": "bold green",
    "different": "bold red",
    "could-not-compare": "bold yellow",
}
VERDICT_WORDS: dict[Verdict, str] = {
    "same": "SAME",
    "different": "DIFFERENT",
    "could-not-compare": "COULD NOT COMPARE",
}


def comparison_report(comparison: Comparison) -> Group:
    """The page that `simckpt compare` prints."""
    parts: list[RenderableType] = [_head(comparison), *_gist(comparison), Text("")]
    parts += [_runs(comparison), _reasons(comparison), stages_section(comparison.stages)]
    if comparison.fields or comparison.quantities or comparison.tiles:
        parts.append(_where(comparison))
    if comparison.classification.evidence and comparison.verdict != "could-not-compare":
        parts.append(_kind(comparison))
    if comparison.explanation.causes or comparison.explanation.finding:
        parts.append(_why(comparison))
    shown = {id(c.difference) for c in comparison.explanation.causes[:MOST_CAUSES]}
    rest = [d for d in comparison.differences if id(d) not in shown and not d.path.endswith(IDLE)]
    if rest:
        parts.append(_differences(comparison, rest))
    if comparison.uncompared or _gaps(comparison.coverage):
        parts.append(_left_out(comparison))
    parts.append(_health(comparison))
    return Group(*parts)


def _head(c: Comparison) -> Text:
    word = VERDICT_WORDS[c.verdict]
    headline = c.headline.removeprefix("Could not compare: ")
    return Text.assemble((word, VERDICT_STYLES[c.verdict]), "  ", styled(headline))


def _gist(c: Comparison) -> list[RenderableType]:
    """Kind and cause in one line under the verdict."""
    text = gist(c)
    return [indented(styled(text), len(VERDICT_WORDS[c.verdict]) + 2)] if text else []


def gist(c: Comparison) -> str:
    """Kind and most probable cause of a difference in half a sentence each."""
    if c.verdict != "different":
        return ""
    explanation = c.explanation
    text = c.classification.meaning
    if explanation.finding:
        text += "; no recorded difference explains it"
    elif explanation.causes:
        d = explanation.causes[0].difference
        text += f"; most probably {difference_name(d)}: {value(d.a, 24)} → {value(d.b, 24)}"
    return _sentence(text)


def _runs(c: Comparison) -> RenderableType:
    out = table("", "", "", "", "")
    out.show_header = False
    for letter, run in (("A", c.a), ("B", c.b)):
        out.add_row(
            Text(letter, style="bold"),
            styled(run.path, longest=60),
            " then ".join(plural(n, "rank") for n in run.ranks[:3]),
            extent(run),
            styled(run.ending, "" if run.ending == "finished" else "yellow"),
        )
    return out


def extent(run: RunSummary) -> str:
    """How many samples, of which steps."""
    if run.first_step is None:
        return "no samples"
    return f"{plural(run.samples, 'sample')}, steps {run.first_step} to {run.last_step}"


def _reasons(c: Comparison) -> RenderableType:
    if c.verdict == "could-not-compare":
        return Group()
    lines = [styled(f"{_sentence(r)}.") for r in c.reasons]
    lines += [styled(f"{h}.", "yellow") for h in c.hints[:MOST_HINTS]]
    return Group(Text(""), *lines)


def _where(c: Comparison) -> RenderableType:
    parts: list[RenderableType] = []
    first = c.first
    if first is not None:
        at = f"First seen at step {first.step}"
        at += f" (t = {first.t:.6g})" if first.t is not None else ""
        if first.after is not None:
            at += f"; at step {first.after} the states are still equal"
        parts.append(Text(at + "."))
    if c.fields:
        out = table("field", "step>", "tiles>", "where", "first tile", "ranks A", "B", "at end>")
        for d in c.fields[:MOST_FIELDS]:
            out.add_row(
                styled(d.field, longest=24),
                str(d.step),
                f"{d.tiles} of {d.of}",
                d.place,
                index_range(d.bounds),
                ranks(d.ranks_a),
                ranks(d.ranks_b),
                str(d.tiles_at_end),
            )
        parts += [Text(" "), out]
        if len(c.fields) > MOST_FIELDS:
            parts.append(more(len(c.fields), MOST_FIELDS, "fields"))
    if c.quantities:
        out = table("quantity", "step>", "A>", "B>", "ULPs>", "relative>", "largest>")
        out.columns[0].no_wrap = True
        for q in c.quantities[:MOST_QUANTITIES]:
            out.add_row(
                styled(q.name, longest=24),
                str(q.step),
                *apart(q.a, q.b),
                *sizes(q),
            )
        parts += [Text(" "), out]
        if len(c.quantities) > MOST_QUANTITIES:
            parts.append(more(len(c.quantities), MOST_QUANTITIES, "quantities"))
    if c.tiles:
        out = table("tiles of", "statistic", "step>", "beyond>", "A>", "B>", "relative>")
        for t in c.tiles[:MOST_FIELDS]:
            row = (t.statistic, str(t.step), f"{t.tiles} of {t.of}", *apart(t.a, t.b))
            out.add_row(styled(t.field, longest=24), *row, small(t.relative))
        parts += [Text(" "), out]
    return section("Where", *parts)


def sizes(q: QuantityDifference) -> tuple[str, str, str]:
    """ULPs, relative and largest relative difference; counts and places have none of these."""
    if q.kind in ("count", "location"):
        return "-", "-", "-"
    ulps = "-" if q.ulps is None else _count(q.ulps)
    return ulps, small(q.relative), small(q.largest)


def _kind(c: Comparison) -> RenderableType:
    kind = c.classification
    lines = [styled(_sentence(text) + ".") for text in kind.evidence]
    title = f"Kind: {kind.meaning} ({_sure(kind.confidence)})"
    if c.growth is not None and c.growth.saturated_at is not None:
        at = f"{c.growth.against} = {c.growth.saturated_at:.4g}"
        lines.append(Text(f"It stops growing at {at}, at {small(c.growth.largest)} relative."))
    return section(title, *lines)


def _why(c: Comparison) -> RenderableType:
    explanation = c.explanation
    parts: list[RenderableType] = []
    if explanation.finding:
        parts.append(styled(explanation.finding))
    for i, cause in enumerate(explanation.causes[:MOST_CAUSES], 1):
        d = cause.difference
        line = Text.assemble(
            (f"{i}  ", "bold"),
            (f"{share(cause.share):>6}  ", "dim"),
            styled(difference_name(d), "bold"),
            Text(f" (and {cause.alike} more like it)" if cause.alike else ""),
            "  ",
            styled(f"{value(d.a, 28)} → {value(d.b, 28)}{also(d)}"),
        )
        parts += [line, indented(styled(cause.reason, "dim"), 11)]
    if len(explanation.causes) > MOST_CAUSES:
        parts.append(more(len(explanation.causes), MOST_CAUSES, "causes"))
    if explanation.causes and explanation.unexplained >= 0.05 and not explanation.finding:
        rest = share(explanation.unexplained)
        parts.append(Text(f"   {rest:>6}  something that was not recorded", style="dim"))
    return section("Why", *parts)


def _differences(c: Comparison, rest: list[RecordedDifference]) -> RenderableType:
    out = table("part", "what", "A", "B")
    for d in rest[:MOST_DIFFERENCES]:
        out.add_row(d.part, styled(_path(d), longest=40), value(d.a, 32), value(d.b, 32))
    parts: list[RenderableType] = [out]
    if len(rest) > MOST_DIFFERENCES:
        parts.append(more(len(rest), MOST_DIFFERENCES, "differences"))
    title = "Other recorded differences" if c.explanation.causes else "Recorded differences"
    if c.verdict == "same" and c.bitwise:
        title += ", without effect on the state"
    return section(title, *parts)


def _left_out(c: Comparison) -> RenderableType:
    lines: list[RenderableType] = [Text(line) for line in _gaps(c.coverage)]
    lines += [styled(f"{u.what} {u.name} {u.reason}.") for u in c.uncompared[:MOST_UNCOMPARED]]
    if len(c.uncompared) > MOST_UNCOMPARED:
        lines.append(more(len(c.uncompared), MOST_UNCOMPARED, "not compared"))
    return section("Not compared", *lines)


def _gaps(coverage: Coverage) -> list[str]:
    lines = []
    for run, only, labels in (
        ("A", coverage.only_a, coverage.labels_a),
        ("B", coverage.only_b, coverage.labels_b),
    ):
        if only.samples:
            count = plural(only.samples, "sample")
            steps = f"steps {only.first} to {only.last}"
            if only.first == only.last:
                steps = f"step {only.first}"
            lines.append(f"{count} of {run} without a counterpart, {steps}.")
        if labels:
            names = ", ".join(clean(label, 30) for label in labels[:4])
            lines.append(f"{plural(len(labels), 'checkpoint')} only in {run}: {names}.")
    return lines


def _health(c: Comparison) -> RenderableType:
    one, two = health_rows(c.health_a), health_rows(c.health_b)
    names = sorted(dict.fromkeys([*one, *two]), key=lambda name: not name.endswith(ALARMS))
    alike = one == two
    out = table("", "A and B") if alike else table("", "A", "B")
    for name in names[:MOST_HEALTH]:
        runs = (one,) if alike else (one, two)
        out.add_row(styled(name), *(styled(run.get(name, "-")) for run in runs))
    parts: list[RenderableType] = [out]
    if len(names) > MOST_HEALTH:
        parts.append(more(len(names), MOST_HEALTH, "lines"))
    return section("Health of each run", *parts)


def health_rows(health: Health) -> dict[str, str]:
    """The health of a run as names and short texts, what is alarming first."""
    rows = {}
    if health.non_finite_step is not None:
        names = ", ".join(health.non_finite[:4])
        rows["first non-finite value"] = f"step {health.non_finite_step}: {names}"
    for reversal in health.reversals:
        rows[f"{reversal.name}, wrong way"] = _reversed(reversal)
    if health.faults:
        rows["samples with faults"] = f"{health.faults:,}"
    if health.errors or health.warnings:
        rows["events"] = f"{plural(health.errors, 'error')}, {plural(health.warnings, 'warning')}"
    if health.anomalies:
        rows["anomalies"] = f"{health.anomalies:,}, the first at step {health.anomaly_step}"
    for peak in health.peaks:
        rows[f"{peak.name}, largest"] = (
            f"{peak.value:.4g} at step {peak.step}{_lost(peak)}{_margin(peak)}"
        )
    for drift in health.drifts:
        if drift.largest is not None and drift.largest >= OWN_SIZE:
            # What moves by its own size has no scale of its own: a sum near zero, or no invariant.
            rows[f"{drift.name}, drift"] = f"as large as itself, {small(drift.distance)}"
            continue
        rows[f"{drift.name}, drift"] = f"{small(drift.final)} (largest {small(drift.largest)})"
        if drift.checkpoint_step:
            # Of the checkpoint at the start the line before has told.
            lately = f"{small(drift.since_checkpoint)} since step {drift.checkpoint_step}"
            rows[f"{drift.name}, since checkpoint"] = lately
    for rest in health.unexplained:
        size = f"{small(rest.relative)} of its scale" if rest.value else "none, to the last bit"
        rows[rest.name] = f"{size}, at step {rest.step}" if rest.value else size
    for name in health.constant:
        rows[f"{name}, drift"] = "none, to the last bit"
    return rows or {"nothing to report": "no conserved quantity or stability metric recorded"}


def _lost(peak: Peak) -> str:
    return "" if peak.lost_step is None else f", not finite from step {peak.lost_step} on"


def _margin(peak: Peak) -> str:
    if peak.limit is None:
        return ""
    if peak.passed_step is not None:
        return f", past its limit {peak.limit:g} from step {peak.passed_step} on"
    return f", {100 * (1 - peak.value / peak.limit):.0f} % below its limit {peak.limit:g}"


def _reversed(reversal: Reversal) -> str:
    moved = "rose" if reversal.declared == "decreasing" else "fell"
    return (
        f"{moved} by {reversal.relative:.2g} of its scale from step {reversal.from_step} to "
        f"{reversal.step}, first at {reversal.first_step}; declared as {reversal.declared}"
    )


def difference_name(d: RecordedDifference) -> str:
    """Part and name of a recorded difference, as a person would say it."""
    return f"{d.part} {_path(d)}"


def also(d: RecordedDifference) -> str:
    """Where the same change stands under another name, as a clause; nothing if nowhere."""
    return f", also as {', '.join(d.otherwise[:2])}" if d.otherwise else ""


def _path(d: RecordedDifference) -> str:
    """A setting by its name; one that took effect otherwise than it was asked for says so."""
    if d.part != "numerics":
        return d.path
    if d.path.startswith("effective.") and not d.also:
        return f"{d.name} (in effect)"
    return d.name


def _sure(confidence: float) -> str:
    word = "high" if confidence >= 0.8 else "medium" if confidence >= 0.5 else "low"
    return f"{word} confidence"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(n: int) -> str:
    return f"{n:,}" if n < 1_000_000 else f"{n:.1e}"
