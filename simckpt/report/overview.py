"""What `simckpt show` tells of one bundle: what ran, where, how healthy it is, what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.facts import ending, run_facts
from ..compare.health import Health, health
from ..compare.restart import Restart
from ..compare.run_view import RunView
from ..model.changes import Change, SpecDiff, flatten
from ..model.documents import ArtifactIndex, Intent, Manifest
from ..model.numerics import NumericalSettings
from ..model.record import Facts, Record
from ..model.series import Cost
from ..model.transform import Dataset, SchemaChange, Transform, TransformManifest
from .comparison import OWN_SIZE, health_rows
from .text import (
    clean,
    duration,
    facts,
    moment,
    more,
    plural,
    section,
    short_hash,
    styled,
    table,
    value,
)

# What is told of a run's restarts: a sentence each.


MOST_NAMES = 6


def restart_section(found: Sequence[Restart]) -> RenderableType:
    """A section with a line for each restart; nothing for a run that was never restarted."""
    if not found:
        return Group()
    lines = [styled(restart_text(r), "yellow" if r.verdict == "differs" else "") for r in found]
    return section("Restart reproducibility", *lines)


def restart_text(found: Restart) -> str:
    """One restart in a sentence."""
    who = f"segment {found.segment}, from step {found.start_step}"
    if found.verdict == "no-overlap":
        return f"{who}: repeats no sample of those before it, so there is nothing to compare"
    segments = ", ".join(map(str, found.repeats))
    steps = (
        f"step {found.first_step}"
        if found.first_step == found.last_step
        else f"steps {found.first_step} to {found.last_step}"
    )
    many = "s" if len(found.repeats) > 1 else ""
    what = f"{plural(found.samples, 'sample')} of segment{many} {segments} repeated, {steps}"
    if found.verdict == "bit-for-bit":
        return f"{who}: {what}, bit for bit the same"
    names = [
        *found.fields,
        *(q for q in found.quantities if q.partition(".")[0] not in found.fields),
    ]
    shown = ", ".join(clean(n) for n in names[:MOST_NAMES])
    shown += f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    tiles = f", {found.tiles} of {found.of} tiles" if found.of else ""
    if found.in_state:
        meaning = "the state that was read is not the one that was sampled"
    elif found.first_step == found.start_step:
        meaning = "the state that was read is the same, so the restart lacks what a step needs"
    else:
        meaning = f"nothing tells of the state at step {found.start_step}"
    return f"{who}: {what}; DIFFERENT from step {found.parts_at} on ({shown}{tiles}): {meaning}"


# The transforms of an analysis as a table: what was done, by which rule, and what it left.


MOST_TRANSFORMS = 20
MOST_CHANGES = 4


def transforms_section(manifest: TransformManifest | None) -> RenderableType:
    """A row for each transform; nothing for a run that is no analysis."""
    if manifest is None:
        return Group()
    known = {dataset.id: dataset for dataset in manifest.datasets}
    out = table("", "from", "to", "by which rule", "schema")
    for made in manifest.transforms[:MOST_TRANSFORMS]:
        out.add_row(
            styled(made.name or made.kind, longest=24),
            _sizes(made.sources, known),
            _sizes(made.results, known),
            styled(_rule(made), longest=80),
            styled(_changes_transforms(made.changes), longest=60),
        )
    parts: list[RenderableType] = []
    if manifest.problem:
        parts.append(styled(manifest.problem, "yellow"))
    if manifest.cohort:
        parts.append(styled(manifest.cohort))
    if manifest.transforms:
        parts.append(out)
    total = len(manifest.transforms) + manifest.left_out
    left = total - min(len(manifest.transforms), MOST_TRANSFORMS)
    if left:
        parts.append(Text(f"... and {left:,} more transforms", style="dim"))
    return section(f"Transforms ({total})", *parts)


def size_text(dataset: Dataset) -> str:
    """How large a dataset is: ``4 rows x 2``, or ``t 4, x 3``."""
    spread = f" on {dataset.parts} ranks" if dataset.parts > 1 else ""
    if dataset.rows is not None:
        columns = "" if dataset.columns is None else f" x {dataset.columns}"
        return plural(dataset.rows, "row") + columns + spread
    if dataset.dims:
        dims = ", ".join(f"{clean(name)} {n:,}" for name, n in dataset.dims.items())
        return f"up to {dims}{spread}" if spread else dims
    return "lazy" if dataset.columns is not None else "?"


def _sizes(ids: Iterable[str], known: dict[str, Dataset]) -> Text:
    lines = [
        f"{short_hash(id_)[:6]} {size_text(known[id_])}" if id_ in known else short_hash(id_)[:6]
        for id_ in ids
    ]
    return Text("\n".join(lines) or "-")


def _rule(made: Transform) -> str:
    failed = f"FAILED: {made.problem}" if made.problem else ""
    rule = made.selection + (f" ({made.why})" if made.why else "")
    return "; ".join(filter(None, (failed, rule)))


def _changes_transforms(changes: tuple[SchemaChange, ...]) -> str:
    texts = [_change_transforms(change) for change in changes[:MOST_CHANGES]]
    if len(changes) > MOST_CHANGES:
        texts.append(f"{len(changes) - MOST_CHANGES} more")
    return ", ".join(texts)


def _change_transforms(change: SchemaChange) -> str:
    if change.what == "added":
        return f"+{change.column}"
    if change.what == "removed":
        return f"-{change.column}"
    return f"{change.column} {change.what}: {change.old or 'none'} -> {change.new or 'none'}"


MOST_SETTINGS = 12
MOST_CHECKPOINTS = 6
MOST_EVENTS = 5


class RecordedRun(RunView, Protocol):
    """A bundle, with what it says about itself."""

    @property
    def campaign(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def simckpt_version(self) -> str: ...


class CheckpointLine(Record, frozen=True, kw_only=True):
    """A checkpoint in the fewest words."""

    id: str
    index: int
    label: str
    reason: str
    step: int
    t: float | None
    wall: float
    why: str = ""


class Overview(Record, frozen=True, kw_only=True):
    """One bundle, summed up."""

    path: str
    run_id: str
    campaign: str
    created: float
    simckpt_version: str
    ending: str
    driver: str
    command: tuple[str, ...]
    parameters: Facts
    numerics: Facts
    fallbacks: dict[str, Any]
    code: Facts
    intent: Intent | None
    ranks: tuple[int, ...]
    hosts: tuple[str, ...]
    layout: str
    python: str
    segments: int
    samples: int
    first_step: int | None
    last_step: int | None
    first_t: float | None
    last_t: float | None
    quantities: tuple[str, ...]
    fields: tuple[str, ...]
    health: Health
    checkpoints: int
    latest: tuple[CheckpointLine, ...]
    events: int
    warnings: tuple[str, ...]
    uncommitted: int
    cost: Cost | None
    restarts: tuple[Restart, ...] = ()
    transforms: TransformManifest | None = None


def overview(run: RecordedRun, restarts: tuple[Restart, ...] = ()) -> Overview:
    """Sum up one bundle with what its restarts repeat; reads its documents, opens nothing."""
    series, segments = run.series(), list(run.segments)
    gathered = run_facts(run).parts
    manifest = _latest(run, "manifest", Manifest)
    settings = _latest(run, "numerics", NumericalSettings)
    nodes = [node for view in segments for node in view.segment.nodes]
    times = series.t[np.isfinite(series.t)]
    steps = series.step
    checkpoints = list(run.checkpoints)
    return Overview(
        path=str(run.path),
        run_id=run.run_id,
        campaign=run.campaign,
        created=run.created,
        simckpt_version=run.simckpt_version,
        ending=ending(segments[-1]) if segments else "not begun",
        driver=manifest.driver if manifest else "",
        command=manifest.command if manifest else (),
        parameters=manifest.parameters if manifest else {},
        numerics=(settings.requested | settings.effective) if settings else {},
        fallbacks=settings.fallbacks() if settings else {},
        code={k: v for k, v in gathered.get("code", {}).items() if k.endswith(".commit")},
        intent=_latest(run, "intent", Intent),
        ranks=tuple(dict.fromkeys(view.segment.ranks for view in segments)),
        hosts=tuple(dict.fromkeys(node.host for node in nodes)),
        layout=str(gathered.get("ranks", {}).get("layout", "")),
        python=str(gathered.get("environment", {}).get("python.version", "")),
        segments=len(segments),
        samples=len(steps),
        first_step=int(steps[0]) if len(steps) else None,
        last_step=int(steps[-1]) if len(steps) else None,
        first_t=float(times[0]) if len(times) else None,
        last_t=float(times[-1]) if len(times) else None,
        quantities=tuple(series),
        fields=run.fields,
        health=health(run),
        checkpoints=len(checkpoints),
        latest=tuple(
            CheckpointLine(
                id=c.id,
                index=c.index,
                label=c.label,
                reason=c.reason,
                step=c.step,
                t=c.t,
                wall=c.wall,
                why=c.why,
            )
            for c in checkpoints[-MOST_CHECKPOINTS:]
        ),
        events=len(run.events),
        warnings=tuple(f"step {e.step}: {e.text}" for e in run.events if e.severity != "note"),
        uncommitted=run.uncommitted,
        cost=checkpoints[-1].cost if checkpoints else None,
        restarts=restarts,
        transforms=_latest(run, "transforms", TransformManifest),
    )


def overview_report(o: Overview) -> Group:
    """The page that `simckpt show` prints."""
    parts: list[RenderableType] = [_head(o), Text(""), facts(_what(o))]
    if o.numerics:
        parts.append(_settings(o))
    parts.append(
        section("Health", facts([(n, styled(t)) for n, t in health_rows(o.health).items()]))
    )
    parts.append(restart_section(o.restarts))
    parts.append(transforms_section(o.transforms))
    if o.warnings:
        lines: list[RenderableType] = [styled(text) for text in o.warnings[:MOST_EVENTS]]
        if len(o.warnings) > MOST_EVENTS:
            lines.append(more(len(o.warnings), MOST_EVENTS, "warnings"))
        parts.append(section("Warnings", *lines))
    parts.append(_checkpoints(o))
    return Group(*parts)


def _head(o: Overview) -> Text:
    style = "green" if o.ending == "finished" else "yellow"
    return Text.assemble(styled(o.path, "bold"), "  ", styled(o.ending, style))


def _what(o: Overview) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text]] = []
    if o.intent is not None:
        rows.append(("goal", styled(o.intent.goal)))
        rows += [("assuming", styled("; ".join(o.intent.assumptions)))] * bool(o.intent.assumptions)
        rows += [("concluding", styled(o.intent.conclusion))] * bool(o.intent.conclusion)
    arguments = ", ".join(f"{clean(k)}={value(v, 24)}" for k, v in o.parameters.items())
    if o.driver:
        rows.append(("driver", styled(f"{o.driver}({arguments})", longest=240)))
    if o.command:
        rows.append(("command", styled(" ".join(o.command), longest=160)))
    commits = [
        f"{k.removesuffix('.commit').removeprefix('git ')} {value(v)}" for k, v in o.code.items()
    ]
    if commits:
        rows.append(("code", styled(", ".join(commits))))
    rows.append(("recorded", f"{moment(o.created)}, simckpt {clean(o.simckpt_version)}"))
    place = ", ".join(clean(h) for h in o.hosts[:4]) + (" ..." if len(o.hosts) > 4 else "")
    python = f"; Python {clean(o.python)}" if o.python else ""
    rows.append(("where", f"{clean(o.layout)} on {place or 'an unknown host'}{python}"))
    campaign = "" if o.campaign == o.run_id else f", campaign {o.campaign}"
    rows.append(("run", styled(f"{o.run_id}{campaign}")))
    rows.append(("samples", _extent(o)))
    if o.segments > 1:
        rows.append(("segments", f"{o.segments} job attempts"))
    return rows


def _extent(o: Overview) -> str:
    if not o.samples:
        return "none"
    text = f"{plural(o.samples, 'sample')}, steps {o.first_step} to {o.last_step}"
    if o.first_t is not None and o.last_t is not None:
        text += f", t = {o.first_t:.6g} to {o.last_t:.6g}"
    return (
        text
        + f"; {plural(len(o.quantities), 'quantity', 'quantities')}, digests of "
        + (", ".join(clean(f) for f in o.fields[:8]) or "no field")
    )


def _settings(o: Overview) -> RenderableType:
    settings = dict(flatten(o.numerics))
    # What is not as it was asked for comes first: a solver has more settings than are shown.
    rows: list[tuple[str, str | Text]] = [
        (clean(name), styled(f"{value(effective)} (asked for {value(asked)})", "yellow"))
        for name, (asked, effective) in o.fallbacks.items()
    ]
    rows += [
        (clean(name), styled(value(setting)))
        for name, setting in settings.items()
        if name not in o.fallbacks
    ]
    parts: list[RenderableType] = [facts(rows[:MOST_SETTINGS])]
    if len(rows) > MOST_SETTINGS:
        parts.append(more(len(rows), MOST_SETTINGS, "settings"))
    return section("Numerical settings", *parts)


def _checkpoints(o: Overview) -> RenderableType:
    parts: list[RenderableType] = []
    if o.latest:
        out = table("id", "step>", "t>", "label", "reason", "why")
        for c in o.latest:
            t = "-" if c.t is None else f"{c.t:.6g}"
            why = styled(c.why, longest=40)
            out.add_row(
                short_hash(c.id), str(c.step), t, styled(c.label, longest=32), c.reason, why
            )
        parts.append(out)
        if o.checkpoints > len(o.latest):
            parts.append(Text(f"... and {o.checkpoints - len(o.latest)} before", style="dim"))
    if o.uncommitted and o.ending.startswith("killed"):
        count = plural(o.uncommitted, "record")
        parts.append(Text(f"{count} after the last checkpoint, not confirmed on disk", style="dim"))
    if o.cost is not None and o.cost.wall > 0:
        parts += [Text(" "), Text(_price(o.cost))]
    return section(f"Checkpoints ({o.checkpoints})", *parts)


def _price(cost: Cost) -> str:
    spent = {
        "samples": cost.samples,
        "reductions": cost.reductions,
        "checkpoints": cost.checkpoints,
        "captures": cost.captures,
    }
    parts = ", ".join(f"{name} {duration(s)}" for name, s in spent.items() if s > 0)
    share = f"{100 * cost.share:.2g} %" if cost.share < 0.1 else f"{100 * cost.share:.0f} %"
    once = f", and {duration(cost.setup)} once to load its kernels" if cost.setup > 0 else ""
    wall = f"{duration(cost.wall)} wall time"
    return f"The instrument took {share} of {wall} ({parts or 'nothing'}){once}."


def _latest(run: RunView, part: str, kind: type[Any]) -> Any:
    """The document of one part at the last checkpoint that has it."""
    for checkpoint in reversed(list(run.checkpoints)):
        reference = getattr(checkpoint.parts, part)
        if reference is not None:
            try:
                found = run.document(reference)
            except KeyError:
                continue
            if isinstance(found, kind):
                return found
    return None


# What the next step in a chain needs to know of a run, in less than 2 KB.
#
# It is read by people, by scripts and by whatever plans the next step, so that it has to be small
# whatever was recorded: texts are cut, and lists are shortened until it fits.


LARGEST = 2_000
"""Bytes of the text, and of the indented JSON."""

LONGEST = 160
MOST = 8
MOST_MOVED = 3

D = TypeVar("D")


class Output(Record, frozen=True, kw_only=True):
    """Where an output is; `hash` is shortened, and empty where it was not hashed."""

    path: str
    status: str = "stable"
    hash: str = ""


class Brief(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A run for whoever goes on from it.

    `checkpoint` is the id to give as ``upstream=``; `upstream` are the ids it started from.
    `moved` are conserved quantities that changed by their own size: no failure by itself, since a
    sum near zero does, and what to look at first where the quantity has a scale. `changed` are the
    last changes of the specification, each ``path: old -> new``. Counts that
    begin with `more_` say how many entries were left out.
    """

    path: str
    goal: str = ""
    concluding: str = ""
    stage: str = ""
    ending: str = ""
    step: int | None = None
    t: float | None = None
    checkpoint: str = ""
    label: str = ""
    uncommitted: int = 0
    sound: bool = True
    moved: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    more_changed: int = 0
    why: str = ""
    upstream: tuple[str, ...] = ()
    more_upstream: int = 0
    transforms: str = ""
    folder: str = ""
    outputs: tuple[Output, ...] = ()
    more_outputs: int = 0


def brief(run: RunView, o: Overview) -> Brief:
    """The run in brief; `o` is its overview."""
    most = MOST
    while True:
        told = _brief(run, o, most)
        sizes = len(brief_text(told).encode()), len(msgspec.json.format(msgspec.json.encode(told)))
        if max(sizes) <= LARGEST or most == 0:
            return told
        most -= 1


def brief_text(told: Brief) -> str:
    """The page that `simckpt show --brief` prints: a name and a text to a line."""
    lines = [f"{told.path}: {told.ending}"]
    rows: list[tuple[str, str]] = [
        ("goal", told.goal),
        ("concluding", told.concluding),
        ("stage", told.stage),
        ("stands", _stands(told)),
        ("checkpoint", told.checkpoint),
        ("health", _soundness(told)),
        *(("", text) for text in told.health),
        *_named("changed", told.changed, told.more_changed),
        ("why", told.why),
        *_named("upstream", told.upstream, told.more_upstream),
        ("transforms", told.transforms),
        ("outputs in", told.folder),
        *(("", " ".join(filter(None, (o.path, _state(o))))) for o in told.outputs),
        ("", f"and {told.more_outputs} more" if told.more_outputs else ""),
    ]
    lines += [f"{name:<11} {text}" for name, text in rows if text]
    return "\n".join(lines) + "\n"


def artifact_index(run: RunView) -> ArtifactIndex | None:
    """The last index of its outputs that a run recorded."""
    return _last(run, "artifacts", ArtifactIndex)


def _brief(run: RunView, o: Overview, most: int) -> Brief:
    manifest = _last(run, "manifest", Manifest)
    index = artifact_index(run)
    changes, why = _changes(run)
    entries = index.entries if index else ()
    upstream = manifest.upstream if manifest else ()
    # What is missing or was still changing is what the next step has to know first.
    ordered = sorted(entries, key=lambda e: (e.status == "stable", e.path))
    health = [f"{name}: {text}" for name, text in health_rows(o.health).items()]
    health += [restart_text(r) for r in o.restarts if r.verdict == "differs"]
    last = o.latest[-1] if o.latest else None
    return Brief(
        path=_cut(o.path),
        goal=_cut(o.intent.goal if o.intent else ""),
        concluding=_cut(o.intent.conclusion if o.intent else ""),
        stage=_cut(_stage(manifest)),
        ending=_cut(o.ending, 40),
        step=last.step if last else o.last_step,
        t=last.t if last else o.last_t,
        checkpoint=last.id if last else "",
        label=_cut(last.label if last else "", 60),
        uncommitted=o.uncommitted if o.ending.startswith("killed") else 0,
        sound=o.health.sound,
        moved=tuple(
            _cut(drift.name, 40)
            for drift in o.health.drifts
            if drift.largest is not None and drift.largest >= OWN_SIZE
        )[:MOST_MOVED],
        health=tuple(_cut(text) for text in health[: max(most, 1)]),
        changed=tuple(_cut(_change(c), 120) for c in changes[:most]),
        more_changed=max(0, len(changes) - most),
        why=_cut(why),
        upstream=tuple(_cut(id_, 64) for id_ in upstream[: max(most, 1)]),
        more_upstream=max(0, len(upstream) - max(most, 1)),
        transforms=_transforms(o.transforms),
        folder=_cut(index.root if index else ""),
        outputs=tuple(
            Output(path=_cut(e.path, 80), status=e.status, hash=short_hash(e.hash or ""))
            for e in ordered[:most]
        ),
        more_outputs=max(0, len(entries) - most),
    )


def _stands(told: Brief) -> str:
    if told.step is None:
        return "before its first step"
    text = f"step {told.step}"
    if told.t is not None:
        text += f", t = {told.t:.6g}"
    if told.label:
        text += f", at {told.label!r}"
    if told.uncommitted:
        text += f"; {plural(told.uncommitted, 'record')} after it, not confirmed on disk"
    return text


def _soundness(told: Brief) -> str:
    if not told.sound:
        return "NOT SOUND"
    if not told.moved:
        return "sound"
    return f"nothing failed, but {', '.join(told.moved)} moved by as much as it was"


def _state(output: Output) -> str:
    return output.hash if output.status == "stable" else output.status.upper()


def _named(name: str, texts: Iterable[str], left: int) -> list[tuple[str, str]]:
    rows = [(name if i == 0 else "", text) for i, text in enumerate(texts)]
    return [*rows, ("" if rows else name, f"and {left} more")] if left else rows


def _stage(manifest: Manifest | None) -> str:
    if manifest is None:
        return ""
    return " ".join(filter(None, (manifest.stage.role, manifest.stage.name)))


def _transforms(steps: TransformManifest | None) -> str:
    if steps is None:
        return ""
    shown = ", ".join(t.kind for t in steps.transforms[:MOST])
    return _cut(f"{len(steps.transforms) + steps.left_out}: {shown}")


def _changes(run: RunView) -> tuple[tuple[Change, ...], str]:
    """The last changes of the specification in this run, or else those since its upstream."""
    upstream: tuple[Change, ...] = ()
    why = ""
    for diff in _all(run, "spec_diff", SpecDiff):
        if diff.changes:
            return diff.changes, diff.why
        # Against another program everything differs, and nothing was changed.
        if not any(change.path == "driver" for change in diff.since_upstream):
            why = why or (diff.why if not upstream else "")
            upstream = upstream or diff.since_upstream
    return upstream, why if upstream else ""


def _change(change: Change) -> str:
    return f"{change.path}: {value(change.old, 40)} -> {value(change.new, 40)}"


def _cut(text: str, longest: int = LONGEST) -> str:
    """Clean text that takes at most so many bytes as it is, and within JSON."""
    cleaned = clean(text)
    if _size(cleaned) <= longest:
        return cleaned
    kept = cleaned[: longest - 3]
    while _size(kept) > longest - 3:
        kept = kept[: len(kept) * 9 // 10]
    return kept + "..."


def _size(text: str) -> int:
    return len(msgspec.json.encode(text)) - 2


def _last(run: RunView, part: str, kind: type[D]) -> D | None:
    return next(iter(_all(run, part, kind)), None)


def _all(run: RunView, part: str, kind: type[D]) -> Iterable[D]:
    """The documents of one part, the last first, each once."""
    seen: set[str] = set()
    for checkpoint in reversed(list(run.checkpoints)):
        reference: Any = getattr(checkpoint.parts, part)
        if reference is None or reference in seen:
            continue
        seen.add(reference)
        try:
            found = run.document(reference)
        except KeyError:
            continue
        if isinstance(found, kind):
            yield found
