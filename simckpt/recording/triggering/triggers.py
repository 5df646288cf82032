"""What makes a run capture more than it always does: rules, and what is done when one fires."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ...capture.values import plain
from ...errors import SetupError
from .anomaly import Anomaly
from .bounds import Bound

if TYPE_CHECKING:
    from ...model.record import Facts
    from ...model.series import SeriesSchema

Kind = Literal["environment", "anomaly", "exception", "signal", "bound", "predicate"]
Action = Literal["environment", "flight", "logs", "checkpoint", "stop"]
When = str | Bound | Anomaly | Callable[..., Any]

NAMED = ("environment", "anomaly", "exception", "signal")
"""The rules that have a name, and that every run has unless it says otherwise."""

ONE_IN = 10
"""Captures are capped to one in so many checkpoints."""

_LOOKING: tuple[Action, ...] = ("flight", "logs")
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
        ``"mass drift > 1e-12"``; or a predicate, which gets each complete sample on rank 0
        (``sample["mass"]``, ``sample.step``, ``sample.t``) and returns whether to fire, or a
        text that says why.
    then : list of str, optional
        Of ``"environment"`` (all facts of the machine and the whole list of packages),
        ``"flight"`` (the last samples at full tile resolution), ``"logs"`` (the tails of the
        log files), ``"checkpoint"``, and ``"stop"`` (`simckpt.stopping` says yes, on all ranks
        at one step). An empty list records that the rule fired, and nothing else.
    name : str, optional
        What the record calls it; by default the rule itself, or the predicate's name.

    Raises
    ------
    SetupError
        For a rule or an action that does not exist.

    Examples
    --------
    >>> Trigger("mass drift > 1e-12", then=["flight", "stop"]).kind
    'bound'
    """

    when: When
    then: tuple[Action, ...]
    name: str
    kind: Kind

    def __init__(self, when: When, then: str | Iterable[str] | None = None, name: str = "") -> None:
        kind, rule = _rule(when)
        put = object.__setattr__
        put(self, "when", rule)
        put(self, "kind", kind)
        put(self, "then", _DEFAULTS[kind] if then is None else _actions(then))
        put(self, "name", str(name) or _name(kind, rule))
        if "stop" in self.then and kind in ("exception", "signal"):
            raise SetupError(
                "Trigger.then", list(self.then), f"has a stop for {kind!r}, which ends the run"
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
        return {"rule": plain(rule), "then": list(self.then)}

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
                choices=(*NAMED, "a bound such as 'mass drift > 1e-12'", "a callable"),
            )
        return "bound", Bound.parse(when, "Trigger.when")
    if callable(when):
        return "predicate", when
    raise SetupError("Trigger.when", when, "is no rule", choices=(*NAMED, "a bound", "a callable"))


def _actions(then: str | Iterable[str]) -> tuple[Action, ...]:
    known = get_args(Action)
    listed = (then,) if isinstance(then, str) else tuple(then)
    for action in listed:
        if action not in known:
            raise SetupError("Trigger.then", action, "is no action", choices=known)
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
