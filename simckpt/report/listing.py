"""Many bundles, a line to each: what `simckpt ls` shows, filters and sorts by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import inf, isnan
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from ..diagnostics.expressions import RELATIONS, Language, Tree, parse
from ..errors import SetupError
from .text import clean, moment, plural, styled, table

if TYPE_CHECKING:
    from .overview import Overview, RecordedRun

Value: TypeAlias = str | int | float | bool | None
"""What a run recorded under a name; None if nothing."""

Lookup: TypeAlias = Callable[["Term"], Value]

FILTERS: Final = Language(
    "a filter",
    "solver == HLLC and drift(mass) > 1e-12",
    {"drift": 1, "largest": 1, "last": 1, "glob": 2},
    ("recorded names", "numbers", "words", "texts in quotes", "= != < <= > >=", "and or not"),
    conditions=True,
)
"""The filters of `simckpt ls --where`.

On the left of a comparison is what a run recorded, on the right a number, a word, or a text in
quotes; ``glob(name, "kh*")`` matches ``*`` and ``?``. A term alone holds if it was recorded and is
neither zero, no nor empty. What a run did not record holds in no comparison, so ``not a = 1`` and
``a != 1`` are not the same.
"""


@dataclass(frozen=True, slots=True)
class Term:
    """A recorded name, or a function of one."""

    name: str
    function: str = ""

    def __str__(self) -> str:
        return f"{self.function}({self.name})" if self.function else self.name


class Filter:
    """Which runs are listed; without a text, all of them.

    Attributes
    ----------
    terms : list of Term
        The terms of the text, in its order.
    comparisons : list of Condition
        Its comparisons.
    holds : callable
        Whether it holds for the run in which the argument, a lookup, finds the values of terms.

    Raises
    ------
    SetupError
        If the text is not a filter.
    """

    def __init__(self, text: str | None = None) -> None:
        self.terms: list[Term] = []
        self.comparisons: list[FilterTest] = []
        tree = ("and",) if text is None else parse(text, "--where", FILTERS).tree
        self.holds = self._test(tree)

    def _test(self, tree: Tree) -> Callable[[Lookup], bool]:
        match tree:
            case ("and" | "or" as word, *parts):
                tests = [self._test(part) for part in parts]
                joined = all if word == "and" else any
                return lambda lookup: joined(test(lookup) for test in tests)
            case ("not", part):
                test = self._test(part)
                return lambda lookup: not test(lookup)
            case ("glob", subject, (_, pattern)):
                term = self._term(subject)
                return lambda lookup: _matches(lookup(term), pattern)
            case (relation, subject, (kind, value)) if relation in RELATIONS:
                value = _number(value) if kind == "word" else value
                comparison = FilterTest(self._term(subject), relation, value)
                self.comparisons.append(comparison)
                return comparison.holds
        term = self._term(tree)
        return lambda lookup: bool(lookup(term))

    def _term(self, tree: Tree) -> Term:
        self.terms.append(_term(tree))
        return self.terms[-1]


class FilterTest(NamedTuple):
    """A term compared with a value: a number, or a text."""

    term: Term
    relation: str
    value: str | float

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.term} {self.relation} {value}"

    def holds(self, lookup: Lookup) -> bool:
        value = lookup(self.term)
        if value is None:
            return False
        if isinstance(value, bool):
            value = "yes" if value else "no"
        # A text that reads like a number, as a version or a name may, is still a text.
        if isinstance(value, str) != isinstance(self.value, str):
            return self.relation == "!="
        return RELATIONS[self.relation](value, self.value)


def _term(tree: Tree) -> Term:
    return Term(tree[1]) if tree[0] == "field" else Term(tree[1][1], tree[0])


def parse_term(text: str, argument: str) -> Term:
    """A name, or a function of a name, as an option gives it; SetupError if it is neither."""
    tree = parse(text, argument, FILTERS).tree
    if tree[0] in ("field", "drift", "largest", "last"):
        return _term(tree)
    raise SetupError(argument, text, "is not a name", mend="Write a recorded name, or drift(mass).")


def _number(word: str) -> str | float:
    try:
        return float(word)
    except ValueError:
        return word


def _matches(value: Value, pattern: str | float) -> bool:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value is not None and fnmatchcase(
        str(value), f"{pattern:g}" if isinstance(pattern, float) else pattern
    )


LONGEST_SETTING = 200
MOST_COLUMNS = 4

COLUMNS: Final[dict[str, Callable[[Overview], Value]]] = {
    "ending": lambda o: o.ending,
    "finished": lambda o: o.ending == "finished",
    "run_id": lambda o: o.run_id,
    "campaign": lambda o: o.campaign,
    "driver": lambda o: o.driver,
    "goal": lambda o: o.intent.goal if o.intent is not None else "",
    "created": lambda o: moment(o.created),
    "ranks": lambda o: o.ranks[-1] if o.ranks else None,
    "segments": lambda o: o.segments,
    "samples": lambda o: o.samples,
    "step": lambda o: o.last_step,
    "t": lambda o: o.last_t,
    "checkpoints": lambda o: o.checkpoints,
    "warnings": lambda o: o.health.warnings,
    "errors": lambda o: o.health.errors,
    "faults": lambda o: o.health.faults,
    "non_finite": lambda o: o.health.non_finite_step is not None,
    "non_finite_step": lambda o: o.health.non_finite_step,
    "sound": lambda o: o.health.sound,
    "simckpt_version": lambda o: o.simckpt_version,
}
"""Columns that every run has, each by its name: a row here is all that one takes.

A setting of the same name is reached as ``parameters.t``.
"""


class BundleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle in a line.

    Parameters
    ----------
    path : str
        Relative to the folder that is listed.
    columns : dict
        The value of each of `COLUMNS`.
    parameters, numerics : dict
        Settings that a filter may name: plain values, and no long texts.
    drift : dict
        Largest relative drift of each conserved integral; infinite where it is not finite.
    largest : dict
        Largest value of each stability metric.
    last : dict
        Each quantity at the last sample.
    """

    path: str
    columns: dict[str, Value]
    parameters: dict[str, Value] = {}
    numerics: dict[str, Value] = {}
    drift: dict[str, float] = {}
    largest: dict[str, float] = {}
    last: dict[str, float] = {}

    def lookup(self, term: Term) -> Value:
        """The value of a term in this run; None if it has none."""
        name = term.name
        if term.function:
            values: dict[str, float] = getattr(self, term.function)
            return values.get(name)
        if name == "path":
            return self.path
        if name == "name":
            return PurePath(self.path).name.partition(".simckpt")[0]
        part, _, setting = name.partition(".")
        tables = {"numerics": self.numerics, "parameters": self.parameters}
        if part in tables and setting in tables[part]:
            return tables[part][setting]
        for settings in (self.columns, self.numerics, self.parameters):
            if name in settings:
                return settings[name]
        return None

    def names(self, function: str) -> Iterable[str]:
        """What a term, or a function of one, may name."""
        if function:
            values: dict[str, float] = getattr(self, function)
            return values
        return ["path", "name", *self.columns, *self.numerics, *self.parameters]


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that could not be read, and why."""

    path: str
    problem: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The bundles of a folder that a filter lets through, of `total`."""

    folder: str
    total: int
    bundles: tuple[BundleRow, ...]
    unreadable: tuple[Unreadable, ...] = ()


def bundle_row(run: RecordedRun, path: str) -> BundleRow:
    """The row of one bundle."""
    from ..model.changes import flatten
    from .overview import overview

    o = overview(run)
    series = run.series()
    drifts = {
        d.name: inf if d.final is None or d.largest is None else d.largest for d in o.health.drifts
    }
    return BundleRow(
        path=path,
        columns={name: value(o) for name, value in COLUMNS.items()},
        parameters=_settings(flatten(o.parameters)),
        numerics=_settings(flatten(o.numerics)),
        drift=dict.fromkeys(o.health.constant, 0.0) | drifts,
        largest={peak.name: peak.value for peak in o.health.peaks},
        last={name: float(series[name][-1]) for name in series} if o.samples else {},
    )


def _settings(leaves: Iterable[tuple[str, Any]]) -> dict[str, Value]:
    """The settings that a person would filter by: plain, and not long."""
    return {
        name: value if isinstance(value, str | bool) else float(value)
        for name, value in leaves
        if isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= LONGEST_SETTING)
    }


def select(runs: Sequence[BundleRow], condition: Filter) -> list[BundleRow]:
    """The runs that pass.

    Raises
    ------
    SetupError
        If the filter names what none of the runs recorded, which is most likely misspelt, or
        orders numbers by a text or texts by a number.
    """
    require_known(runs, condition.terms, "--where")
    for comparison in condition.comparisons:
        _require_order(runs, comparison)
    return [run for run in runs if condition.holds(run.lookup)]


def ordered(runs: Sequence[BundleRow], key: str) -> list[BundleRow]:
    """The runs in order of a term, falling if a minus stands before it; those without it last."""
    term = parse_term(key.removeprefix("-"), "--sort")
    require_known(runs, [term], "--sort")
    falling = key.startswith("-")
    with_value = [(value, run) for run in runs if (value := run.lookup(term)) is not None]
    without = [run for run in runs if run.lookup(term) is None]
    # Numbers before texts, and within each in their own order.
    with_value.sort(key=lambda item: _rank(item[0]), reverse=falling)
    return [run for _, run in with_value] + without


def require_known(runs: Sequence[BundleRow], terms: Iterable[Term], argument: str) -> None:
    """SetupError for a term that no run has a value for."""
    for term in terms:
        lookups: list[Lookup] = [run.lookup for run in runs]
        own = not term.function and term.name in ("path", "name", *COLUMNS)
        if not own and lookups and all(lookup(term) is None for lookup in lookups):
            names = sorted({n for run in runs for n in run.names(term.function)})
            matches = get_close_matches(term.name, names, n=6, cutoff=0.5)
            raise SetupError(
                argument,
                str(term),
                f"is recorded in none of the {plural(len(runs), 'bundle')}",
                choices=matches or names[:12],
            )


def _require_order(runs: Sequence[BundleRow], comparison: FilterTest) -> None:
    """SetupError for a comparison that holds for no run, whatever the values are."""
    term, relation, limit = comparison
    if isinstance(limit, float) and isnan(limit):
        raise SetupError(
            "--where",
            str(comparison),
            f"compares {term} with a value that equals nothing and is in no order",
            mend="Write non_finite for runs with NaN, or the text in quotes.",
        )
    values = [v for run in runs if (v := run.lookup(term)) is not None]
    texts = [isinstance(v, str | bool) for v in values]
    equality = relation in ("==", "!=")
    if equality or not values or any(t == isinstance(limit, str) for t in texts):
        return
    recorded, other = ("a number", "a text") if isinstance(limit, str) else ("a text", "a number")
    raise SetupError(
        "--where",
        str(comparison),
        f"compares {term}, which is {recorded} in each bundle, with {other}",
        mend="Write a text in quotes." if recorded == "a text" else "",
    )


def listing_report(listing: Listing, terms: Sequence[Term] = (), most: int = 0) -> Group:
    """The page that `simckpt ls` prints; a column more for each term."""
    parts: list[RenderableType] = []
    runs = listing.bundles
    rows = runs[:most] if most else runs
    extra = [t for t in dict.fromkeys(terms) if t.name not in ("path", "ending")][:MOST_COLUMNS]
    if rows:
        heads = [clean(str(t), 24) for t in extra]
        out = table("bundle", *(f"{h}>" for h in heads), "ending", "ranks>", "step>", "health")
        for run in rows:
            columns = run.columns
            out.add_row(
                styled(_middle(run.path)),
                *(_cell(run.lookup(t)) for t in extra),
                styled(str(columns["ending"])[:9], "" if columns["finished"] else "yellow"),
                _cell(columns["ranks"]),
                _cell(columns["step"]),
                _health(run),
            )
        parts.append(out)
    if len(rows) < len(runs):
        parts.append(Text(f"... and {len(runs) - len(rows):,} more (-n 0 shows all)", style="dim"))
    count = plural(listing.total, "bundle")
    text = count if len(runs) == listing.total else f"{len(runs):,} of {count}"
    parts.append(Text(f"{text} in {clean(listing.folder)}", style="dim"))
    parts += [styled(f"not read: {u.path}: {u.problem}", "yellow") for u in listing.unreadable[:10]]
    if len(listing.unreadable) > 10:
        parts.append(Text(f"... and {len(listing.unreadable) - 10:,} more not read"))
    return Group(*parts)


def _health(run: BundleRow) -> Text:
    columns = run.columns
    if columns["non_finite"]:
        return Text(f"non-finite at {columns['non_finite_step']}", style="red")
    if columns["errors"]:
        return Text(plural(int(columns["errors"]), "error"), style="red")
    if columns["faults"]:
        return Text(f"{columns['faults']:,} with faults", style="yellow")
    return Text(
        plural(int(columns["warnings"] or 0), "warning") if columns["warnings"] else "sound"
    )


def _cell(value: Value) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(f"{value:.6g}") if isinstance(value, float) else styled(str(value), longest=24)


def _middle(path: str) -> str:
    """A path without the ending that all have, its front cut if it is long."""
    text = clean(path.removesuffix(".simckpt.h5"))
    return text if len(text) <= 48 else "..." + text[-45:]


def _rank(value: Value) -> tuple[int, float, str]:
    if isinstance(value, str):
        return 1, 0.0, value
    return 0, float(value or 0), ""
