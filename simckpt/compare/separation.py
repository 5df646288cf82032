"""Which recorded facts separate the groups of several runs.

A fact divides the runs into those that share its value. How well that division agrees with the
groups is measured by the information that the two share, ``2 I(V;G) / (H(V) + H(G))``: 1 if they
are the same division, 0 if the value says nothing of the group. A fact that differs from run to
run, as a seed may, says everything of the group and little of value, and has a low measure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from itertools import combinations
from math import log
from pathlib import PurePath

import msgspec

from ..model.changes import ABSENT
from ..model.record import Json, Record
from .differences import WEIGHTS, leaf
from .facts import RunFacts, align_configurations

LEAST_AGREEMENT = 0.5
MOST_SEPARATIONS = 10
MOST_PAIRED = 24
"""So many facts are tried two by two where none separates the groups alone."""


class Separation(Record, frozen=True, kw_only=True):
    """A recorded fact, or two together, by which runs fall into their groups.

    Parameters
    ----------
    facts : tuple of str
        Part and name, such as ``numerics limiter``.
    agreement : float
        0 to 1; 1 if equal values mean the same group, and other values another.
    values : tuple of tuple
        For each group, the distinct values of each fact in it.
    """

    facts: tuple[str, ...]
    agreement: float
    values: tuple[tuple[tuple[Json, ...], ...], ...]

    @property
    def exact(self) -> bool:
        """Whether the fact separates the groups with no run out of place."""
        return self.agreement >= 1.0


class _Fact(msgspec.Struct, frozen=True):
    name: str
    values: tuple[Json, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(_key(v) for v in self.values)


def separate(runs: Sequence[RunFacts], groups: Sequence[int]) -> tuple[Separation, ...]:
    """Rank the facts by how well they agree with the groups.

    Parameters
    ----------
    runs : sequence of RunFacts
    groups : sequence of int
        The number of each run's group.

    Returns
    -------
    tuple of Separation
        Best first; empty if there is one group only.
    """
    if len(set(groups)) < 2:
        return ()
    facts = _candidates(runs)
    rated = [((fact,), _agreement(fact.keys, groups)) for fact in facts]
    separations: list[tuple[tuple[_Fact, ...], float]] = [
        r for r in rated if r[1] >= LEAST_AGREEMENT
    ]
    if not any(agreement >= 1.0 for _, agreement in separations):
        # Of the two, each must itself follow from the group: else any two fine cuts would do.
        coarse = [f for f in facts if _follows(f.keys, groups)][:MOST_PAIRED]
        separations += [
            (two, 1.0)
            for two in combinations(coarse, 2)
            if _agreement(tuple(zip(two[0].keys, two[1].keys, strict=True)), groups) >= 1.0
        ]
    separations.sort(key=lambda item: (-item[1], len(item[0])))
    return tuple(
        Separation(
            facts=tuple(f.name for f in chosen),
            agreement=agreement,
            values=tuple(
                tuple(_distinct(f, group, groups) for f in chosen) for group in sorted(set(groups))
            ),
        )
        for chosen, agreement in separations[:MOST_SEPARATIONS]
    )


def _candidates(runs: Sequence[RunFacts]) -> list[_Fact]:
    """Facts that can act and that differ between runs; the same fact named once."""
    own = frozenset[str]().union(*(run.own for run in runs))
    idle = frozenset[str].intersection(*(run.idle for run in runs))
    facts: dict[object, _Fact] = {}
    for part, weight in WEIGHTS.items():
        if weight == "describes":
            continue
        tables = [_table(run, part) for run in runs]
        if part == "configuration":
            tables = list(align_configurations(*tables))
        for path in sorted({path for table in tables for path in table}):
            if part in ("parameters", "configuration") and path in own:
                continue
            if part == "random" and path in idle:
                continue
            if part == "code" and path.startswith("git "):
                continue
            fact = _Fact(
                f"{part} {leaf(part, path)}", tuple(table.get(path, ABSENT) for table in tables)
            )
            if len(set(fact.keys)) > 1:
                setting = part in ("numerics", "parameters", "configuration", "random")
                facts.setdefault((leaf(part, path) if setting else fact.name, fact.keys), fact)
    return list(facts.values())


def _table(run: RunFacts, part: str) -> dict[str, Json]:
    table = run.parts.get(part, {})
    if part == "inputs":
        # An input that only lies elsewhere is the same input.
        names = [PurePath(path).name for path in table]
        if len(set(names)) == len(names):
            return dict(zip(names, table.values(), strict=True))
    if part == "ranks" and "layout" in table:
        return {"layout": table["layout"]}
    return table


def _key(value: Json) -> str:
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except (TypeError, ValueError):
        return repr(value)


def _distinct(fact: _Fact, group: int, groups: Sequence[int]) -> tuple[Json, ...]:
    members = {
        key: value
        for key, value, g in zip(fact.keys, fact.values, groups, strict=True)
        if g == group
    }
    return tuple(members.values())


def _follows(keys: Sequence[Hashable], groups: Sequence[int]) -> bool:
    """Whether each group has one value."""
    return len(set(zip(keys, groups, strict=True))) == len(set(groups))


def _agreement(keys: Sequence[Hashable], groups: Sequence[int]) -> float:
    one, two, both = Counter(keys), Counter(groups), Counter(zip(keys, groups, strict=True))
    if len(one) == len(two) == len(both):
        return 1.0
    total = _entropy(one.values()) + _entropy(two.values())
    shared = total - _entropy(both.values())
    return min(2.0 * shared / total, 0.999) if total > 0 else 0.0


def _entropy(counts: Collection[int]) -> float:
    n = sum(counts)
    return -sum(c / n * log(c / n) for c in counts)
