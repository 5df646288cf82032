"""The transforms of an analysis as a table: what was done, by which rule, and what it left."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from ..model.transform import Dataset, SchemaChange, Transform, TransformManifest
from .page import section, table
from .text import clean, plural, short_hash, styled

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
            styled(_changes(made.changes), longest=60),
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


def _changes(changes: tuple[SchemaChange, ...]) -> str:
    texts = [_change(change) for change in changes[:MOST_CHANGES]]
    if len(changes) > MOST_CHANGES:
        texts.append(f"{len(changes) - MOST_CHANGES} more")
    return ", ".join(texts)


def _change(change: SchemaChange) -> str:
    if change.what == "added":
        return f"+{change.column}"
    if change.what == "removed":
        return f"-{change.column}"
    return f"{change.column} {change.what}: {change.old or 'none'} -> {change.new or 'none'}"
