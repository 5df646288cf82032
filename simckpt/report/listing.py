"""Many bundles, a line to each: what `simckpt ls` shows, filters and sorts by."""

from __future__ import annotations

import operator
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

from ..diagnostics.expressions import Language, Tree, parse
from ..errors import SetupError
from .text import clean, moment, plural, styled, table

if TYPE_CHECKING:
    from .overview import RecordedRun

Value: TypeAlias = str | float | bool | None
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

_RELATIONS: Final[dict[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "equal": ("=", operator.eq),
    "not_equal": ("!=", operator.ne),
    "less": ("<", operator.lt),
    "less_equal": ("<=", operator.le),
    "greater": (">", operator.gt),
    "greater_equal": (">=", operator.ge),
}


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
    comparisons : list of Comparison
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
        self.comparisons: list[Comparison] = []
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
            case (relation, subject, (kind, value)) if relation in _RELATIONS:
                value = _number(value) if kind == "word" else value
                comparison = Comparison(self._term(subject), relation, value)
                self.comparisons.append(comparison)
                return comparison.holds
        term = self._term(tree)
        return lambda lookup: bool(lookup(term))

    def _term(self, tree: Tree) -> Term:
        self.terms.append(_term(tree))
        return self.terms[-1]


class Comparison(NamedTuple):
    """A term compared with a value: a number, or a text."""

    term: Term
    relation: str
    value: str | float

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.term}{_RELATIONS[self.relation][0]}{value}"

    def holds(self, lookup: Lookup) -> bool:
        value = lookup(self.term)
        if value is None:
            return False
        if isinstance(value, bool):
            value = "yes" if value else "no"
        # A text that reads like a number, as a version or a name may, is still a text.
        if isinstance(value, str) != isinstance(self.value, str):
            return self.relation == "not_equal"
        return _RELATIONS[self.relation][1](value, self.value)


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


LONGEST_KEPT = 200
MOST_COLUMNS = 4


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle in a line.

    Parameters
    ----------
    path : str
        As it was found, relative to the folder that is listed.
    drift : dict
        Largest relative drift of each conserved integral; infinite where it is not finite.
    largest : dict
        Largest value of each stability metric.
    last : dict
        Each quantity at the last sample.
    """

    path: str
    ending: str
    run_id: str
    campaign: str
    driver: str
    goal: str
    created: float
    ranks: tuple[int, ...]
    segments: int
    samples: int
    last_step: int | None
    last_t: float | None
    checkpoints: int
    warnings: int
    errors: int
    faults: int
    non_finite_step: int | None
    simckpt_version: str
    wrong_way: int = 0
    parameters: dict[str, Any] = {}
    numerics: dict[str, Any] = {}
    drift: dict[str, float] = {}
    largest: dict[str, float] = {}
    last: dict[str, float] = {}

    @property
    def sound(self) -> bool:
        """Whether all values are finite and nothing failed, went the wrong way or was an error."""
        wrong = self.faults or self.errors or self.wrong_way
        return self.non_finite_step is None and not wrong

    def lookup(self, term: Term) -> Value:
        """What the run says to a term; None if nothing."""
        if term.function:
            found: dict[str, float] = getattr(self, term.function)
            return found.get(term.name)
        own = _OWN.get(term.name)
        if own is not None:
            said: Value = own(self)
            return said
        part, _, rest = term.name.partition(".")
        tables = {"numerics": self.numerics, "parameters": self.parameters}
        if part in tables and rest in tables[part]:
            return _plain(tables[part][rest])
        for settings in tables.values():
            if term.name in settings:
                return _plain(settings[term.name])
        return None


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that could not be read, and why."""

    path: str
    problem: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The bundles of a folder that a filter lets through, of `found` in all."""

    folder: str
    found: int
    bundles: tuple[Listed, ...]
    unreadable: tuple[Unreadable, ...] = ()


def listed(run: RecordedRun, path: str) -> Listed:
    """Sum up one bundle."""
    from ..model.changes import flatten
    from .overview import overview

    o = overview(run)
    series = run.series()
    drift = dict.fromkeys(o.health.constant, 0.0)
    for moved in o.health.drifts:
        known = moved.final is not None and moved.largest is not None
        drift[moved.name] = moved.largest if known and moved.largest is not None else inf
    return Listed(
        path=path,
        ending=o.ending,
        run_id=o.run_id,
        campaign=o.campaign,
        driver=o.driver,
        goal=o.intent.goal if o.intent is not None else "",
        created=o.created,
        ranks=o.ranks,
        segments=o.segments,
        samples=o.samples,
        last_step=o.last_step,
        last_t=o.last_t,
        checkpoints=o.checkpoints,
        warnings=o.health.warnings,
        errors=o.health.errors,
        faults=o.health.faults,
        non_finite_step=o.health.non_finite_step,
        simckpt_version=o.simckpt_version,
        wrong_way=len(o.health.reversals),
        parameters=_kept(flatten(o.parameters)),
        numerics=_kept(flatten(o.numerics)),
        drift=drift,
        largest={peak.name: peak.value for peak in o.health.peaks},
        last={name: float(series[name][-1]) for name in series} if o.samples else {},
    )


def chosen(runs: Sequence[Listed], wanted: Filter) -> list[Listed]:
    """The runs that pass.

    Raises
    ------
    SetupError
        If the filter names what none of the runs recorded, which is most likely misspelt, or
        orders numbers by a text or texts by a number.
    """
    require_known(runs, wanted.terms, "--where")
    for comparison in wanted.comparisons:
        _require_order(runs, comparison)
    return [run for run in runs if wanted.holds(run.lookup)]


def ordered(runs: Sequence[Listed], key: str) -> list[Listed]:
    """The runs in order of a term, falling if a minus stands before it; those without it last."""
    term = parse_term(key.removeprefix("-"), "--sort")
    require_known(runs, [term], "--sort")
    falling = key.startswith("-")
    there = [(value, run) for run in runs if (value := run.lookup(term)) is not None]
    rest = [run for run in runs if run.lookup(term) is None]
    # Numbers before texts, and within each in their own order.
    there.sort(key=lambda item: _rank(item[0]), reverse=falling)
    return [run for _, run in there] + rest


def require_known(runs: Sequence[Listed], terms: Iterable[Term], argument: str) -> None:
    """SetupError for a term that no run has a value for."""
    for term in terms:
        lookups: list[Lookup] = [run.lookup for run in runs]
        own = not term.function and term.name in _OWN
        if not own and lookups and all(lookup(term) is None for lookup in lookups):
            names = sorted({n for run in runs for n in _names(run, term.function)})
            near = get_close_matches(term.name, names, n=6, cutoff=0.5)
            raise SetupError(
                argument,
                str(term),
                f"is recorded in none of the {plural(len(runs), 'bundle')}",
                choices=near or names[:12],
            )


def _require_order(runs: Sequence[Listed], comparison: Comparison) -> None:
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
    equality = relation in ("equal", "not_equal")
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
    shown = runs[:most] if most else runs
    extra = [t for t in dict.fromkeys(terms) if t.name not in ("path", "ending")][:MOST_COLUMNS]
    if shown:
        heads = [clean(str(t), 24) for t in extra]
        out = table("bundle", *(f"{h}>" for h in heads), "ending", "ranks>", "step>", "health")
        for run in shown:
            out.add_row(
                styled(_middle(run.path)),
                *(_shown(run.lookup(t)) for t in extra),
                styled(run.ending[:9], "" if run.ending == "finished" else "yellow"),
                ", ".join(str(n) for n in run.ranks[:3]),
                "-" if run.last_step is None else str(run.last_step),
                _health(run),
            )
        parts.append(out)
    if len(shown) < len(runs):
        parts.append(Text(f"... and {len(runs) - len(shown):,} more (-n 0 shows all)", style="dim"))
    count = plural(listing.found, "bundle")
    told = count if len(runs) == listing.found else f"{len(runs):,} of {count}"
    parts.append(Text(f"{told} in {clean(listing.folder)}", style="dim"))
    parts += [styled(f"not read: {u.path}: {u.problem}", "yellow") for u in listing.unreadable[:10]]
    if len(listing.unreadable) > 10:
        parts.append(Text(f"... and {len(listing.unreadable) - 10:,} more not read"))
    return Group(*parts)


def _health(run: Listed) -> Text:
    if run.non_finite_step is not None:
        return Text(f"non-finite at {run.non_finite_step}", style="red")
    if run.errors:
        return Text(plural(run.errors, "error"), style="red")
    if run.faults:
        return Text(f"{run.faults:,} with faults", style="yellow")
    return Text(plural(run.warnings, "warning") if run.warnings else "sound")


def _shown(value: Value) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(f"{value:.6g}") if isinstance(value, float) else styled(str(value), longest=24)


def _middle(path: str) -> str:
    """A path without the ending that all have, its front cut if it is long."""
    text = clean(path.removesuffix(".simckpt.h5"))
    return text if len(text) <= 48 else "..." + text[-45:]


_OWN: dict[str, Any] = {
    "path": lambda r: r.path,
    "name": lambda r: PurePath(r.path).name.partition(".simckpt")[0],
    "ending": lambda r: r.ending,
    "finished": lambda r: r.ending == "finished",
    "run_id": lambda r: r.run_id,
    "campaign": lambda r: r.campaign,
    "driver": lambda r: r.driver,
    "goal": lambda r: r.goal,
    "created": lambda r: moment(r.created),
    "ranks": lambda r: r.ranks[-1] if r.ranks else None,
    "segments": lambda r: r.segments,
    "samples": lambda r: r.samples,
    "step": lambda r: r.last_step,
    "t": lambda r: r.last_t,
    "checkpoints": lambda r: r.checkpoints,
    "warnings": lambda r: r.warnings,
    "errors": lambda r: r.errors,
    "faults": lambda r: r.faults,
    "non_finite": lambda r: r.non_finite_step is not None,
    "sound": lambda r: r.sound,
    "simckpt_version": lambda r: r.simckpt_version,
}
"""Names that every run has; a setting of the same name is reached as ``parameters.t``."""


def _names(run: Listed, function: str) -> Iterable[str]:
    if function:
        found: dict[str, float] = getattr(run, function)
        return found
    return [*_OWN, *run.numerics, *run.parameters]


def _rank(value: Value) -> tuple[int, float, str]:
    if isinstance(value, str):
        return 1, 0.0, value
    return 0, float(value or 0), ""


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | float | bool) else float(value)


def _kept(leaves: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The settings that a person would filter by: plain, and not long."""
    return {
        name: value
        for name, value in leaves
        if isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= LONGEST_KEPT)
    }
