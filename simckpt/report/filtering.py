"""The filter of `simckpt ls --where`: ``solver=HLLC and drift(mass)>1e-12``.

::

    filter     = every { "or" every }
    every      = single { "and" single }
    single     = "not" single | "(" filter ")" | comparison
    comparison = term [ operator value ]
    term       = NAME | FUNCTION "(" NAME ")"
    operator   = "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "~"

On the left stands what a run recorded, on the right a number, a word, or a text in quotes; ``~``
matches ``*`` and ``?``. A term alone holds if it is there and is neither zero, no nor empty.
What a run did not record holds in no comparison, so ``not a=1`` and ``a!=1`` are not the same.
"""

from __future__ import annotations

import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isnan
from typing import Any, Final, Protocol, TypeAlias

from ..errors import SetupError

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
