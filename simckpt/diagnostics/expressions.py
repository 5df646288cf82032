"""The small language of declarations: arithmetic on field names, checked and never evaluated.

A text is parsed by Python's `ast`, every node is held against an allow-list, and what is left is
a tree of nested tuples: ``("field", "rho")``, ``("number", 0.5)``, ``("add", left, right)``,
``("sqrt", argument)``. Equal trees are equal values, so a common part is computed once.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from keyword import iskeyword
from typing import Any, TypeAlias
from unicodedata import normalize

from ..errors import SetupError

# What other languages spell otherwise than expressions do, and how it is written here.
#
# An expression that is refused comes with a mend; this is where it is worked out, from a node that
# is not allowed or from the place where the text cannot be read.


LONGEST_MEND = 120

OTHER_NAMES: Mapping[str, str] = {
    "max": "maximum", "min": "minimum", "fmax": "maximum", "fmin": "minimum", "fabs": "abs",
    "absolute": "abs", "ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "atan2": "arctan2", "sgn": "sign", "ceiling": "ceil", "merge": "where",
}  # fmt: skip
"""Functions under the names that they have elsewhere."""

_EACH_CELL = (
    "An expression is evaluated in each cell: sums over the cells are what conserved= is for, "
    "norms and maxima norms=."
)
_BESIDE = "Neighbouring cells are read by Divergence and TotalVariation alone."
_POWER = "Write a**b for a power."
_COMPLEX = "A complex field psi is two fields here, psi_re and psi_im."
_TRUTH = "a comparison is 1 or 0"

WAYS: Mapping[str, str] = {
    "pow": _POWER,
    "power": _POWER,
    "cbrt": "Write sign(x)*abs(x)**(1/3).",
    "exp2": "Write 2**x.",
    "log2": "Write log(x)/log(2).",
    "mod": "Write a - b*floor(a/b).",
    "fmod": "Write a - b*floor(a/b).",
    "clip": "Write minimum(maximum(x, low), high).",
    "isnan": "Write x != x.",
    "real": _COMPLEX,
    "imag": _COMPLEX,
    "conj": _COMPLEX,
    **dict.fromkeys(("sum", "mean", "average", "norm", "std", "any", "all"), _EACH_CELL),
    **dict.fromkeys(("gradient", "grad", "diff", "roll", "div", "curl", "laplacian"), _BESIDE),
}
"""What to write for functions that there are not."""

_OPERATORS: Mapping[type[ast.operator], str] = {
    ast.BitXor: "Write ** for a power.",
    ast.BitAnd: f"Write (a < b)*(c < d): {_TRUTH}.",
    ast.BitOr: f"Write maximum(a < b, c < d): {_TRUTH}.",
    ast.FloorDiv: "Write floor(a/b).",
    ast.Mod: "Write a - b*floor(a/b).",
    ast.MatMult: "Write the products out: u*u + v*v.",
}

# ruff: noqa: RUF001 - the signs that are taken for others are what this is about
_SIGNS: Mapping[str, str] = {
    "&": f"Write (a < b)*(c < d) for `and`: {_TRUTH}.",
    "|": f"Write abs(x), or maximum(a < b, c < d) for `or`: {_TRUTH}.",
    "?": "Write where(condition, a, b).",
    ":": "Write where(condition, a, b).",
    "!": "Write != for `not equal`, and 1 - (a < b) for `not`.",
    "=": "Write == to compare.",
    ";": "Write one expression; names for others go into derived=.",
    "²": "Write **2.",
    "³": "Write **3.",
    "√": "Write sqrt(x).",
    "≤": "Write <=.",
    "≥": "Write >=.",
    "≠": "Write !=.",
    "×": "Write *.",
    "∙": "Write *.",
    "⋅": "Write *.",
    "÷": "Write /.",
    "−": "Write the minus sign of the keyboard, -.",
    "–": "Write the minus sign of the keyboard, -.",
}

_OF_PYTHON = frozenset({"and", "or", "not", "if", "else", "is", "in"})
"""Words that stand between the parts of an expression of Python's, and may be meant so."""

_WORD = re.compile(r"[^\W\d]\w*")
_PRODUCT = re.compile(r"(?<![\w.])[\d.]+\s*(?![eE](?:[\d+-]|\Z))(?=[^\W\d_])")


def python_word(text: str, place: int) -> str:
    """The word in `text` that is Python's and can be no name; empty if there is none."""
    words = [normalize("NFKC", word) for word in _WORD.findall(text)]
    found = [word for word in words if iskeyword(word) and word not in _OF_PYTHON]
    here = _WORD.match(text, place)
    if not found and here and iskeyword(here.group()):
        found = [here.group()]
    return found[0] if found else ""


def mend_of_text(text: str, place: int) -> str:
    """What to write instead, in a text that cannot be read from `place` on."""
    if word := python_word(text, place):
        return another_name(word)
    rest, before = text[place:], text[:place].rstrip()
    if rest.startswith("<>"):
        return "Write != for `not equal`."
    if rest and rest[0] in _SIGNS:
        return _SIGNS[rest[0]]
    if " if " in text:
        return "Write where(condition, a, b)."
    if _PRODUCT.match(text, place) or _side_by_side(before, rest):
        return "Write * between factors: 2*x."
    if "\n" in text:
        return "Write it on one line, or in parentheses."
    if text.count("(") != text.count(")"):
        return "Close each parenthesis that is opened."
    return "Write it as in 0.5*rho*(u**2 + v**2)."


def another_name(word: str) -> str:
    """The mend for a field that has a name of Python's."""
    return (
        f"{word!r} is a word of Python's and no name: give the field another one, "
        f"fields={{{word + '_'!r}: ...}}."
    )


def mend_of_node(node: ast.expr, functions: Mapping[str, int]) -> str:
    """What to write in place of a node that is not allowed; empty where nothing is known."""
    for kind, mend in _MENDS.items():
        if isinstance(node, kind):
            try:
                found = mend(node) if kind is not ast.Call else _call(node, functions)
            except RecursionError:
                # Python writes trees out by calls within calls.
                return ""
            return found if len(found) <= LONGEST_MEND else ""
    return ""


def _side_by_side(before: str, rest: str) -> bool:
    ends = before[-1:].isalnum() or before[-1:] in (")", "_")
    return ends and (rest[:1].isalnum() or rest[:1] in ("(", "_"))


def _call(node: ast.expr, functions: Mapping[str, int]) -> str:
    assert isinstance(node, ast.Call)
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
        return "Give the arguments by their places."
    match node.func:
        case ast.Name(id=name):
            pass
        case ast.Attribute(attr=name):
            if name not in functions and not node.args:
                return _EACH_CELL
        case ast.Constant():
            return "Write * between factors: 2*x."
        case _:
            return ""
    known = OTHER_NAMES.get(name, name)
    if known not in functions:
        near = get_close_matches(name, functions, 1)
        return WAYS.get(name, f"Did you mean {near[0]}?" if near else "")
    if functions[known] == 2 and len(node.args) == 1:
        return _EACH_CELL
    if functions[known] == 2 and len(node.args) > 2:
        return f"Write {_nested(known, node.args)}."
    return f"Write {_written(known, node.args)}." if len(node.args) == functions[known] else ""


def _attribute(node: ast.Attribute) -> str:
    return "Write pi." if node.attr == "pi" else WAYS.get(node.attr, "")


def _operator(node: ast.BinOp) -> str:
    return _OPERATORS.get(type(node.op), "")


def _boolean(node: ast.BoolOp) -> str:
    if isinstance(node.op, ast.Or):
        return f"Write {_nested('maximum', node.values)}: {_TRUTH}."
    return f"Write {'*'.join(f'({ast.unparse(v)})' for v in node.values)}: {_TRUTH}."


def _unary(node: ast.UnaryOp) -> str:
    return f"Write 1 - ({ast.unparse(node.operand)}): {_TRUTH}."


def _comparison(node: ast.Compare) -> str:
    if len(node.ops) == 1:
        return "Write == or !=." if isinstance(node.ops[0], ast.Is | ast.IsNot) else ""
    sides = [node.left, *node.comparators]
    pairs = [
        f"({ast.unparse(ast.Compare(a, [op], [b]))})"
        for a, op, b in zip(sides, node.ops, sides[1:], strict=False)
    ]
    return f"Write {'*'.join(pairs)}: {_TRUTH}."


def _condition(node: ast.IfExp) -> str:
    return f"Write {_written('where', [node.test, node.body, node.orelse])}."


def _constant(node: ast.Constant) -> str:
    match node.value:
        case bool() as value:
            return f"Write {int(value)}."
        case None:
            return another_name("None")
        case str() | bytes():
            return "Write the names of fields without quotes."
        case complex():
            return _COMPLEX
    return ""


def _written(name: str, arguments: list[ast.expr]) -> str:
    return f"{name}({', '.join(map(ast.unparse, arguments))})"


def _nested(name: str, arguments: list[ast.expr]) -> str:
    *first, last = map(ast.unparse, arguments)
    for argument in reversed(first):
        last = f"{name}({argument}, {last})"
    return last


def _always(text: str) -> Callable[[ast.expr], str]:
    return lambda _: text


_MENDS: Mapping[type[ast.expr], Callable[..., str]] = {
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.BinOp: _operator,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.Compare: _comparison,
    ast.IfExp: _condition,
    ast.Constant: _constant,
    ast.Subscript: _always(
        "Give what is meant as a field of its own: a view, or Components(array, axis)."
    ),
    ast.NamedExpr: _always("Define it in derived=."),
    ast.Tuple: _always("Write one expression, and decimals with a point: 0.5."),
    ast.Lambda: _always(another_name("lambda")),
    ast.Await: _always(another_name("await")),
}


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
