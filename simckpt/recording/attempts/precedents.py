"""What came before a job attempt: the run's own earlier attempts, or the runs upstream."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...bundle.reading.reader import open_bundle
from ...errors import BundleError
from ...model.environment import Environment
from .placing import specified_at
from .waypoints import Waypoints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...bundle.reading.reader import Bundle
    from ...model.changes import Specification


@dataclass(frozen=True)
class Precedent:
    """What triggers compare a job attempt with.

    Parameters
    ----------
    none : bool
        Nothing came before: this is the beginning of a campaign.
    continued : bool
        They are the run's own earlier attempts.
    environment, specification
        Those of the last checkpoint, where they are at hand.
    nodes : tuple of Environment
        What the nodes of the last job attempt told of themselves.
    first : mapping of str to float
        Values of the run's first sample by column; empty for a new run.
    captures : mapping of str to int
        The run's last capture of each trigger, as the number of its checkpoint.
    waypoints : Waypoints
        The run's checkpoints that it may go on from.
    """

    none: bool = True
    continued: bool = False
    environment: Environment | None = None
    specification: Specification | None = None
    nodes: tuple[Environment, ...] = ()
    first: Mapping[str, float] = field(default_factory=dict)
    captures: Mapping[str, int] = field(default_factory=dict)
    waypoints: Waypoints = field(default_factory=Waypoints)


def precedent(
    continued: str, upstream: tuple[str, ...], quantities: frozenset[str] = frozenset()
) -> Precedent:
    """What came before: in the bundle that is `continued`, if any, and else `upstream`.

    Of the run's first sample, the values of `quantities` are read. What cannot be read is not at
    hand; the run does not depend on it.
    """
    if not continued:
        return _upstream_run(upstream)
    try:
        return _earlier_attempt(continued, quantities)
    except (BundleError, OSError):
        return Precedent(none=False, continued=True)


def _earlier_attempt(path: str, quantities: frozenset[str]) -> Precedent:
    with open_bundle(path) as bundle:
        there = _last(bundle)
        captures: dict[str, int] = {}
        for event in bundle.events:
            if event.name == "capture" and isinstance(event.facts.get("checkpoint"), int):
                captures[str(event.facts.get("trigger"))] = event.facts["checkpoint"]
        firsts: dict[str, float] = {}
        if quantities:
            series = bundle.series()
            known = quantities.intersection(series) if len(series.step) else ()
            firsts = {name: float(series[name][0]) for name in known}
        return Precedent(
            none=there.none,
            continued=True,
            environment=there.environment,
            specification=there.specification,
            nodes=there.nodes,
            first={name: value for name, value in firsts.items() if math.isfinite(value)},
            captures=captures,
            waypoints=Waypoints.of(bundle.checkpoints, bundle.segments),
        )


def _upstream_run(entries: tuple[str, ...]) -> Precedent:
    for entry in entries:
        try:
            with open_bundle(entry) as bundle:
                return _last(bundle)
        except (BundleError, OSError):
            continue  # a checkpoint id whose bundle is elsewhere
    return Precedent(none=not entries)


def _last(bundle: Bundle) -> Precedent:
    if not bundle.checkpoints:
        return Precedent()
    last = bundle.checkpoints[-1]
    document = bundle.document(last.parts.environment) if last.parts.environment else None
    return Precedent(
        none=False,
        environment=document if isinstance(document, Environment) else None,
        specification=specified_at(bundle, last),
        nodes=tuple(_environments(bundle)),
    )


def _environments(bundle: Bundle) -> Iterator[Environment]:
    """Those of the nodes of the last job attempt, each kind of node once."""
    nodes = bundle.segments[-1].segment.nodes if bundle.segments else ()
    for reference in dict.fromkeys(node.environment for node in nodes):
        document = bundle.document(reference)
        if isinstance(document, Environment):
            yield document
