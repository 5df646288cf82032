"""The small language of declarations: arithmetic on field names, checked and never evaluated.

A text is parsed by Python's `ast`, every node is held against an allow-list, and what is left is
a tree of nested tuples: ``("field", "rho")``, ``("number", 0.5)``, ``("add", left, right)``,
``("sqrt", argument)``. Equal trees are equal values, so a common part is computed once.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias
from unicodedata import normalize

from ..errors import SetupError
from .spelling import mend_of_node, mend_of_text

Tree: TypeAlias = tuple[Any, ...]

LONGEST_TEXT = 2000
DEEPEST = 150

_BINARY = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
_COMPARE = {ast.Lt: "less", ast.LtE: "less_equal", ast.Eq: "equal", ast.NotEq: "not_equal"}
_MIRRORED = {ast.Gt: "less", ast.GtE: "less_equal"}

FUNCTIONS: Mapping[str, int] = {
    "abs": 1, "sqrt": 1, "exp": 1, "log": 1, "log10": 1, "sin": 1, "cos": 1, "tan": 1, "sinh": 1,
    "cosh": 1, "tanh": 1, "arcsin": 1, "arccos": 1, "arctan": 1, "sign": 1, "floor": 1,
    "ceil": 1, "square": 1, "minimum": 2, "maximum": 2, "hypot": 2, "arctan2": 2, "where": 3,
}  # fmt: skip
"""Functions by name, with the number of their arguments; NumPy's names and meanings."""

CONSTANTS: Mapping[str, float] = {"pi": math.pi}

_CHOICES = ("field names", "numbers", "+ - * / **", "< <= > >= == !=", *FUNCTIONS)


def normal_form(name: str) -> str:
    """`name` as Python has it: names are the same if their Unicode normal forms NFKC are.

    Examples
    --------
    >>> normal_form("\N{MICRO SIGN}") == "\N{GREEK SMALL LETTER MU}"
    True
    """
    return normalize("NFKC", name)


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Parameters
    ----------
    text : str
        As the user wrote it.
    tree : tuple
        What it means.
    argument : str
        Where it was written, such as ``conserved['mass']``; for error messages.
    """

    text: str
    tree: Tree
    argument: str = "expression"

    @property
    def names(self) -> frozenset[str]:
        """The names that it reads."""
        return frozenset(names_in(self.tree))


def parse(text: object, argument: str = "expression") -> Expression:
    """Check the text of an expression.

    Raises
    ------
    SetupError
        Naming `argument`, the text, what is not allowed and what is.

    Examples
    --------
    >>> parse("0.5*rho*(u**2 + v**2)").names == {"rho", "u", "v"}
    True
    """
    if not isinstance(text, str) or not text.strip():
        raise SetupError(argument, text, "is not an expression", mend="Write it as a string.")
    return _parse(text, argument)


@lru_cache(maxsize=512)
def _parse(text: str, argument: str) -> Expression:
    if len(text) > LONGEST_TEXT:
        raise SetupError(argument, text, f"is longer than {LONGEST_TEXT} characters")
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise _unreadable(text, argument, error) from None
    except (RecursionError, MemoryError):
        raise SetupError(argument, text, "is nested too deeply") from None
    if _depth(body) > DEEPEST:
        raise SetupError(argument, text, "is nested too deeply", mend="Split it up with `derived`.")
    return Expression(text, _Checker(text, argument).tree(body), argument)


def _unreadable(text: str, argument: str, error: SyntaxError | ValueError) -> SetupError:
    """The error of a text that Python cannot read: where, why, and what to write."""
    text = text.strip()
    offset = getattr(error, "offset", None)
    if not isinstance(error, SyntaxError) or offset is None:
        why = error.msg if isinstance(error, SyntaxError) else "not every character is text"
        return SetupError(argument, text, f"cannot be read: {why}", choices=_CHOICES)
    lines = text.splitlines(keepends=True)
    line = (error.lineno or 1) - 1
    # Python says 0 where the text ends too early.
    place = sum(map(len, lines[:line])) + offset - 1 if offset else len(text)
    rest = text[place:].split("\n")[0][:20]
    where = f"at character {place + 1}, {rest!r}" if rest else "at its end"
    # What follows the first sentence are guesses about programs.
    why = error.msg.partition(". ")[0]
    return SetupError(
        argument,
        text,
        f"cannot be read {where}: {why}",
        choices=_CHOICES,
        mend=mend_of_text(text, place),
    )


def _depth(body: ast.expr) -> int:
    deepest = 0
    pending: list[tuple[ast.AST, int]] = [(body, 1)]
    while pending:
        node, depth = pending.pop()
        deepest = max(deepest, depth)
        pending += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return deepest


class _Checker:
    """Turns allowed nodes into trees and refuses the others."""

    def __init__(self, text: str, argument: str) -> None:
        self._text = text
        self._argument = argument

    def tree(self, node: ast.expr) -> Tree:
        match node:
            case ast.Constant(value=bool() | complex() | str() | bytes()):
                raise self._refusal(node, "is not a real number")
            case ast.Constant(value=int() | float() as value):
                return ("number", self._number(node, value))
            case ast.Name(id=name):
                return ("field", name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._binary(_BINARY[type(op)], left, right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.tree(operand)
                # -0.0 stays an operation: as a constant it would be taken for 0.0.
                if inner[0] == "number" and inner[1] != 0:
                    return ("number", -inner[1])
                return ("negative", inner)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.tree(operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._comparison(node, op, left, right)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(node, name, arguments)
        raise self._refusal(node, "is not allowed in an expression")

    def _number(self, node: ast.expr, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._refusal(node, "is too large for a float64")
        return number

    def _binary(self, name: str, left: ast.expr, right: ast.expr) -> Tree:
        a, b = self.tree(left), self.tree(right)
        # NumPy raises to these powers by multiplication, reciprocal and square root.
        if name == "power" and b == ("number", 2.0):
            return ("square", a)
        if name == "power" and b == ("number", 1.0):
            return a
        if name == "power" and b == ("number", 0.5):
            return ("sqrt", a)
        if name == "power" and b == ("number", -1.0):
            return ("divide", ("number", 1.0), a)
        return (name, a, b)

    def _comparison(self, node: ast.expr, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Tree:
        if type(op) in _COMPARE:
            return (_COMPARE[type(op)], self.tree(left), self.tree(right))
        if type(op) in _MIRRORED:
            return (_MIRRORED[type(op)], self.tree(right), self.tree(left))
        raise self._refusal(node, "is not a comparison of numbers")

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> Tree:
        if name not in FUNCTIONS:
            problem = f"calls {name!r}, which is no function here"
            raise self._refusal(node, problem, choices=FUNCTIONS)
        if len(arguments) != FUNCTIONS[name]:
            raise self._refusal(
                node, f"gives {name} {len(arguments)} arguments, not {FUNCTIONS[name]}"
            )
        return (name, *(self.tree(a) for a in arguments))

    def _refusal(
        self, node: ast.expr, problem: str, choices: Iterable[str] = _CHOICES
    ) -> SetupError:
        part = ast.get_source_segment(self._text.strip(), node) or self._text
        return SetupError(
            self._argument,
            self._text,
            f"{part!r} {problem}",
            choices=choices,
            mend=mend_of_node(node, FUNCTIONS),
        )


def names_in(tree: Tree) -> Iterator[str]:
    """The names that a tree reads, with repetitions."""
    if tree[0] in ("field", "shifted", "high", "low"):
        yield tree[1]
    elif tree[0] != "number":
        for part in tree[1:]:
            if isinstance(part, tuple):
                yield from names_in(part)


def shifted(tree: Tree, axis: int, offset: int) -> Tree:
    """The tree with every field read `offset` cells further along `axis`."""
    if tree[0] == "field":
        return ("shifted", tree[1], axis, offset)
    parts = (shifted(p, axis, offset) if isinstance(p, tuple) else p for p in tree[1:])
    return (tree[0], *parts)


def resolve(
    expression: Expression, fields: frozenset[str], derived: Mapping[str, Expression]
) -> Tree:
    """The tree of `expression` with derived quantities put in their places.

    Raises
    ------
    SetupError
        If a name is neither a field, a derived quantity nor a constant, or if derived
        quantities refer to each other in a circle.
    """
    try:
        return _resolve(expression, expression.tree, fields, derived, ())
    except RecursionError:
        raise SetupError(
            expression.argument,
            expression.text,
            "is nested too deeply, with what it is derived from",
        ) from None


def _resolve(
    expression: Expression,
    tree: Tree,
    fields: frozenset[str],
    derived: Mapping[str, Expression],
    within: tuple[str, ...],
) -> Tree:
    kind = tree[0]
    if kind == "number":
        return tree
    if kind != "field":
        parts = (
            _resolve(expression, p, fields, derived, within) if isinstance(p, tuple) else p
            for p in tree[1:]
        )
        return (kind, *parts)
    name = tree[1]
    if name in derived:
        if name in within:
            circle = " -> ".join((*within[within.index(name) :], name))
            raise SetupError(
                derived[name].argument, derived[name].text, f"refers to itself: {circle}"
            )
        inner = derived[name]
        return _resolve(inner, inner.tree, fields, derived, (*within, name))
    if name in fields:
        return tree
    if name in CONSTANTS:
        return ("number", CONSTANTS[name])
    raise SetupError(
        expression.argument,
        expression.text,
        f"{name!r} is neither a field nor a derived quantity",
        choices=sorted(fields | derived.keys()),
        mend=f"Give {name!r} in `fields`, or define it in `derived`.",
    )
