"""The graph of runs as text and for Graphviz: forks and merges, oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from rich.console import Group
from rich.text import Text

from ..compare.ancestry import Ancestry, Link, RunNode
from .text import clean, plural, short_hash

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
            style = "" if node.ending == "finished" else "yellow" if node.known else "dim"
            line.append(_name(node), style="bold not dim")
            line.append(_about(node, graph), style=f"not dim {style}")
        lines.append(line if node is not None else Text(lanes, style="dim"))
    return Group(*lines)


def lineage_dot(graph: Ancestry) -> str:
    """The same in the language of Graphviz: ``simckpt log --dot ... | dot -Tsvg``."""
    lines = ["digraph lineage {", "  rankdir=LR;", "  node [shape=box];"]
    for node in graph.runs:
        label = _quoted(_name(node), _extent(node), node.stage or node.role)
        dashed = "" if node.known else ", style=dashed"
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
            yield _joint(lanes, column, set(here[1:]), "┴╯"), None
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
            yield _joint(lanes, column, new, "┬╮"), None
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


def _joint(lanes: Sequence[str | None], column: int, ends: set[int], marks: str) -> str:
    """A line that leads from `column` to the lanes `ends` on its right, across the others."""
    last = max(ends)
    out = []
    for i, child in enumerate(lanes):
        if i == column:
            out.append("├")
        elif i in ends:
            out.append(marks[1] if i == last else marks[0])
        elif column < i < last:
            out.append("┼" if child is not None else "─")
        else:
            out.append(_lane(child))
        out.append("─" if column <= i < last else " ")
    return "".join(out).rstrip()


def _lane(child: str | None) -> str:
    return " " if child is None else "│"


def _name(node: RunNode) -> str:
    if not node.known:
        return f"(checkpoint {short_hash(node.id)}, in a bundle that was not given)"
    return clean(PurePath(node.path).name.removesuffix(".simckpt.h5"), LONGEST_NAME)


def _about(node: RunNode, graph: Ancestry) -> str:
    if not node.known:
        return ""
    kind = node.stage or ("" if node.role == "simulation" else node.role)
    parts = [kind, _extent(node)]
    mine = [link for link in graph.links if link.child == node.id]
    names = {run.id: _name(run) for run in graph.runs if run.known}
    origins = [_origin(link, names) for link in mine[:MOST_PARENTS]]
    if len(mine) > MOST_PARENTS:
        origins.append(f"{len(mine) - MOST_PARENTS} more")
    if origins:
        parts.append("from " + " and ".join(origins))
    return "  " + clean("; ".join(filter(None, parts)))


def _extent(node: RunNode) -> str:
    if not node.known:
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
