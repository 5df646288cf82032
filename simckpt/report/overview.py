"""What `simckpt show` tells of one bundle: what ran, where, how healthy it is, what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from msgspec.structs import replace
from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.facts import ending, run_facts
from ..compare.health import Health, health
from ..compare.restart_check import Restart
from ..compare.run_view import RunView
from ..model.changes import flatten
from ..model.documents import Intent, Manifest
from ..model.numerics import NumericalSettings
from ..model.record import Facts, Record
from ..model.series import Cost
from ..model.transform import Dataset, SchemaChange, Transform, TransformManifest
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
from .two_runs import health_rows

MOST_NAMES = 6


def restart_section(restarts: Sequence[Restart]) -> RenderableType:
    """A section with a line for each restart; nothing for a run that was never restarted."""
    if not restarts:
        return Group()
    lines = [styled(restart_text(r), "yellow" if r.verdict == "differs" else "") for r in restarts]
    return section("Restart reproducibility", *lines)


def restart_text(restart: Restart) -> str:
    """One restart in a sentence."""
    who = f"job attempt {restart.segment}, from step {restart.start_step}"
    if restart.verdict == "no-overlap":
        return f"{who}: repeats no sample of those before it, so there is nothing to compare"
    segments = ", ".join(map(str, restart.repeats))
    steps = (
        f"step {restart.first_step}"
        if restart.first_step == restart.last_step
        else f"steps {restart.first_step} to {restart.last_step}"
    )
    many = "s" if len(restart.repeats) > 1 else ""
    what = f"{plural(restart.samples, 'sample')} of job attempt{many} {segments} repeated, {steps}"
    if restart.verdict == "bit-for-bit":
        return f"{who}: {what}, bit for bit the same"
    names = [
        *restart.fields,
        *(q for q in restart.quantities if q.partition(".")[0] not in restart.fields),
    ]
    text = ", ".join(clean(n) for n in names[:MOST_NAMES])
    text += f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    tiles = f", {restart.tiles} of {restart.of} tiles" if restart.of else ""
    if restart.in_state:
        meaning = "the state that was read is not the one that was sampled"
    elif restart.first_step == restart.start_step:
        meaning = "the state that was read is the same, so the restart lacks what a step needs"
    else:
        meaning = f"nothing tells of the state at step {restart.start_step}"
    return f"{who}: {what}; DIFFERENT from step {restart.diverges_at} on ({text}{tiles}): {meaning}"


MOST_TRANSFORMS = 20
MOST_CHANGES = 4


def transforms_section(manifest: TransformManifest | None) -> RenderableType:
    """A row for each transform; nothing for a run that is no analysis."""
    if manifest is None:
        return Group()
    datasets = {dataset.id: dataset for dataset in manifest.datasets}
    out = table("", "from", "to", "by which rule", "schema")
    for transform in manifest.transforms[:MOST_TRANSFORMS]:
        out.add_row(
            styled(transform.name or transform.kind, longest=24),
            _sizes(transform.sources, datasets),
            _sizes(transform.results, datasets),
            styled(_rule(transform), longest=80),
            styled(_changes_transforms(transform.changes), longest=60),
        )
    parts: list[RenderableType] = []
    if manifest.problem:
        parts.append(styled(manifest.problem, "yellow"))
    if manifest.cohort:
        parts.append(styled(manifest.cohort))
    if manifest.transforms:
        parts.append(out)
    total = len(manifest.transforms) + manifest.left_out
    remaining = total - min(len(manifest.transforms), MOST_TRANSFORMS)
    if remaining:
        parts.append(Text(f"... and {remaining:,} more transforms", style="dim"))
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


def _sizes(ids: Iterable[str], datasets: dict[str, Dataset]) -> Text:
    lines = [
        f"{short_hash(id_)[:6]} {size_text(datasets[id_])}"
        if id_ in datasets
        else short_hash(id_)[:6]
        for id_ in ids
    ]
    return Text("\n".join(lines) or "-")


def _rule(transform: Transform) -> str:
    failed = f"FAILED: {transform.problem}" if transform.problem else ""
    rule = transform.selection + (f" ({transform.why})" if transform.why else "")
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


D = TypeVar("D")


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
    rows: dict[str, str] = {}


def overview(run: RecordedRun, restarts: tuple[Restart, ...] = ()) -> Overview:
    """Sum up one bundle with what its restarts repeat; reads its documents, opens nothing."""
    series, segments = run.series(), list(run.segments)
    facts = run_facts(run).parts
    manifest = latest_document(run, "manifest", Manifest)
    settings = latest_document(run, "numerics", NumericalSettings)
    nodes = [node for view in segments for node in view.segment.nodes]
    times = series.t[np.isfinite(series.t)]
    steps = series.step
    checkpoints = list(run.checkpoints)
    o = Overview(
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
        code={k: v for k, v in facts.get("code", {}).items() if k.endswith(".commit")},
        intent=latest_document(run, "intent", Intent),
        ranks=tuple(dict.fromkeys(view.segment.ranks for view in segments)),
        hosts=tuple(dict.fromkeys(node.host for node in nodes)),
        layout=str(facts.get("ranks", {}).get("layout", "")),
        python=str(facts.get("environment", {}).get("python.version", "")),
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
        transforms=latest_document(run, "transforms", TransformManifest),
    )
    rows = {heading: text(run, o) for heading, text in ROWS.items()}
    return replace(o, rows={heading: text for heading, text in rows.items() if text})


def overview_report(o: Overview) -> Group:
    """The page that `simckpt show` prints."""
    parts: list[RenderableType] = [
        _head(o),
        Text(""),
        facts([(n, styled(t)) for n, t in o.rows.items()]),
    ]
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


def _call(o: Overview) -> str:
    arguments = ", ".join(f"{clean(k)}={value(v, 24)}" for k, v in o.parameters.items())
    return clean(f"{o.driver}({arguments})", 240) if o.driver else ""


def _commits(o: Overview) -> str:
    names = {k.removesuffix(".commit").removeprefix("git "): v for k, v in o.code.items()}
    return ", ".join(f"{name} {value(commit)}" for name, commit in names.items())


def _place(o: Overview) -> str:
    hosts = ", ".join(clean(h) for h in o.hosts[:4]) + (" ..." if len(o.hosts) > 4 else "")
    python = f"; Python {clean(o.python)}" if o.python else ""
    return f"{clean(o.layout)} on {hosts or 'an unknown host'}{python}"


def _extent(o: Overview) -> str:
    if not o.samples:
        return "none"
    text = f"{plural(o.samples, 'sample')}, steps {o.first_step} to {o.last_step}"
    if o.first_t is not None and o.last_t is not None:
        text += f", t = {o.first_t:.6g} to {o.last_t:.6g}"
    fields = ", ".join(clean(f) for f in o.fields[:8]) or "no field"
    return f"{text}; {plural(len(o.quantities), 'quantity', 'quantities')}, digests of {fields}"


ROWS: dict[str, Callable[[RecordedRun, Overview], str]] = {
    "goal": lambda _, o: o.intent.goal if o.intent else "",
    "assuming": lambda _, o: "; ".join(o.intent.assumptions) if o.intent else "",
    "concluding": lambda _, o: o.intent.conclusion if o.intent else "",
    "driver": lambda _, o: _call(o),
    "command": lambda _, o: clean(" ".join(o.command), 160),
    "code": lambda _, o: _commits(o),
    "recorded": lambda _, o: f"{moment(o.created)}, simckpt {o.simckpt_version}",
    "where": lambda _, o: _place(o),
    "run": lambda _, o: o.run_id + (f", campaign {o.campaign}" * (o.campaign != o.run_id)),
    "samples": lambda _, o: _extent(o),
    "job attempts": lambda _, o: str(o.segments) if o.segments > 1 else "",
}
"""The rows at the top of `simckpt show`: a heading, and its text; an empty text is left out."""


def _settings(o: Overview) -> RenderableType:
    settings = dict(flatten(o.numerics))
    # Settings that differ from the request come first: a solver has more than fit here.
    rows: list[tuple[str, str | Text]] = [
        (clean(name), styled(f"{value(effective)} (requested {value(requested)})", "yellow"))
        for name, (requested, effective) in o.fallbacks.items()
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
    return f"Recording took {share} of {wall} ({parts or 'nothing'}){once}."


def documents(run: RunView, part: str, kind: type[D]) -> Iterator[D]:
    """The documents of one part of the checkpoints, the last first, each once."""
    references: set[str] = set()
    for checkpoint in reversed(list(run.checkpoints)):
        reference: str | None = getattr(checkpoint.parts, part)
        if reference is None or reference in references:
            continue
        references.add(reference)
        try:
            document = run.document(reference)
        except KeyError:
            continue
        if isinstance(document, kind):
            yield document


def latest_document(run: RunView, part: str, kind: type[D]) -> D | None:
    """The document of one part at the last checkpoint that has it."""
    return next(documents(run, part, kind), None)
