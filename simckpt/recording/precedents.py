"""What came before a job attempt: the run's own earlier attempts, or the runs upstream."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..bundle.reader import open_bundle
from ..errors import BundleError
from ..model.environment import Environment
from .placing import specified_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.reader import Bundle
    from ..model.changes import Specification


@dataclass(frozen=True)
class Precedent:
    """What triggers compare a job attempt with.

    Parameters
    ----------
    none : bool
        Nothing came before: this is the beginning of a campaign.
    environment, specification
        Those of the last checkpoint, where they are at hand.
    first : mapping of str to float
        Values of the run's first sample by column; empty for a new run.
    captures : mapping of str to int
        The run's last capture of each trigger, as the number of its checkpoint.
    """

    none: bool = True
    environment: Environment | None = None
    specification: Specification | None = None
    first: Mapping[str, float] = field(default_factory=dict)
    captures: Mapping[str, int] = field(default_factory=dict)


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
        return Precedent(none=False)


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
            environment=there.environment,
            specification=there.specification,
            first={name: value for name, value in firsts.items() if math.isfinite(value)},
            captures=captures,
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
    )
