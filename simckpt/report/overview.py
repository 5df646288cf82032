"""What `simckpt show` tells of one bundle: what ran, where, how healthy it is, what it cost."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.health import Health, health
from ..compare.kind.restart import Restart
from ..compare.view import RunView
from ..compare.why.facts import ending, run_facts
from ..model.changes import flatten
from ..model.checkpoint import Cost
from ..model.intent import Intent
from ..model.manifest import Manifest
from ..model.numerics import NumericalSettings
from ..model.record import Facts, Record
from ..model.transform import TransformManifest
from .comparison import health_rows
from .page import facts, more, section, table
from .restarts import restart_section
from .text import clean, duration, moment, plural, short_hash, styled, value
from .transforms import transforms_section

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
