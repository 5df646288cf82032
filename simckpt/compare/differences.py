"""Every recorded difference between two runs, the same fact named once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from ..model.changes import ABSENT, Change, diff
from ..model.record import Json, Record
from ..model.series import Event
from .facts import SETTING, WORD, RunFacts, align_configurations, run_facts
from .run_view import RunView

# Events that two runs do not have in common, and which of them can act on a run.


SYMPTOMS = frozenset(
    {
        "cadence_settled",
        "capture",
        "checkpoint_not_verified",
        "declarations_changed",
        "diagnostic_failed",
        "dt_unreadable",
        "instrument_failed",
        "journal_renewed",
        "monotone_violated",
        "non_finite",
        "numerics_unreadable",
        "restart_differs",
        "restart_repeats",
        "rank_raised",
        "record_cut_off",
        "report_undeclared",
        "salvaged",
        "sample_incomplete",
        "sample_late",
        "samples_lost",
        "sampling_failed",
        "second_step_object",
        "state_unreadable",
        "step_unreadable",
        "storage_back",
        "time_missing",
        "time_unreadable",
        "time_went_back",
        "trigger",
        "trigger_failed",
    }
)
"""Events that report what simckpt observed or suffered: none of them acts on the run."""


class EventDifference(NamedTuple):
    """Events of one kind that happened at other steps, or in one run only.

    `a` and `b` say what happened in each run, `step` is the first at which only one has it.
    """

    name: str
    a: str
    b: str
    step: int
    acts: bool


def event_differences(a: Iterable[Event], b: Iterable[Event]) -> Iterator[EventDifference]:
    """The kinds of events in which two runs differ, by name."""
    tables: list[dict[str, list[Event]]] = [{}, {}]
    for table, events in zip(tables, (a, b), strict=True):
        for event in events:
            table.setdefault(event.name, []).append(event)
    for name in sorted(tables[0].keys() | tables[1].keys()):
        one, two = (table.get(name, []) for table in tables)
        steps_a, steps_b = ({e.step for e in events} for events in (one, two))
        if steps_a != steps_b:
            acts = name not in SYMPTOMS and any(e.severity != "note" for e in (*one, *two))
            yield EventDifference(
                name, _event_text(one), _event_text(two), min(steps_a ^ steps_b), acts
            )


def _event_text(events: list[Event]) -> str:
    if not events:
        return ABSENT
    first = min(events, key=lambda e: e.step)
    rest = f" and {len(events) - 1} more" if len(events) > 1 else ""
    return f"step {first.step}{rest}: {first.text}"


Weight: TypeAlias = Literal["decides", "may act", "describes"]

WEIGHTS: dict[str, Weight] = {
    "numerics": "decides",
    "parameters": "decides",
    "command": "decides",
    "configuration": "decides",
    "inputs": "decides",
    "transforms": "decides",
    "code": "decides",
    "random": "decides",
    "upstream": "decides",
    "restarts": "may act",
    "events": "may act",
    "ranks": "may act",
    "nodes": "may act",
    "packages": "may act",
    "environment": "may act",
    "declarations": "describes",
    "captures": "describes",
    "ending": "describes",
    "simckpt": "describes",
    "intent": "describes",
    "outputs": "describes",
}
"""What a difference in each part can do to the answer, in the order in which they are listed."""


SETTINGS = ("numerics", "parameters", "command", "configuration")
"""Parts in which a person says how the run is to be."""

SEED = re.compile(r"^(seed.*|.*_seed|rng.*|random.*|entropy)$")
"""What settings are called from which random numbers follow."""

IDLE = " (not drawn from)"
"""Ends the path of a random number generator whose state neither run changed."""

UNLOADED = " (not loaded)"
"""Ends the path of a package of which neither run had loaded a module when it began."""

STREAMS = "streams of ranks"
"""The path of a difference between what ranks declared as seeds and generators."""


class RecordedDifference(Record, frozen=True, kw_only=True):
    """A fact that two runs recorded differently.

    Parameters
    ----------
    part, path : str
        Where it is recorded, such as ``numerics`` and ``requested.limiter``.
    a, b : JSON value
        What each run recorded; ``"(absent)"`` where one has nothing.
    weight : str
        ``decides``: it is part of what computes the answer; ``may act``: it can, by rounding,
        by order or by accident; ``describes``: it cannot.
    step, since : int or None
        For what happened in mid-run, the step from which on it surely holds, and the last one at
        which it did not; equal for what happened at a known step.
    also : tuple of str
        Other places that say the same.
    """

    part: str
    path: str
    a: Json
    b: Json
    weight: Weight
    step: int | None = None
    since: int | None = None
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path: what a person calls the fact."""
        return leaf(self.part, self.path)

    @property
    def otherwise(self) -> tuple[str, ...]:
        """Where the same is recorded under another name, as ``random seeds.noise``."""
        places = [place.partition(".") for place in self.also]
        return tuple(
            f"{part} {path}"
            for part, _, path in places
            # A word of the command line has no name.
            if leaf(part, path) != self.name and not (part == "command" and path.startswith(WORD))
        )


def recorded_differences(a: RunView, b: RunView) -> tuple[RecordedDifference, ...]:
    """All recorded differences, those that decide the answer first."""
    facts_a, facts_b = run_facts(a), run_facts(b)
    differences: list[RecordedDifference] = []
    for part in WEIGHTS:
        one, two = facts_a.parts.get(part, {}), facts_b.parts.get(part, {})
        if part == "configuration":
            one, two = align_configurations(one, two)
        changes: Iterable[Change] = diff(one, two)
        if part == "inputs":
            changes = _same_file_elsewhere(changes)
        if part == "command":
            # What became a setting under the same name is compared there, defaults and all.
            changes = [c for c in changes if c.path not in _settings(facts_a) & _settings(facts_b)]
        if part == "code":
            changes = _same_module_elsewhere(changes)
        if part == "ranks":
            changes = _one_layout(changes)
        if part in ("parameters", "configuration"):
            # Where both runs name their own place in a parameter, it differs and never matters.
            own = facts_a.own & facts_b.own
            changes = [c for c in changes if c.path not in own]
        if part == "random":
            changes = _with_suffix(_one_stream(changes), facts_a.idle & facts_b.idle, IDLE)
        if part == "environment":
            changes = _read_in_both(changes, facts_a.unread | facts_b.unread)
        if part == "packages":
            changes = _with_suffix(changes, facts_a.unloaded & facts_b.unloaded, UNLOADED)
        differences += [_difference(part, c) for c in changes if c.path]
    differences += _mid_run(facts_a, facts_b)
    differences += _events(a.events, b.events)
    merged = _merge(differences)
    order = list(WEIGHTS)
    return tuple(sorted(merged, key=lambda d: order.index(d.part)))


def _settings(facts: RunFacts) -> set[str]:
    parts = ("parameters", "numerics")
    return {leaf(part, path) for part in parts for path in facts.parts.get(part, {})}


def leaf(part: str, path: str) -> str:
    """The name of a fact without its tables."""
    if part == "random" and path.startswith("generators."):
        return path.removeprefix("generators.")
    if part == "configuration":
        # The name of a file has a suffix, and is all there is where its settings are not known.
        file, _, setting = path.rpartition(SETTING)
        return setting.rpartition(".")[2] if file else path
    if part in ("numerics", "random", "parameters", "command"):
        return path.rpartition(".")[2]
    return path


def _difference(part: str, change: Change) -> RecordedDifference:
    weight = WEIGHTS[part]
    if part == "code" and change.path.startswith("git "):
        # The modules that ran are compared by content; a commit says how they came about.
        weight = "describes"
    return RecordedDifference(
        part=part, path=change.path, a=change.old, b=change.new, weight=weight
    )


def _same_file_elsewhere(changes: Iterable[Change]) -> list[Change]:
    """Inputs that only moved are no difference; those of one name in two folders are one."""
    changes = list(changes)
    only_a = [c for c in changes if c.new == ABSENT]
    only_b = [c for c in changes if c.old == ABSENT]
    remaining = [c for c in changes if c.new != ABSENT and c.old != ABSENT]
    for old in only_a:
        name = PurePath(old.path).name
        twin = next((c for c in only_b if c.new == old.old), None) or next(
            (c for c in only_b if PurePath(c.path).name == name), None
        )
        if twin is None:
            remaining.append(old)
            continue
        only_b.remove(twin)
        if twin.new != old.old:
            remaining.append(Change(path=name, old=old.old, new=twin.new))
    if len(removed := [c for c in remaining if c.new == ABSENT]) == len(only_b) == 1:
        # One file for another is one difference, not two.
        path = f"{PurePath(removed[0].path).name} → {PurePath(only_b[0].path).name}"
        return sorted(
            [
                *(c for c in remaining if c.new != ABSENT),
                Change(path=path, old=removed[0].old, new=only_b[0].new),
            ],
            key=lambda c: c.path,
        )
    return sorted(remaining + only_b, key=lambda c: c.path)


def _read_in_both(changes: Iterable[Change], unread: frozenset[str]) -> list[Change]:
    """What could not be read in one run is unknown there, and no difference."""
    remaining = []
    for change in changes:
        parts = change.path.split(".")
        prefixes = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
        if ABSENT not in (change.old, change.new) or prefixes.isdisjoint(unread):
            remaining.append(change)
    return remaining


def _same_module_elsewhere(changes: Iterable[Change]) -> list[Change]:
    """Modules that only have another name are no difference; one for another is one, not two."""
    changes = list(changes)
    only_a = [c for c in changes if c.new == ABSENT and not c.path.startswith("git ")]
    only_b = [c for c in changes if c.old == ABSENT and not c.path.startswith("git ")]
    remaining = [c for c in changes if c not in only_a and c not in only_b]
    for old in list(only_a):
        twin = next((c for c in only_b if c.new == old.old), None)
        if twin is not None:
            only_a.remove(old)
            only_b.remove(twin)
    if len(only_a) == len(only_b) == 1:
        path = f"{only_a[0].path} → {only_b[0].path}"
        return [*remaining, Change(path=path, old=only_a[0].old, new=only_b[0].new)]
    return [*remaining, *only_a, *only_b]


def _with_suffix(changes: Iterable[Change], names: frozenset[str], suffix: str) -> list[Change]:
    """Label generators not drawn from and packages not loaded: they hardly ever act."""
    return [replace(c, path=f"{c.path}{suffix}") if c.path in names else c for c in changes]


def _one_stream(changes: Iterable[Change]) -> list[Change]:
    """The streams of as many ranks are one difference; those of other numbers of ranks are none."""
    remaining, ranks = [], []
    for change in changes:
        if not change.path.startswith("streams."):
            remaining.append(change)
        elif ABSENT not in (change.old, change.new):
            ranks.append(change)
    if ranks:
        names = ", ".join(c.path.removeprefix("streams.").partition(" of ")[0] for c in ranks[:4])
        more = f" and {len(ranks) - 4} more" if len(ranks) > 4 else ""
        old, new = (f"{names}{more}: {getattr(ranks[0], side)}" for side in ("old", "new"))
        remaining.append(Change(path=STREAMS, old=old, new=new))
    return remaining


def _one_layout(changes: Iterable[Change]) -> list[Change]:
    """The number of ranks and where they were cut is one difference, not two."""
    by_path = {c.path: c for c in changes}
    if "layout" in by_path:
        return [by_path["layout"]]
    if "patches" in by_path:
        return [Change(path="patches", old="cut in one way", new="cut in another")]
    return []


def _mid_run(a: RunFacts, b: RunFacts) -> list[RecordedDifference]:
    differences = []
    for facts, other, in_a in ((a, b, True), (b, a, False)):
        other_values = {(c.part, c.path, c.step): c.new for c in other.changes}
        for change in facts.changes:
            if other_values.get((change.part, change.path, change.step)) == change.new:
                continue
            text = f"{_short(change.old)} until step {change.step}, then {_short(change.new)}"
            differences.append(
                RecordedDifference(
                    part=change.part,
                    path=change.path,
                    a=text if in_a else "unchanged",
                    b="unchanged" if in_a else text,
                    weight=WEIGHTS[change.part],
                    step=change.step,
                    since=change.since,
                )
            )
    return differences


def _events(a: Iterable[Event], b: Iterable[Event]) -> list[RecordedDifference]:
    """Events of one kind that happened at other steps, or in one run only."""
    return [
        RecordedDifference(
            part="events",
            path=event.name,
            a=event.a,
            b=event.b,
            weight="may act" if event.acts else "describes",
            step=event.step,
            since=event.step,
        )
        for event in event_differences(a, b)
    ]


def _merge(differences: list[RecordedDifference]) -> list[RecordedDifference]:
    """One entry for a setting that is recorded as a parameter, as requested and as effective."""
    merged: dict[tuple[object, ...], RecordedDifference] = {}
    for item in differences:
        if item.part in (*SETTINGS, "random"):
            key: tuple[object, ...] = (item.name, repr(item.a), repr(item.b), item.step)
        else:
            key = (item.part, item.path, item.step)
        if item.part == "command" and item.path.startswith(WORD):
            # A word without a name is the value of the setting that has the same values.
            key = next((k for k, d in merged.items() if _says(item, d)), key)
        if key in merged:
            first, other = merged[key], item
            if other.path.startswith("requested."):
                # What the user asked for is the name by which a setting is known.
                first, other = replace(other, also=first.also), first
            merged[key] = replace(first, also=(*first.also, f"{other.part}.{other.path}"))
        else:
            merged[key] = item
    return _seeded(merged.values())


def _seeded(differences: Iterable[RecordedDifference]) -> list[RecordedDifference]:
    """The seed of a stream that takes the value of a setting is that setting, and no second cause.

    A word of the command line has no name of its own, so the stream gives it one.
    """
    merged = list(differences)
    for stream in [d for d in merged if d.part == "random" and d.path.startswith("seeds.")]:
        equal = [d for d in merged if d.part in SETTINGS and _change(d) == _change(stream)]
        for setting in equal:
            if SEED.match(setting.name.lower()):
                merged[merged.index(setting)] = _also(setting, stream)
                merged.remove(stream)
                break
        else:
            word = next((d for d in equal if d.part == "command" and d.path.startswith(WORD)), None)
            if word is not None:
                merged[merged.index(stream)] = _also(stream, word)
                merged.remove(word)
    return merged


def _also(first: RecordedDifference, other: RecordedDifference) -> RecordedDifference:
    return replace(first, also=(*first.also, f"{other.part}.{other.path}", *other.also))


def _change(item: RecordedDifference) -> tuple[str, str, int | None]:
    return repr(item.a), repr(item.b), item.step


def _says(word: RecordedDifference, setting: RecordedDifference) -> bool:
    sides = ((word.a, setting.a), (word.b, setting.b))
    return all(value in (ABSENT, setting_value) for value, setting_value in sides)


def _short(value: Json) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
