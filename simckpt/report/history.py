"""What `simckpt log` tells: job attempts, checkpoints and events in the order they happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.ancestry import Ancestry, Link, RunNode
from ..compare.facts import ending
from ..compare.restart_check import Restart
from ..compare.run_view import RunView
from ..model.record import Facts, Json, Record
from .job_chain import Attempt
from .overview import restart_section
from .text import clean, duration, moment, plural, section, short_hash, styled, table

# The graph of runs as text and for Graphviz: forks and merges, oldest first.


MOST_PARENTS = 3
LONGEST_NAME = 40


def lineage_report(graph: Ancestry) -> Group:
    """The page that `simckpt log` prints of several bundles: a line a run."""
    drawn = list(_drawn(graph))
    width = max((len(lanes) for lanes, _ in drawn), default=0)
    lines = []
    for lanes, node in drawn:
        line = Text(f"{lanes:<{width}}  ", style="dim", no_wrap=True, overflow="ellipsis")
        if node is not None:
            style = "" if node.ending == "finished" else "yellow" if node.has_bundle else "dim"
            line.append(_name(node), style="bold not dim")
            line.append(_about(node, graph), style=f"not dim {style}")
        lines.append(line if node is not None else Text(lanes, style="dim"))
    return Group(*lines)


def lineage_dot(graph: Ancestry) -> str:
    """The same in the language of Graphviz: ``simckpt log --dot ... | dot -Tsvg``."""
    lines = ["digraph lineage {", "  rankdir=LR;", "  node [shape=box];"]
    for node in graph.runs:
        label = _quoted(_name(node), _extent(node), node.stage or node.role)
        dashed = "" if node.has_bundle else ", style=dashed"
        lines.append(f"  {_quoted(node.id)} [label={label}{dashed}];")
    for link in graph.links:
        step = "" if link.step is None else f"step {link.step}"
        label = _quoted(step, link.label, short_hash(link.checkpoint))
        lines.append(f"  {_quoted(link.parent)} -> {_quoted(link.child)} [label={label}];")
    return "\n".join([*lines, "}"]) + "\n"


def _drawn(graph: Ancestry) -> Iterator[tuple[str, RunNode | None]]:
    """Each line's lanes, and the run that it is of; a lane leads from a run to one it feeds."""
    lanes: list[str | None] = []
    done: set[str] = set()
    for node in graph.runs:
        here = [i for i, child in enumerate(lanes) if child == node.id]
        column = here[0] if here else _free(lanes, 0)
        if len(here) > 1:
            yield _junction(lanes, column, set(here[1:]), "┴╯"), None
            for i in here[1:]:
                lanes[i] = None
        done.add(node.id)
        lanes[column] = node.id
        yield " ".join("●" if i == column else _lane(c) for i, c in enumerate(lanes)), node
        fed = dict.fromkeys(k.child for k in graph.links if k.parent == node.id)
        # A link back to a run that is drawn already could only be forged.
        children = [child for child in _in_order(graph, list(fed)) if child not in done]
        lanes[column] = children[0] if children else None
        new = set()
        for child in children[1:]:
            i = _free(lanes, column + 1)
            lanes[i] = child
            new.add(i)
        if new:
            yield _junction(lanes, column, new, "┬╮"), None
        while lanes and lanes[-1] is None:
            lanes.pop()


def _in_order(graph: Ancestry, names: Sequence[str]) -> list[str]:
    return [node.id for node in graph.runs if node.id in names]


def _free(lanes: list[str | None], start: int) -> int:
    for i in range(start, len(lanes)):
        if lanes[i] is None:
            return i
    lanes.append(None)
    return len(lanes) - 1


def _junction(lanes: Sequence[str | None], column: int, ends: set[int], signs: str) -> str:
    """A line that leads from `column` to the lanes `ends` on its right, across the others."""
    last = max(ends)
    out = []
    for i, child in enumerate(lanes):
        if i == column:
            out.append("├")
        elif i in ends:
            out.append(signs[1] if i == last else signs[0])
        elif column < i < last:
            out.append("┼" if child is not None else "─")
        else:
            out.append(_lane(child))
        out.append("─" if column <= i < last else " ")
    return "".join(out).rstrip()


def _lane(child: str | None) -> str:
    return " " if child is None else "│"


def _name(node: RunNode) -> str:
    if not node.has_bundle:
        return f"(checkpoint {short_hash(node.id)}, in a bundle that was not given)"
    return clean(PurePath(node.path).name.removesuffix(".simckpt.h5"), LONGEST_NAME)


def _about(node: RunNode, graph: Ancestry) -> str:
    if not node.has_bundle:
        return ""
    kind = node.stage or ("" if node.role == "simulation" else node.role)
    parts = [kind, _extent(node)]
    links = [link for link in graph.links if link.child == node.id]
    names = {run.id: _name(run) for run in graph.runs if run.has_bundle}
    origins = [_origin(link, names) for link in links[:MOST_PARENTS]]
    if len(links) > MOST_PARENTS:
        origins.append(f"{len(links) - MOST_PARENTS} more")
    if origins:
        parts.append("from " + " and ".join(origins))
    return "  " + clean("; ".join(filter(None, parts)))


def _extent(node: RunNode) -> str:
    if not node.has_bundle:
        return ""
    parts = [node.ending]
    if node.first_step != node.last_step:
        parts.append(f"steps {node.first_step} to {node.last_step}")
    if node.segments > 1:
        parts.append(plural(node.segments, "segment"))
    return ", ".join([*parts, plural(node.checkpoints, "checkpoint")])


def _origin(link: Link, names: Mapping[str, str]) -> str:
    at = "" if link.step is None else f" at step {link.step}"
    return names.get(link.parent, short_hash(link.checkpoint)) + at


def _quoted(*lines: str) -> str:
    """Lines of a label between the quotes of Graphviz."""
    cleaned = (clean(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines if line)
    return '"' + "\\n".join(cleaned) + '"'


# The chain of jobs behind a run as a table.


def job_table(chain: Sequence[Attempt]) -> RenderableType:
    """How each attempt of a run ended; nothing for a run that finished at its first, by itself."""
    if not any(a.job or a.ending != "finished" for a in chain):
        return Group()
    accounted = any(a.state for a in chain)
    heads = ("job", "on", "from>", "to step>", "ended", "last checkpoint")
    out = table(*heads, *(("time>", "memory>") if accounted else ()))
    for attempt in chain:
        row: list[str | Text] = [
            _number(attempt),
            _nodes(attempt),
            str(attempt.start_step),
            str(attempt.step),
            styled(attempt.reason, "" if attempt.ending == "finished" else "yellow"),
            f"{short_hash(attempt.checkpoint)} at {attempt.checkpoint_step}"
            if attempt.checkpoint
            else "none",
        ]
        if accounted:
            row += [
                "-" if attempt.elapsed is None else duration(attempt.elapsed),
                "-" if attempt.max_rss is None else f"{attempt.max_rss / 2**20:,.0f} MiB",
            ]
        out.add_row(*row)
    parts: list[RenderableType] = [section("Jobs", out)]
    last = chain[-1]
    if last.why and last.ending != "finished":
        parts.append(section("Said at the end", styled(last.why, longest=400)))
    return Group(*parts)


def _number(attempt: Attempt) -> str:
    again = f", restart {attempt.restarts}" if attempt.restarts else ""
    return clean(attempt.job) + again if attempt.job else "-"


def _nodes(attempt: Attempt) -> str:
    names = ", ".join(clean(node) for node in attempt.nodes[:3])
    return names + (f" +{len(attempt.nodes) - 3}" if len(attempt.nodes) > 3 else "")


STYLES = {"warning": "yellow", "error": "red"}


class Entry(Record, frozen=True, kw_only=True):
    """One line of a run's history; `facts` holds what `text` leaves out."""

    what: str
    wall: float
    step: int
    text: str
    severity: str = "note"
    facts: Facts = {}


class History(Record, frozen=True, kw_only=True):
    """The history of one run, in order of wall time.

    `jobs` are its attempts, `continuation` is the command that continues it, if it can be, and
    `restarts` says what its later segments repeat of the earlier ones.
    """

    path: str
    run_id: str
    entries: tuple[Entry, ...]
    jobs: tuple[Attempt, ...] = ()
    continuation: str = ""
    restarts: tuple[Restart, ...] = ()


def history(
    run: RunView,
    jobs: tuple[Attempt, ...] = (),
    continuation: str = "",
    restarts: tuple[Restart, ...] = (),
) -> History:
    """Put segments, checkpoints and events in order."""
    entries: list[Entry] = []
    for view in run.segments:
        segment, end = view.segment, view.end
        origin = f", resumed from {view.resumed_from[:12]}" if view.resumed_from else ""
        hosts = ", ".join(node.host for node in segment.nodes[:4])
        entries.append(
            Entry(
                what="segment",
                wall=segment.started,
                step=view.start_step,
                text=f"segment {segment.index} begins on {plural(segment.ranks, 'rank')}"
                + (f" of {hosts}" if hosts else "")
                + origin,
                facts=dict(segment.scheduler),
            )
        )
        if end is not None:
            why = f": {end.why}" if end.why else ""
            entries.append(
                Entry(
                    what="segment",
                    wall=end.ended,
                    step=end.step,
                    text=f"segment {segment.index} ends, {ending(view)}{why}",
                    severity="note" if end.ending == "finished" else "warning",
                )
            )
    for checkpoint in run.checkpoints:
        why = f" ({checkpoint.why})" if checkpoint.why else ""
        facts: dict[str, Json] = {"id": checkpoint.id, "parents": list(checkpoint.parents)}
        entries.append(
            Entry(
                what="checkpoint",
                wall=checkpoint.wall,
                step=checkpoint.step,
                text=f"{checkpoint.id[:12]}  {checkpoint.label or checkpoint.reason}{why}",
                facts=facts | {"reason": checkpoint.reason, "label": checkpoint.label},
            )
        )
    entries += [
        Entry(
            what="event",
            wall=e.wall,
            step=e.step,
            text=f"{e.name}: {e.text}",
            severity=e.severity,
            facts=dict(e.facts),
        )
        for e in run.events
    ]
    # What a checkpoint confirms comes before it, and the end of a segment after all of it.
    order = {"event": 1, "checkpoint": 2}
    entries.sort(key=lambda e: (e.wall, order.get(e.what, 3 if " ends" in e.text else 0)))
    return History(
        path=str(run.path),
        run_id=run.run_id,
        entries=tuple(entries),
        jobs=jobs,
        continuation=continuation,
        restarts=restarts,
    )


def history_report(history: History, most: int = 0) -> Group:
    """The page that `simckpt log` prints; with `most`, the last so many entries."""
    entries = history.entries[-most:] if most else history.entries
    out = table("when", "step>", "what", "")
    for entry in entries:
        style = STYLES.get(entry.severity, "")
        row = (moment(entry.wall), str(entry.step), entry.what)
        out.add_row(*row, styled(entry.text, style, longest=200))
    parts: list[RenderableType] = [Text.assemble(styled(history.path, "bold"))]
    earlier = len(history.entries) - len(entries)
    if earlier:
        parts.append(Text(f"... {earlier:,} entries before these", style="dim"))
    parts.append(section(f"Run {clean(short_hash(history.run_id))}", out))
    parts.append(job_table(history.jobs))
    parts.append(restart_section(history.restarts))
    return Group(*parts)
