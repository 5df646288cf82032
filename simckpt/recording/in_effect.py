"""Numerical settings in effect: reported by the driver, and read off live objects again and again.

What was asked for stands in the settings of the run. What is in effect is known later: a solver
is configured by its options, falls back, or is replaced. So live objects are read at the first
sample and at each checkpoint after it, and every difference becomes an event.
"""

from __future__ import annotations

import re
import time
import weakref
from typing import TYPE_CHECKING, Any

from ..capture.probes import reason_of
from ..capture.rng import describe_generator
from ..capture.solvers.describe import describe, is_live
from ..capture.values import plain, qualified_name
from ..model.changes import ABSENT, diff
from ..model.numerics import NumericalSettings
from ..model.segment import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..model.changes import Change
    from ..model.record import Facts
    from ..model.segment import Severity

MOST_TOLD = 5
"""Changes of one setting that are told of: an adaptive step changes all the time."""

MOST_CHANGES = 20
"""Changes that one event tells of."""

WHOLE = ("solver", "integrator")
"""Settings whose object is the solver as a whole: its settings are those of the run."""

_TOLERANCE = re.compile(r"tol(erance)?s?\b|max_iter", re.IGNORECASE)
_STATE = frozenset({"state", "fresh"})


class InEffect:
    """The numerical settings of one job attempt.

    Parameters
    ----------
    written : mapping
        The settings as the user wrote them: plain values, and live objects whose settings are
        in effect under that name.
    """

    def __init__(self, written: Mapping[str, Any]) -> None:
        asked, live = divided(written)
        self.settings = NumericalSettings(requested=asked)
        self._read: dict[str, Callable[[], Any]] = {
            name: (lambda thing=thing: thing)  # type: ignore[misc]
            for name, thing in live.items()
        }
        self._source: Callable[[], Any] | None = None
        self._told: dict[str, int] = {}
        self._unreadable: set[str] = set()
        self.loosened = ""
        """What became of tolerances in effect when settings were last read; empty for nothing."""

    def report(
        self, things: tuple[Any, ...], settings: Mapping[str, Any], step: int
    ) -> list[Event]:
        """Take note of what the driver says is in effect: objects, and settings by name.

        Objects are read again as long as they live; no reference keeps them.
        """
        found: Facts = {}
        for thing in things:
            self._keep("", thing)
            found |= self._settings_of(thing)
        plainly, live = divided(settings)
        for name, thing in live.items():
            self._keep(name, thing)
            found |= _placed(name, self._settings_of(thing))
        return self._take(found | plainly, step)

    def follow(self, source: Callable[[], Any]) -> None:
        """Ask `source` for the objects, or a dict of them, whenever settings are read."""
        self._source = source

    def read(self, step: int) -> list[Event]:
        """Read the live objects; what is new about them."""
        found: Facts = {}
        problems: list[Event] = []
        sources = dict(self._read)
        if self._source is not None:
            sources[""] = self._source
        for name, source in sources.items():
            try:
                thing = source()
                facts = {} if thing is None else self._settings_of(thing)
                problem = str(facts.get("unavailable", ""))
            except Exception as error:  # noqa: BLE001 - the user's accessor and objects
                facts, problem = {}, reason_of(error)
            if not problem:
                found |= _placed(name, facts)
            elif name not in self._unreadable:
                # What was known of it before still stands.
                self._unreadable.add(name)
                text = f"the settings of {name or 'the solver'} cannot be read: {problem}"
                problems.append(_event("numerics_unreadable", "warning", step, text, {}))
        return [*problems, *self._take(found, step)]

    def _keep(self, name: str, thing: Any) -> None:
        if not is_live(thing):
            return
        try:
            self._read[name] = weakref.ref(thing)
        except TypeError:  # it has been read, and cannot be kept without keeping it alive
            self._read.pop(name, None)

    def _settings_of(self, thing: Any) -> Facts:
        # As one mapping, so that what is called a secret is taken for one.
        facts = plain(describe(thing))
        if isinstance(facts, dict):
            return facts
        told = f"describe gives a {type(facts).__name__} for it, and no dict"
        return {"type": qualified_name(type(thing)), "unavailable": told}

    def _take(self, found: Facts, step: int) -> list[Event]:
        """The events that new findings give: fall-backs, and changes since the last time."""
        self.loosened = ""
        if not found:
            return []
        before = self.settings
        self.settings = after = NumericalSettings(
            requested=before.requested, effective=before.effective | found
        )
        known, events = before.fallbacks(), []
        fallen = after.fallbacks()
        for name, (asked, value) in fallen.items():
            if known.get(name) == (asked, value) or not self._may_tell(name):
                continue
            last = " (further changes are not told)" if self._told[name] == MOST_TOLD else ""
            text = f"{name} was requested as {asked!r} and is {value!r} in effect{last}"
            facts = {"setting": name, "requested": asked, "effective": value}
            events.append(_event("numerics_fallback", "warning", step, text, facts))
        changed = _changed(before.effective, found)
        self.loosened = _shown([c for c in changed if _is_tolerance(c)])
        told = [c for c in changed if c.path not in fallen and self._may_tell(c.path)]
        if told := told[:MOST_CHANGES]:
            over = ", ".join(c.path for c in told if self._told[c.path] == MOST_TOLD)
            last = f"; further changes of {over} are not told" if over else ""
            listed = [{"path": c.path, "old": c.old, "new": c.new} for c in told]
            text = f"settings in effect changed: {_shown(told)}{last}"
            events.append(_event("numerics_changed", "note", step, text, {"changes": listed}))
        return events

    def _may_tell(self, name: str) -> bool:
        count = self._told[name] = self._told.get(name, 0) + 1
        return count <= MOST_TOLD


def divided(written: Mapping[str, Any]) -> tuple[Facts, dict[str, Any]]:
    """Settings as facts, and those of them that are live objects, by name.

    Of a random number generator its kind and seed are settings; its state is not.
    """
    live = {name: thing for name, thing in written.items() if is_live(thing)}
    others: dict[str, Any] = {}
    for name, value in written.items():
        if name not in live:
            generator = describe_generator(value)
            others[name] = (
                value
                if generator is None
                else {k: v for k, v in generator.items() if k not in _STATE}
            )
    facts: Facts = plain(others)
    return facts, live


def _placed(name: str, facts: Facts) -> Facts:
    return facts if name in ("", *WHOLE) else {name: facts}


def _changed(before: Facts, found: Facts) -> tuple[Change, ...]:
    """What is otherwise than it was; what was not known before is no change."""
    old = {name: before[name] for name in found if name in before}
    return diff(old, {name: found[name] for name in old})


def _is_tolerance(change: Change) -> bool:
    # A solver that is another one has other tolerances, and has not changed them.
    return bool(_TOLERANCE.search(change.path)) and ABSENT not in (change.old, change.new)


def _shown(changes: list[Change]) -> str:
    rest = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return "; ".join(f"{c.path} {c.old!r} -> {c.new!r}" for c in changes[:3]) + rest


def _event(name: str, severity: Severity, step: int, text: str, facts: Facts) -> Event:
    return Event(name=name, severity=severity, step=step, wall=time.time(), text=text, facts=facts)
