"""How runs descend from each other: a graph of forks and merges, linked by checkpoint ids.

A run starts from checkpoints of others (a spin-up that feeds an ensemble, a figure made from
several runs). The ids alone make the links, wherever the bundles lie and whatever they are
called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Protocol, TypeVar

from ..model.documents import Intent, Manifest, Stage
from ..model.record import Hash, Record
from ..model.series import Checkpoint
from .facts import ending
from .run_view import RunView

D = TypeVar("D")


class DatedRun(RunView, Protocol):
    """A run that says when it was made, and which campaign it belongs to."""

    @property
    def created(self) -> float: ...
    @property
    def campaign(self) -> str: ...


class RunNode(Record, frozen=True, kw_only=True):
    """One run. `path` is empty for a run whose bundle is not at hand, known by a checkpoint."""

    id: str
    path: str = ""
    campaign: str = ""
    created: float = 0.0
    role: str = ""
    stage: str = ""
    goal: str = ""
    ending: str = ""
    segments: int = 0
    checkpoints: int = 0
    first_step: int | None = None
    last_step: int | None = None

    @property
    def has_bundle(self) -> bool:
        """Whether its bundle was at hand."""
        return bool(self.path)


class Link(Record, frozen=True, kw_only=True):
    """A run starts from a checkpoint of another; `step` is None where that is not at hand."""

    parent: str
    child: str
    checkpoint: Hash
    step: int | None = None
    label: str = ""


class Ancestry(Record, frozen=True, kw_only=True):
    """Runs in an order in which each comes after those it starts from, and their links."""

    runs: tuple[RunNode, ...]
    links: tuple[Link, ...]


def ancestry(runs: Iterable[DatedRun]) -> Ancestry:
    """The graph of these runs; a run given twice is in it once, as the longer record of it."""
    by_id: dict[str, tuple[DatedRun, tuple[Checkpoint, ...]]] = {}
    for run in runs:
        checkpoints = tuple(run.checkpoints)
        if run.run_id not in by_id or len(checkpoints) > len(by_id[run.run_id][1]):
            by_id[run.run_id] = run, checkpoints
    owners: dict[Hash, tuple[str, Checkpoint]] = {
        c.id: (run_id, c) for run_id, (_, checkpoints) in by_id.items() for c in checkpoints
    }
    nodes: dict[str, RunNode] = {}
    links: list[Link] = []
    for run_id, (run, checkpoints) in by_id.items():
        manifest = _last(run, checkpoints, "manifest", Manifest)
        nodes[run_id] = _node(run, checkpoints, manifest)
        for parent in _parents(checkpoints, manifest):
            owner, start = owners.get(parent, (parent, None))
            if owner == run_id:
                continue
            if start is None:
                nodes.setdefault(owner, RunNode(id=owner))
            links.append(
                Link(
                    parent=owner,
                    child=run_id,
                    checkpoint=parent,
                    step=start.step if start else None,
                    label=start.label if start else "",
                )
            )
    return Ancestry(runs=_ordered(nodes, links), links=tuple(links))


def _node(run: DatedRun, checkpoints: Sequence[Checkpoint], manifest: Manifest | None) -> RunNode:
    intent = _last(run, checkpoints, "intent", Intent)
    segments = list(run.segments)
    stage = manifest.stage if manifest else Stage()
    return RunNode(
        id=run.run_id,
        path=str(run.path),
        campaign=run.campaign,
        created=run.created,
        role=stage.role,
        stage=stage.name,
        goal=intent.goal if intent else "",
        ending=ending(segments[-1]) if segments else "not begun",
        segments=len(segments),
        checkpoints=len(checkpoints),
        first_step=checkpoints[0].step if checkpoints else None,
        last_step=checkpoints[-1].step if checkpoints else None,
    )


def _parents(checkpoints: Sequence[Checkpoint], manifest: Manifest | None) -> tuple[Hash, ...]:
    """The checkpoints of other runs that a run starts from, in the order it names them."""
    own = {c.id for c in checkpoints}
    parents = [p for c in checkpoints for p in c.parents if p not in own]
    return tuple(dict.fromkeys([*parents, *(manifest.upstream if manifest else ())]))


def _ordered(nodes: dict[str, RunNode], links: Sequence[Link]) -> tuple[RunNode, ...]:
    """Parents first, and among those that are ready the oldest."""
    waits = {name: {link.parent for link in links if link.child == name} for name in nodes}
    ready: list[tuple[float, str, str]] = []
    for name, parents in waits.items():
        if not parents:
            heappush(ready, _key(nodes[name]))
    order: dict[str, None] = {}
    while ready:
        *_, name = heappop(ready)
        order[name] = None
        for other, parents in waits.items():
            if name in parents:
                parents.discard(name)
                if not parents and other not in order:
                    heappush(ready, _key(nodes[other]))
    # Ids are hashes, so that only forged bundles can lead round in a circle; they come last.
    return tuple(nodes[name] for name in [*order, *(n for n in nodes if n not in order)])


def _key(node: RunNode) -> tuple[float, str, str]:
    return node.created, node.path, node.id


def _last(run: RunView, checkpoints: Sequence[Checkpoint], part: str, kind: type[D]) -> D | None:
    for checkpoint in reversed(checkpoints):
        reference = getattr(checkpoint.parts, part)
        if reference is not None:
            try:
                document = run.document(reference)
            except KeyError:
                return None
            return document if isinstance(document, kind) else None
    return None
