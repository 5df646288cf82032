"""Many bundles, a line to each: what `simckpt ls` shows, filters and sorts by."""

# ruff: noqa: ERA001 - a grammar and a TOML example look like code

from __future__ import annotations

import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import inf, isnan
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from ..errors import SetupError
from .text import clean, moment, plural, styled, table

if TYPE_CHECKING:
    from .overview import RecordedRun

# The filter of `simckpt ls --where`: ``solver=HLLC and drift(mass)>1e-12``.
#
# ::
#
#     filter     = every { "or" every }
#     every      = single { "and" single }
#     single     = "not" single | "(" filter ")" | comparison
#     comparison = term [ operator value ]
#     term       = NAME | FUNCTION "(" NAME ")"
#     operator   = "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "~"
#
# On the left stands what a run recorded, on the right a number, a word, or a text in quotes; ``~``
# matches ``*`` and ``?``. A term alone holds if it is there and is neither zero, no nor empty.
# What a run did not record holds in no comparison, so ``not a=1`` and ``a!=1`` are not the same.


Value: TypeAlias = str | float | bool | None
"""What a run says to a name; None if nothing."""

Lookup: TypeAlias = Callable[["Term"], Value]

FUNCTIONS: Final = ("drift", "largest", "last")
MOST_NESTED: Final = 50

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<sign><=|>=|!=|==|[=<>~()])|(?P<word>[^\s()=<>!~'"]+))"""
)


@dataclass(frozen=True, slots=True)
class Term:
    """A recorded name, or a function of one."""

    name: str
    function: str = ""

    def __str__(self) -> str:
        return f"{self.function}({self.name})" if self.function else self.name


class Filter(Protocol):
    """Whether a run is wanted."""

    @abstractmethod
    def holds(self, lookup: Lookup) -> bool: ...

    @abstractmethod
    def comparisons(self) -> Iterator[Compared]: ...

    @abstractmethod
    def terms(self) -> Iterator[Term]: ...


@dataclass(frozen=True, slots=True)
class Anything:
    """The filter that every run passes."""

    def holds(self, lookup: Lookup) -> bool:
        return True

    def comparisons(self) -> Iterator[Compared]:
        return iter(())

    def terms(self) -> Iterator[Term]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Compared:
    """A term held against a value."""

    term: Term
    sign: str
    value: str | float

    @property
    def ordered(self) -> bool:
        """Whether it asks for what is larger or smaller."""
        return self.sign in ("<", "<=", ">", ">=")

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.term}{self.sign}{value}"

    def holds(self, lookup: Lookup) -> bool:
        mine = lookup(self.term)
        if mine is None:
            return False
        if isinstance(mine, bool):
            mine = "yes" if mine else "no"
        if self.sign == "~":
            return fnmatchcase(_text(mine), str(self.value))
        if isinstance(mine, str) and isinstance(self.value, float):
            # A text that reads like a number, as a version or a name may, is still a text.
            return self.sign == "!="
        if isinstance(mine, float | int) and isinstance(self.value, str):
            return self.sign == "!="
        return _ORDERS[self.sign](mine, self.value)

    def comparisons(self) -> Iterator[Compared]:
        yield self

    def terms(self) -> Iterator[Term]:
        yield self.term


@dataclass(frozen=True, slots=True)
class Present:
    """A term alone."""

    term: Term

    def holds(self, lookup: Lookup) -> bool:
        return bool(lookup(self.term))

    def comparisons(self) -> Iterator[Compared]:
        return iter(())

    def terms(self) -> Iterator[Term]:
        yield self.term


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter

    def holds(self, lookup: Lookup) -> bool:
        return not self.part.holds(lookup)

    def comparisons(self) -> Iterator[Compared]:
        return self.part.comparisons()

    def terms(self) -> Iterator[Term]:
        return self.part.terms()


@dataclass(frozen=True, slots=True)
class Joined:
    """Several filters of which all must hold, or any."""

    parts: tuple[Filter, ...]
    every: bool

    def holds(self, lookup: Lookup) -> bool:
        held = (part.holds(lookup) for part in self.parts)
        return all(held) if self.every else any(held)

    def comparisons(self) -> Iterator[Compared]:
        for part in self.parts:
            yield from part.comparisons()

    def terms(self) -> Iterator[Term]:
        for part in self.parts:
            yield from part.terms()


def parse_filter(text: str) -> Filter:
    """The filter that `text` says.

    Raises
    ------
    SetupError
        If it is not of the grammar; the message says what was expected where.
    """
    parser = _Parser(text)
    found = parser.filter(0)
    parser.end()
    return found


def parse_term(text: str, argument: str) -> Term:
    """A name, or a function of a name, as an option gives it; SetupError if it is neither."""
    parser = _Parser(text, argument)
    found = parser.term()
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str, argument: str = "--where") -> None:
        self._text = text
        self._argument = argument
        self._tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._refused("a name, a sign or a closed quote", at)
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind], match.start(kind)))
            at = match.end()
        self._at = 0

    def filter(self, depth: int) -> Filter:
        return self._joined("or", lambda: self._joined("and", lambda: self._single(depth), True))

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise self._refused("the end, 'and' or 'or'")

    def term(self) -> Term:
        kind, name, _ = self._next()
        if kind != "word" or name in ("and", "or", "not"):
            self._at -= 1
            raise self._refused("a name")
        if not self._take("("):
            return Term(name)
        if name not in FUNCTIONS:
            raise SetupError(self._argument, name, "is no function", choices=FUNCTIONS)
        kind, inner, _ = self._next()
        if kind == "sign" or not self._take(")"):
            self._at -= 1
            raise self._refused(f"one name in brackets, as in {name}(mass)")
        return Term(inner.strip("\"'"), name)

    def _joined(self, word: str, part: Callable[[], Filter], every: bool = False) -> Filter:
        parts = [part()]
        while self._take(word, "word"):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), every)

    def _single(self, depth: int) -> Filter:
        if depth > MOST_NESTED:
            raise self._refused(f"no more than {MOST_NESTED} levels of brackets")
        if self._take("not", "word"):
            return Not(self._single(depth + 1))
        if self._take("("):
            found = self.filter(depth + 1)
            if not self._take(")"):
                raise self._refused("')'")
            return found
        term = self.term()
        kind, sign, _ = self._peek()
        if kind != "sign" or sign in "()":
            return Present(term)
        self._at += 1
        kind, value, _ = self._next()
        if kind == "text":
            return Compared(term, sign, value[1:-1])
        if kind != "word":
            self._at -= 1
            raise self._refused("a value")
        if sign == "~":
            return Compared(term, sign, value)
        number = _number(value)
        if isinstance(number, float) and isnan(number):
            raise SetupError(
                self._argument,
                f"{term}{sign}{value}",
                f"compares {term} with a value that equals nothing and is in no order",
                mend="Write non_finite for runs with NaN, or the text in quotes.",
            )
        return Compared(term, sign, number)

    def _peek(self) -> tuple[str, str, int]:
        if self._at < len(self._tokens):
            return self._tokens[self._at]
        return "", "", len(self._text)

    def _next(self) -> tuple[str, str, int]:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, wanted: str, kind: str = "sign") -> bool:
        found = self._peek()[:2] == (kind, wanted)
        self._at += found
        return found

    def _refused(self, wanted: str, at: int | None = None) -> SetupError:
        position = self._peek()[2] if at is None else at
        rest = self._text[position : position + 20]
        where = f"at {rest!r}" if rest else "at its end"
        return SetupError(self._argument, self._text, f"{where}, {wanted} was expected")


def _number(word: str) -> str | float:
    try:
        return float(word)
    except ValueError:
        return word


def _text(value: str | float) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


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
    require_known(runs, wanted.terms(), "--where")
    for comparison in wanted.comparisons():
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


def _require_order(runs: Sequence[Listed], comparison: Compared) -> None:
    """SetupError for an order that holds for no run, whatever the values are."""
    term, wanted = comparison.term, comparison.value
    values = [v for run in runs if (v := run.lookup(term)) is not None]
    texts = [isinstance(v, str | bool) for v in values]
    if not comparison.ordered or not values or any(t == isinstance(wanted, str) for t in texts):
        return
    said, meant = ("a number", "a text") if isinstance(wanted, str) else ("a text", "a number")
    raise SetupError(
        "--where",
        str(comparison),
        f"compares {term}, which is {said} in each bundle, with {meant}",
        mend="Write a text in quotes." if said == "a text" else "",
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
