"""What makes a run capture more than it always does: rules, and what is done when one fires."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..capture.values import plain
from ..errors import SetupError
from .anomaly import Anomaly, AnomalyRule
from .begin import alike
from .bounds import Bound, BoundRule
from .trigger_captures import environment_changes, node_changes, specification_changes
from .trigger_engine import Finding, PredicateRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.changes import Change, Specification
    from ..model.documents import Environment
    from ..model.record import Facts
    from ..model.series import SeriesSchema
    from .begin import Precedent
    from .trigger_engine import Rule

Kind = Literal["environment", "anomaly", "exception", "signal", "bound", "predicate"]
Action = Literal["environment", "recent_samples", "logs", "checkpoint", "stop"]
When = str | Bound | Anomaly | Callable[..., Any]

NAMED = ("environment", "anomaly", "exception", "signal")
"""The rules that have a name, and that every run has unless it says otherwise."""

ONE_IN = 10
"""Captures are capped to one in so many checkpoints."""

_LOOKING: tuple[Action, ...] = ("recent_samples", "logs")
_DEFAULTS: dict[Kind, tuple[Action, ...]] = {
    "environment": ("environment",),
    "anomaly": (*_LOOKING, "checkpoint"),
    "bound": (*_LOOKING, "checkpoint"),
    "predicate": (*_LOOKING, "checkpoint"),
    "exception": _LOOKING,
    "signal": _LOOKING,
}
_RATE = re.compile(r"\s*1\s+in\s+(\d+)\s*")


@dataclass(frozen=True, init=False)
class Trigger:
    """A rule, and what is done when it fires.

    Parameters
    ----------
    when : str, Bound, Anomaly or callable
        ``"environment"``, ``"anomaly"``, ``"exception"``, ``"signal"``; a bound such as
        ``"drift(mass) > 1e-12"``; or a predicate, which gets each complete sample on rank 0
        (``sample["mass"]``, ``sample.step``, ``sample.t``) and returns whether to fire, or a
        text that says why.
    actions : list of str, optional
        Of ``"environment"`` (all facts of the machine and the whole list of packages),
        ``"recent_samples"`` (the last ones, at full tile resolution), ``"logs"`` (the tails of
        the log files), ``"checkpoint"``, and ``"stop"`` (`simckpt.should_stop` says yes, on all
        ranks at one step). An empty list records that the rule fired, and nothing else.
    name : str, optional
        What the record calls it; by default the rule itself, or the predicate's name.

    Raises
    ------
    SetupError
        For a rule or an action that does not exist.

    Examples
    --------
    >>> Trigger("drift(mass) > 1e-12", actions=["recent_samples", "stop"]).kind
    'bound'
    """

    when: When
    actions: tuple[Action, ...]
    name: str
    kind: Kind

    def __init__(
        self, when: When, actions: str | Iterable[str] | None = None, name: str = ""
    ) -> None:
        kind, rule = _rule(when)
        put = object.__setattr__
        put(self, "when", rule)
        put(self, "kind", kind)
        put(self, "actions", _DEFAULTS[kind] if actions is None else _actions(actions))
        put(self, "name", str(name) or _name(kind, rule))
        if "stop" in self.actions and kind in ("exception", "signal"):
            raise SetupError(
                "Trigger.actions",
                list(self.actions),
                f"has a stop for {kind!r}, which ends the run",
            )

    @property
    def compared(self) -> tuple[str, ...]:
        """The quantities that the rule compares with the run's first sample."""
        when = self.when
        return (when.quantity,) if isinstance(when, Bound) and when.since_first else ()

    def facts(self) -> Facts:
        """What the specification says of it."""
        rule: Any = self.when
        if isinstance(rule, Bound):
            rule = str(rule)
        return {"rule": plain(rule), "actions": list(self.actions)}

    def check(self, schema: SeriesSchema) -> None:
        """SetupError if the rule needs what samples of `schema` do not have."""
        if isinstance(self.when, Bound):
            self.when.check(schema, f"triggers[{self.name!r}]")


def checked_triggers(given: Any) -> tuple[Trigger, ...]:
    """The triggers that ``triggers=`` asks for.

    The named rules are always among them, except with ``triggers=False``; one that is given
    takes the place of the standard one.

    Raises
    ------
    SetupError
        For a trigger that cannot be used, or a name that is taken twice.
    """
    if given is False:
        return ()
    own = [_trigger(item, i) for i, item in enumerate(_listed(given))]
    for i, trigger in enumerate(own):
        if trigger.name in {t.name for t in own[:i]}:
            raise SetupError(
                f"triggers[{i}]", trigger.name, "is there twice", mend="Give one a name=."
            )
    replaced = {t.kind for t in own}
    return (*(t for t in STANDARD if t.kind not in replaced), *own)


def checked_rate(given: object) -> int:
    """The N of ``captures="1 in N"``; SetupError if it is nothing of the kind."""
    match = _RATE.fullmatch(given) if isinstance(given, str) else None
    number = int(match[1]) if match else given
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise SetupError(
            "captures", given, "is not a cap on captures", mend="Write captures='1 in 10'."
        )
    return number


def _listed(given: Any) -> Iterable[Any]:
    if given is None or given is True:
        return ()
    return (given,) if isinstance(given, str | Trigger | Bound | Anomaly) else given


def _trigger(item: Any, index: int) -> Trigger:
    if isinstance(item, Trigger):
        return item
    try:
        return Trigger(item)
    except SetupError as error:
        raise SetupError(
            f"triggers[{index}]", item, error.problem, choices=error.choices, mend=error.mend
        ) from None


def _rule(when: Any) -> tuple[Kind, When]:
    if isinstance(when, Bound):
        return "bound", when
    if isinstance(when, Anomaly):
        return "anomaly", when
    if when == "anomaly":
        return "anomaly", Anomaly()
    if isinstance(when, str):
        if when in NAMED:
            return when, when  # type: ignore[return-value]
        if not any(relation in when for relation in "<>"):
            raise SetupError(
                "Trigger.when",
                when,
                "is no rule",
                choices=(*NAMED, "a bound such as 'drift(mass) > 1e-12'", "a callable"),
            )
        return "bound", Bound.parse(when, "Trigger.when")
    if callable(when):
        return "predicate", when
    raise SetupError("Trigger.when", when, "is no rule", choices=(*NAMED, "a bound", "a callable"))


def _actions(actions: str | Iterable[str]) -> tuple[Action, ...]:
    known = get_args(Action)
    listed = (actions,) if isinstance(actions, str) else tuple(actions)
    for action in listed:
        if action not in known:
            raise SetupError("Trigger.actions", action, "is no action", choices=known)
    return tuple(action for action in known if action in listed)


def _name(kind: Kind, rule: When) -> str:
    if kind == "bound":
        return str(rule)
    if kind == "predicate":
        name = getattr(rule, "__name__", type(rule).__name__)
        return "predicate" if name == "<lambda>" else str(name)
    return kind


STANDARD = tuple(Trigger(when) for when in NAMED)
"""The triggers of every run."""


# Which triggers fire, and which of those may capture.
#
# A rule that looks at samples fires when what it finds begins, and not again before it has ceased.
# The first capture of each trigger in a run is always made; after that, there is one in N
# checkpoints, whichever trigger it is of.


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

    def sample(self, reading: ReducedSample) -> Iterator[Firing]:
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
