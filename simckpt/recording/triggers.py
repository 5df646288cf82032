"""Triggers as a user declares them: a rule, and what is done when it fires."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..capture.values import plain
from ..errors import SetupError
from .anomaly import Anomaly
from .bounds import Bound

if TYPE_CHECKING:
    from ..model.record import Facts
    from ..model.series import SeriesSchema

Kind = Literal["environment", "anomaly", "exception", "signal", "bound", "predicate"]
Action = Literal["environment", "recent_samples", "logs", "checkpoint", "stop"]
When = str | Bound | Anomaly | Callable[..., Any]

STANDARD_RULES = ("environment", "anomaly", "exception", "signal")
"""The rules of every run that does not say otherwise."""

ONE_IN = 10
"""Captures are capped to one in so many checkpoints."""

_CAPTURES: tuple[Action, ...] = ("recent_samples", "logs")
_DEFAULTS: dict[Kind, tuple[Action, ...]] = {
    "environment": ("environment",),
    "anomaly": (*_CAPTURES, "checkpoint"),
    "bound": (*_CAPTURES, "checkpoint"),
    "predicate": (*_CAPTURES, "checkpoint"),
    "exception": _CAPTURES,
    "signal": _CAPTURES,
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
    def initial_quantities(self) -> tuple[str, ...]:
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


def checked_triggers(triggers: Any) -> tuple[Trigger, ...]:
    """The triggers that ``triggers=`` asks for.

    The standard rules are always among them, except with ``triggers=False``; a trigger of the
    same kind takes the place of the standard one.

    Raises
    ------
    SetupError
        For a trigger that cannot be used, or two of one name.
    """
    if triggers is False:
        return ()
    if triggers is None or triggers is True:
        triggers = ()
    elif isinstance(triggers, str | Trigger | Bound | Anomaly):
        triggers = (triggers,)
    own: dict[str, Trigger] = {}
    for i, item in enumerate(triggers):
        argument = f"triggers[{i}]"
        try:
            trigger = item if isinstance(item, Trigger) else Trigger(item)
        except SetupError as error:
            raise SetupError(
                argument, item, error.problem, choices=error.choices, mend=error.mend
            ) from None
        if trigger.name in own:
            raise SetupError(argument, trigger.name, "is there twice", mend="Give one a name=.")
        own[trigger.name] = trigger
    kinds = {trigger.kind for trigger in own.values()}
    return (*(t for t in STANDARD if t.kind not in kinds), *own.values())


def checked_rate(captures: object) -> int:
    """The N of ``captures="1 in N"``; SetupError if it is nothing of the kind."""
    match = _RATE.fullmatch(captures) if isinstance(captures, str) else None
    number = int(match[1]) if match else captures
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise SetupError(
            "captures", captures, "is not a cap on captures", mend="Write captures='1 in 10'."
        )
    return number


def _rule(when: Any) -> tuple[Kind, When]:
    if isinstance(when, Bound):
        return "bound", when
    if isinstance(when, Anomaly):
        return "anomaly", when
    if when == "anomaly":
        return "anomaly", Anomaly()
    if isinstance(when, str):
        if when in STANDARD_RULES:
            return when, when  # type: ignore[return-value]
        if not any(relation in when for relation in "<>"):
            raise SetupError(
                "Trigger.when",
                when,
                "is no rule",
                choices=(*STANDARD_RULES, "a bound such as 'drift(mass) > 1e-12'", "a callable"),
            )
        return "bound", Bound.parse(when, "Trigger.when")
    if callable(when):
        return "predicate", when
    raise SetupError(
        "Trigger.when", when, "is no rule", choices=(*STANDARD_RULES, "a bound", "a callable")
    )


def _actions(actions: str | Iterable[str]) -> tuple[Action, ...]:
    choices = get_args(Action)
    requested = (actions,) if isinstance(actions, str) else tuple(actions)
    for action in requested:
        if action not in choices:
            raise SetupError("Trigger.actions", action, "is no action", choices=choices)
    return tuple(action for action in choices if action in requested)


def _name(kind: Kind, rule: When) -> str:
    if kind == "bound":
        return str(rule)
    if kind == "predicate":
        name = getattr(rule, "__name__", type(rule).__name__)
        return "predicate" if name == "<lambda>" else str(name)
    return kind


STANDARD = tuple(Trigger(when) for when in STANDARD_RULES)
"""The triggers of every run."""
