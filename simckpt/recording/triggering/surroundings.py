"""Whether a run is somewhere else, or something else, than the run or job attempt before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...model.changes import diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...model.changes import Change, Specification
    from ...model.environment import Environment

CLASSES: dict[str, re.Pattern[str]] = {
    "machine": re.compile(r"cpu\.(vendor|model|implementer|part|sockets|cores)\b|os\.machine\b"),
    "accelerator": re.compile(
        r"accelerators\.(?!.*(driver|firmware|bios))|gpu\.(count|devices)\b(?!.*bios)"
    ),
    "dependencies": re.compile(r"(lockfile|container|modules)\b|packages\.hash|.*\.conda\b"),
    "toolchain": re.compile(
        r"python\.(implementation|version|compiler)\b|jit\b|blas\b|mpi\.library|os\.libc"
        r"|accelerators\..*(driver|firmware)|gpu\.(driver|cuda)\b"
    ),
}
"""The stable facts of an environment by what a change of them means."""

SPECIFIED: dict[str, re.Pattern[str]] = {
    "simulator version": re.compile(r"code\b"),
    "tolerances": re.compile(
        r"(numerics|parameters|configuration)\..*(tol(erance)?s?\b|max_iter)", re.IGNORECASE
    ),
}
"""The same for what the user specified."""


def environment_changes(before: Environment, now: Environment) -> dict[str, tuple[Change, ...]]:
    """The classes of facts that changed, each with the changes."""
    return _classed(diff(before.sections, now.sections), CLASSES)


def node_changes(
    before: Iterable[Environment], now: Mapping[str, Environment]
) -> dict[str, dict[str, tuple[Change, ...]]]:
    """For each host that is like no node before, what sets it apart from the one most like it."""
    known = {environment.fingerprint: environment for environment in before}
    found: dict[str, dict[str, tuple[Change, ...]]] = {}
    if not known:
        return found
    for host, environment in now.items():
        if environment.fingerprint in known:
            continue
        changes = [environment_changes(old, environment) for old in known.values()]
        nearest = min(changes, key=lambda classes: sum(map(len, classes.values())))
        if nearest:
            found[host] = nearest
    return found


def specification_changes(
    before: Specification, now: Specification
) -> dict[str, tuple[Change, ...]]:
    """Changes of the simulator's version and of tolerances."""
    return _classed(diff(before.facts, now.facts), SPECIFIED)


def _classed(
    changes: tuple[Change, ...], classes: dict[str, re.Pattern[str]]
) -> dict[str, tuple[Change, ...]]:
    found = {
        name: tuple(change for change in changes if pattern.match(change.path))
        for name, pattern in classes.items()
    }
    return {name: members for name, members in found.items() if members}
