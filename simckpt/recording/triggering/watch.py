"""Which triggers fire, and which of those may capture.

A rule that looks at samples fires when what it finds begins, and not again before it has ceased.
The first capture of each trigger in a run is always made; after that, there is one in N
checkpoints, whichever trigger it is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..attempts.declared import alike
from .anomaly import Anomaly, AnomalyRule
from .bounds import Bound, BoundRule
from .findings import Finding
from .predicate import PredicateRule
from .surroundings import environment_changes, node_changes, specification_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ...diagnostics.probe import Reading
    from ...model.changes import Change, Specification
    from ...model.environment import Environment
    from ...model.series import SeriesSchema
    from ..attempts.precedents import Precedent
    from .findings import Rule
    from .triggers import Kind, Trigger

NO_NODES: Mapping[str, Environment] = MappingProxyType({})

MOST_FIRINGS = 100
"""Firings of one trigger that are told of, in one job attempt."""


@dataclass(frozen=True)
class Firing:
    """A trigger that has fired; `captures` says whether the cap lets it capture."""

    trigger: Trigger
    finding: Finding
    step: int
    captures: bool


class Watch:
    """The triggers of one job attempt, on rank 0.

    Parameters
    ----------
    triggers : tuple of Trigger
        The rules.
    one_in : int
        Captures are capped to one in so many checkpoints.
    precedent : Precedent
        What came before this job attempt.
    checkpoint : int
        The number of the next checkpoint of the run.
    """

    def __init__(
        self, triggers: tuple[Trigger, ...], one_in: int, precedent: Precedent, checkpoint: int
    ) -> None:
        self._triggers = triggers
        self._one_in = one_in
        self._precedent = precedent
        self._specification = precedent.specification
        self._checkpoint = checkpoint
        self._captured = dict(precedent.captures)
        self._rules: dict[str, Rule] = {}
        self._found: set[str] = set()
        self._fired: dict[str, int] = {}
        self._problems: list[str] = []

    def describe(self, schema: SeriesSchema) -> None:
        """The samples that follow mean this."""
        self._rules = {
            t.name: rule for t in self._triggers if (rule := self._rule(t, schema)) is not None
        }

    def sample(self, reading: Reading) -> Iterator[Firing]:
        """The triggers that a sample fires."""
        for trigger in self._triggers:
            rule = self._rules.get(trigger.name)
            if rule is None:
                continue
            try:
                finding = rule.look(reading)
            except Exception as error:  # noqa: BLE001 - a predicate is the user's code
                del self._rules[trigger.name]
                self._problems.append(
                    f"the trigger {trigger.name!r} is off from step {reading.step} on: "
                    f"{type(error).__name__}: {error}"
                )
                continue
            if finding is None:
                self._found.discard(trigger.name)
            elif trigger.name not in self._found:
                self._found.add(trigger.name)
                yield from self._fire(trigger, finding, reading.step)

    def began(
        self,
        environment: Environment,
        specification: Specification,
        step: int,
        nodes: Mapping[str, Environment] = NO_NODES,
    ) -> Iterator[Firing]:
        """The triggers that the first checkpoint of a job attempt fires.

        `environment` is that of rank 0; `nodes` has what all nodes tell of theirs.
        """
        before = self._precedent
        self._specification = specification
        changes: dict[str, tuple[Change, ...]] = {}
        if before.environment is not None:
            changes |= environment_changes(before.environment, environment)
            for host, found in node_changes(before.nodes, nodes).items():
                for name, members in found.items():
                    changes.setdefault(f"{name} of {host}", members)
        earlier = before.specification
        # Of a run upstream, another program is no other version of this one.
        if earlier is not None and (before.continued or alike(earlier, specification)):
            changes |= specification_changes(earlier, specification)
        if before.none:
            finding = Finding("this is the first checkpoint of a campaign")
        elif before.environment is None:
            finding = Finding("what came before this run is not at hand")
        elif changes:
            finding = _changed(changes)
        else:
            return
        yield from self._all("environment", finding, step)

    def specified(self, specification: Specification, step: int) -> Iterator[Firing]:
        """The triggers that a later checkpoint's specification fires."""
        before, self._specification = self._specification, specification
        if before is None or before is specification:
            return
        changes = specification_changes(before, specification)
        if changes:
            yield from self._all("environment", _changed(changes), step)

    def met(self, kind: Kind, reason: str, step: int) -> Iterator[Firing]:
        """The triggers that an exception or a signal fires."""
        yield from self._all(kind, Finding(reason), step)

    def committed(self, checkpoint: int) -> None:
        """The checkpoint of this number is made."""
        self._checkpoint = checkpoint + 1

    def problems(self) -> tuple[str, ...]:
        """What went wrong since this was last asked."""
        found, self._problems = tuple(self._problems), []
        return found

    def _all(self, kind: Kind, finding: Finding, step: int) -> Iterator[Firing]:
        for trigger in self._triggers:
            if trigger.kind == kind:
                yield from self._fire(trigger, finding, step)

    def _fire(self, trigger: Trigger, finding: Finding, step: int) -> Iterator[Firing]:
        count = self._fired[trigger.name] = self._fired.get(trigger.name, 0) + 1
        if count > MOST_FIRINGS:
            return
        captures = self._may_capture(trigger.name)
        if captures:
            self._captured[trigger.name] = self._checkpoint
        yield Firing(trigger, finding, step, captures)

    def _may_capture(self, name: str) -> bool:
        last = max(self._captured.values(), default=self._checkpoint)
        return name not in self._captured or self._checkpoint - last >= self._one_in

    def _rule(self, trigger: Trigger, schema: SeriesSchema) -> Rule | None:
        when: Any = trigger.when
        if isinstance(when, Bound):
            return BoundRule(when, schema, self._precedent.first)
        if isinstance(when, Anomaly):
            return AnomalyRule(when, schema)
        return PredicateRule(when) if trigger.kind == "predicate" else None


def _changed(changes: dict[str, tuple[Any, ...]]) -> Finding:
    shown = _shown(change.path for members in changes.values() for change in members)
    return Finding(
        f"{', '.join(changes)} changed: {shown}",
        {
            name: [{"path": c.path, "old": c.old, "new": c.new} for c in members[:_MOST_CHANGES]]
            for name, members in changes.items()
        },
    )


def _shown(paths: Iterable[str]) -> str:
    listed = list(paths)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


_MOST_CHANGES = 20
