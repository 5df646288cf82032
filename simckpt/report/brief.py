"""What `simckpt show --brief` prints: what the next step of a chain needs, in less than 2 KB.

It is read by people, by scripts and by whatever plans the next step, so that it has to be small
whatever was recorded: texts are cut, and lists are shortened until it fits.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..compare.run_view import RunView
from ..model.changes import Change, SpecDiff
from ..model.documents import ArtifactIndex, Manifest
from ..model.record import Record
from ..model.transform import TransformManifest
from .overview import Overview, documents, latest_document, restart_text
from .text import clean, plural, short_hash, value
from .two_runs import OWN_SIZE, health_rows

LARGEST = 2_000
"""Bytes of the text, and of the indented JSON."""

LONGEST = 160
MOST = 8
MOST_MOVED = 3


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
        result = _brief(run, o, most)
        sizes = (
            len(brief_text(result).encode()),
            len(msgspec.json.format(msgspec.json.encode(result))),
        )
        if max(sizes) <= LARGEST or most == 0:
            return result
        most -= 1


def brief_text(b: Brief) -> str:
    """The page that `simckpt show --brief` prints: a name and a text to a line."""
    lines = [f"{b.path}: {b.ending}"]
    rows: list[tuple[str, str]] = [
        ("goal", b.goal),
        ("concluding", b.concluding),
        ("stage", b.stage),
        ("stands", _position(b)),
        ("checkpoint", b.checkpoint),
        ("health", _health_text(b)),
        *(("", text) for text in b.health),
        *_labelled("changed", b.changed, b.more_changed),
        ("why", b.why),
        *_labelled("upstream", b.upstream, b.more_upstream),
        ("transforms", b.transforms),
        ("outputs in", b.folder),
        *(("", " ".join(filter(None, (o.path, _state(o))))) for o in b.outputs),
        ("", f"and {b.more_outputs} more" if b.more_outputs else ""),
    ]
    lines += [f"{name:<11} {text}" for name, text in rows if text]
    return "\n".join(lines) + "\n"


def artifact_index(run: RunView) -> ArtifactIndex | None:
    """The last index of its outputs that a run recorded."""
    return latest_document(run, "artifacts", ArtifactIndex)


def _brief(run: RunView, o: Overview, most: int) -> Brief:
    manifest = latest_document(run, "manifest", Manifest)
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


def _position(b: Brief) -> str:
    if b.step is None:
        return "before its first step"
    text = f"step {b.step}"
    if b.t is not None:
        text += f", t = {b.t:.6g}"
    if b.label:
        text += f", at {b.label!r}"
    if b.uncommitted:
        text += f"; {plural(b.uncommitted, 'record')} after it, not confirmed on disk"
    return text


def _health_text(b: Brief) -> str:
    if not b.sound:
        return "NOT SOUND"
    if not b.moved:
        return "sound"
    return f"nothing failed, but {', '.join(b.moved)} moved by as much as it was"


def _state(output: Output) -> str:
    return output.hash if output.status == "stable" else output.status.upper()


def _labelled(name: str, texts: Iterable[str], remaining: int) -> list[tuple[str, str]]:
    rows = [(name if i == 0 else "", text) for i, text in enumerate(texts)]
    return [*rows, ("" if rows else name, f"and {remaining} more")] if remaining else rows


def _stage(manifest: Manifest | None) -> str:
    if manifest is None:
        return ""
    return " ".join(filter(None, (manifest.stage.role, manifest.stage.name)))


def _transforms(steps: TransformManifest | None) -> str:
    if steps is None:
        return ""
    kinds = ", ".join(t.kind for t in steps.transforms[:MOST])
    return _cut(f"{len(steps.transforms) + steps.left_out}: {kinds}")


def _changes(run: RunView) -> tuple[tuple[Change, ...], str]:
    """The last changes of the specification in this run, or else those since its upstream."""
    upstream: tuple[Change, ...] = ()
    why = ""
    for diff in documents(run, "spec_diff", SpecDiff):
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
    text_part = cleaned[: longest - 3]
    while _size(text_part) > longest - 3:
        text_part = text_part[: len(text_part) * 9 // 10]
    return text_part + "..."


def _size(text: str) -> int:
    return len(msgspec.json.encode(text)) - 2
