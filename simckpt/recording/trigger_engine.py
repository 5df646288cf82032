"""Rank 0's triggers at work: each sample and checkpoint is tested, and a hit is captured.

A rule that is tested at samples fires when its condition begins to hold, and again once it has
ceased in between. The first capture of each trigger in a run is always made; after that, there is
one in N checkpoints, whichever trigger it is of.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..model.changes import diff
from .anomaly import Anomaly, AnomalyRule
from .bounds import Bound, BoundRule
from .redacted_texts import redact_event, redacted
from .resume import same_program
from .trigger_captures import TriggerHit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.changes import Change, Specification
    from ..model.documents import Environment
    from ..model.record import Hash
    from ..model.series import Event, SeriesSchema
    from .resume import PreviousRun
    from .trigger_captures import CaptureWriter
    from .triggers import Kind, Trigger

    Changes = dict[str, tuple[Change, ...]]
    Outcome = tuple[str, Mapping[str, Any]] | None

MOST_HITS = 100
"""Hits of one trigger that are recorded, in one job attempt."""

MOST_CHANGES = 20
"""Changes of each class that a hit lists."""

NO_NODES: Mapping[str, Environment] = MappingProxyType({})


@dataclass(frozen=True)
class Actions:
    """What triggers ask of the recorder: reasons, empty where nothing is asked for.

    `problems` are what went wrong in rules and captures.
    """

    checkpoint: str = ""
    stop: str = ""
    problems: tuple[str, ...] = ()


NO_ACTIONS = Actions()


class TriggerEngine:
    """The triggers of one job attempt.

    Parameters
    ----------
    triggers : tuple of Trigger
        The rules.
    one_in : int
        Captures are capped to one in so many checkpoints.
    previous : PreviousRun
        What came before this job attempt.
    writer : CaptureWriter
        Makes the captures.
    append : callable
        Takes the events.
    checkpoint : int
        The number of the next checkpoint of the run.
    """

    def __init__(
        self,
        triggers: tuple[Trigger, ...],
        one_in: int,
        previous: PreviousRun,
        writer: CaptureWriter,
        append: Callable[[Event], None],
        checkpoint: int,
    ) -> None:
        self._triggers = triggers
        self._one_in = one_in
        self._previous = previous
        self._writer = writer
        self._append = append
        self._checkpoint = checkpoint
        self._specification: Specification | None = None
        self._captured = dict(previous.captures)
        self._rules: dict[str, Callable[[ReducedSample], Outcome]] = {}
        self._holding: set[str] = set()
        self._hits: Counter[str] = Counter()
        self._actions = NO_ACTIONS

    def describe(self, schema: SeriesSchema, stored: Hash) -> None:
        """Set what the samples that follow mean."""
        self._writer.describe(stored)
        self._rules = {
            trigger.name: rule
            for trigger in self._triggers
            if (rule := self._sample_rule(trigger, schema)) is not None
        }

    def sample(self, sample: ReducedSample, wall: float) -> None:
        """Test a sample."""
        self._writer.recent.add(sample, wall)
        for trigger in self._triggers:
            rule = self._rules.get(trigger.name)
            if rule is None:
                continue
            try:
                outcome = rule(sample)
            except Exception as error:  # noqa: BLE001 - a predicate is the user's code
                del self._rules[trigger.name]
                self._add(problem=f"the trigger {trigger.name!r} is off from step {sample.step} "
                          f"on: {type(error).__name__}: {error}")  # fmt: skip
                continue
            if outcome is None:
                self._holding.discard(trigger.name)
            elif trigger.name not in self._holding:
                self._holding.add(trigger.name)
                self._hit(trigger, *outcome, sample.step)

    def checkpoint(
        self,
        environment: Environment,
        specification: Specification,
        step: int,
        nodes: Mapping[str, Environment] = NO_NODES,
    ) -> None:
        """Test a checkpoint that is about to be committed.

        `environment` is that of rank 0, and `nodes` those of all nodes by name.
        """
        try:
            before, self._specification = self._specification, specification
            if before is None:
                outcome = _changes_since(self._previous, environment, specification, nodes)
            else:
                outcome = _changed(specification_changes(before, specification))
        except Exception as error:  # noqa: BLE001 - no trigger is worth a checkpoint
            self._add(problem=f"a trigger could not be tested: {type(error).__name__}: {error}")
            return
        if outcome is not None:
            self._hit_all("environment", *outcome, step)

    def committed(self, number: int) -> None:
        """The checkpoint of this number is made; it is the one that was asked for, if any."""
        self._checkpoint = number + 1
        self._actions = Actions(stop=self._actions.stop, problems=self._actions.problems)

    def fire(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        """Fire the triggers of a kind that is not tested at samples: an exception, a signal."""
        self._hit_all(kind, reason, {}, step, error)

    def actions(self) -> Actions:
        """What triggers have asked for since this was last called."""
        actions, self._actions = self._actions, NO_ACTIONS
        return actions

    def _sample_rule(
        self, trigger: Trigger, schema: SeriesSchema
    ) -> Callable[[ReducedSample], Outcome] | None:
        when: Any = trigger.when
        if isinstance(when, Bound):
            return BoundRule(when, schema, self._previous.first_values).check
        if isinstance(when, Anomaly):
            return AnomalyRule(when, schema).check
        return _predicate_rule(when) if trigger.kind == "predicate" else None

    def _hit_all(
        self,
        kind: Kind,
        reason: str,
        values: Mapping[str, Any],
        step: int,
        error: BaseException | None = None,
    ) -> None:
        for trigger in self._triggers:
            if trigger.kind == kind:
                self._hit(trigger, reason, values, step, error)

    def _hit(
        self,
        trigger: Trigger,
        reason: str,
        values: Mapping[str, Any],
        step: int,
        error: BaseException | None = None,
    ) -> None:
        name = trigger.name
        self._hits[name] += 1
        if self._hits[name] > MOST_HITS:
            return
        last = max(self._captured.values(), default=self._checkpoint)
        captures = name not in self._captured or self._checkpoint - last >= self._one_in
        if captures:
            self._captured[name] = self._checkpoint
        try:
            hit = TriggerHit(trigger, reason, step, captures, values)
            event, problems = self._writer.capture(hit, self._checkpoint, error)
            self._append(redact_event(event))
        except Exception as problem:  # noqa: BLE001 - no capture is worth a sample or a checkpoint
            text = f"a trigger could not be acted on: {type(problem).__name__}: {problem}"
            self._add(problem=text)
            return
        for text in problems:
            self._add(problem=text)
        if captures and "checkpoint" in trigger.actions:
            self._add(checkpoint=event.text)
        if "stop" in trigger.actions:
            self._add(stop=event.text)

    def _add(self, checkpoint: str = "", stop: str = "", problem: str = "") -> None:
        actions = self._actions
        self._actions = Actions(
            checkpoint="; ".join(filter(None, (actions.checkpoint, checkpoint))),
            stop=actions.stop or stop,
            problems=(*actions.problems, problem) if problem else actions.problems,
        )


def _predicate_rule(
    predicate: Callable[[ReducedSample], Any],
) -> Callable[[ReducedSample], Outcome]:
    """Ask the user's predicate, which answers yes or no, why as a text, or a dict of values."""

    def check(sample: ReducedSample) -> Outcome:
        answer = predicate(sample)
        if isinstance(answer, str):
            return (redacted(answer)[:500], {}) if answer else None
        if isinstance(answer, dict):
            return ("the predicate holds", answer) if answer else None
        return ("the predicate holds", {}) if bool(answer) else None

    return check


# Whether a run has another machine, software, version or tolerances than what came before it.

ENVIRONMENT_CLASSES: dict[str, re.Pattern[str]] = {
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

SPECIFICATION_CLASSES: dict[str, re.Pattern[str]] = {
    "simulator version": re.compile(r"code\b"),
    "tolerances": re.compile(
        r"(numerics|parameters|configuration)\..*(tol(erance)?s?\b|max_iter)", re.IGNORECASE
    ),
}
"""The same for what the user specified."""


def environment_changes(before: Environment, now: Environment) -> Changes:
    """The classes of facts that changed, each with the changes."""
    return _classes(diff(before.sections, now.sections), ENVIRONMENT_CLASSES)


def specification_changes(before: Specification, now: Specification) -> Changes:
    """Changes of the simulator's version and of tolerances."""
    if before is now:
        return {}
    return _classes(diff(before.facts, now.facts), SPECIFICATION_CLASSES)


def node_changes(
    before: Iterable[Environment], now: Mapping[str, Environment]
) -> Iterator[tuple[str, Changes]]:
    """Each host that is like no node before, and how it differs from the one most like it."""
    earlier = {environment.fingerprint: environment for environment in before}
    for host, environment in now.items():
        if earlier and environment.fingerprint not in earlier:
            changes = [environment_changes(old, environment) for old in earlier.values()]
            nearest = min(changes, key=lambda classes: sum(map(len, classes.values())))
            if nearest:
                yield host, nearest


def _classes(changes: tuple[Change, ...], classes: dict[str, re.Pattern[str]]) -> Changes:
    members = {
        name: tuple(change for change in changes if pattern.match(change.path))
        for name, pattern in classes.items()
    }
    return {name: changes for name, changes in members.items() if changes}


def _changes_since(
    previous: PreviousRun,
    environment: Environment,
    specification: Specification,
    nodes: Mapping[str, Environment],
) -> Outcome:
    """Why the first checkpoint of a job attempt fires the environment's trigger, if it does."""
    if not previous.exists:
        return "this is the first checkpoint of a campaign", {}
    if previous.environment is None:
        return "what came before this run is not at hand", {}
    changes = environment_changes(previous.environment, environment)
    for host, differences in node_changes(previous.nodes, nodes):
        for name, members in differences.items():
            changes.setdefault(f"{name} of {host}", members)
    earlier = previous.specification
    # Of a run upstream, another program is no other version of this one.
    if earlier is not None and (previous.continued or same_program(earlier, specification)):
        changes |= specification_changes(earlier, specification)
    return _changed(changes)


def _changed(changes: Changes) -> Outcome:
    if not changes:
        return None
    paths = [change.path for members in changes.values() for change in members]
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(changes)} changed: {', '.join(paths[:3])}{more}", {
        name: [{"path": c.path, "old": c.old, "new": c.new} for c in members[:MOST_CHANGES]]
        for name, members in changes.items()
    }
