"""The language of declarations, of bounds and of the filters of `simckpt ls`.

A text is parsed by Python's `ast`, every node is checked against an allow-list, and nothing is
evaluated. The result is a tree of nested tuples: ``("field", "rho")``, ``("number", 0.5)``,
``("add", left, right)``, ``("sqrt", argument)``. Equal trees are equal values, so a common part is
computed once. Declarations are arithmetic on fields; bounds and filters are conditions, which
compare a recorded name, or a function of one, with a value: ``drift(mass) > 1e-12`` is
``(">", ("drift", ("field", "mass")), ("number", 1e-12))``.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from keyword import iskeyword
from typing import Any, TypeAlias
from unicodedata import normalize

from ..errors import SetupError

Tree: TypeAlias = tuple[Any, ...]

LONGEST_TEXT = 2000
DEEPEST = 150
LONGEST_MEND = 120

FUNCTIONS: Mapping[str, int] = {
    "abs": 1, "sqrt": 1, "exp": 1, "log": 1, "log10": 1, "sin": 1, "cos": 1, "tan": 1, "sinh": 1,
    "cosh": 1, "tanh": 1, "arcsin": 1, "arccos": 1, "arctan": 1, "sign": 1, "floor": 1,
    "ceil": 1, "square": 1, "minimum": 2, "maximum": 2, "hypot": 2, "arctan2": 2, "where": 3,
}  # fmt: skip
"""Functions of fields by name, with the number of their arguments; NumPy's names and meanings."""

CONSTANTS: Mapping[str, float] = {"pi": math.pi}


@dataclass(frozen=True, eq=False)
class Language:
    """What may be written in a text: arithmetic, or conditions."""

    noun: str
    """What the text is called in an error, such as ``"an expression"``."""
    example: str
    functions: Mapping[str, int]
    """By name, with the number of their arguments."""
    choices: tuple[str, ...]
    """What else is allowed."""
    conditions: bool = False
    """Comparisons of a name or a function of one with a number, word or text, and ``and``, ``or``
    and ``not`` of them. Names may have dots, and are in quotes where they are no identifiers."""


ARITHMETIC = Language(
    "an expression",
    "0.5*rho*(u**2 + v**2)",
    FUNCTIONS,
    ("field names", "numbers", "+ - * / **", "< <= > >= == !="),
)


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
    """A checked text.

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


def parse(
    text: object, argument: str = "expression", language: Language = ARITHMETIC
) -> Expression:
    """Check a text.

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
        raise SetupError(argument, text, f"is not {language.noun}", mend="Write it as a string.")
    return _parse(text, argument, language)


@lru_cache(maxsize=512)
def _parse(text: str, argument: str, language: Language) -> Expression:
    if len(text) > LONGEST_TEXT:
        raise SetupError(argument, text, f"is longer than {LONGEST_TEXT} characters")
    # In a condition, which defines nothing, = is read as ==.
    source = _EQUALS.sub(lambda m: m[1] or "==", text) if language.conditions else text
    reader = _Reader(source.strip(), argument, language)
    try:
        body = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise reader.unreadable(error) from None
    except (RecursionError, MemoryError):
        raise SetupError(argument, text, "is nested too deeply") from None
    if _depth(body) > DEEPEST:
        mend = "" if language.conditions else "Split it up with `derived`."
        raise SetupError(argument, text, "is nested too deeply", mend=mend)
    tree = reader.condition(body) if language.conditions else reader.tree(body)
    return Expression(text, tree, argument)


_EQUALS = re.compile(r"""("[^"]*"|'[^']*')|(?<![=<>!])=(?!=)""")


def _depth(body: ast.expr) -> int:
    deepest = 0
    pending: list[tuple[ast.AST, int]] = [(body, 1)]
    while pending:
        node, depth = pending.pop()
        deepest = max(deepest, depth)
        pending += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return deepest


_BINARY = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
_SIGNS_OF_NODES = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_COMPARISONS = {"<": "less", "<=": "less_equal", "==": "equal", "!=": "not_equal"}
_MIRRORED = {">": "less", ">=": "less_equal"}

RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
"""The comparisons of conditions."""


class _Reader:
    """Turns allowed nodes into trees and refuses the others."""

    def __init__(self, text: str, argument: str, language: Language) -> None:
        self._text = text
        self._argument = argument
        self._language = language

    def tree(self, node: ast.expr) -> Tree:
        """The tree of an arithmetic expression."""
        match node:
            case ast.Constant(value=bool() | complex() | str() | bytes()):
                raise self._refusal(node, "is not a real number")
            case ast.Constant(value=int() | float() as value):
                return ("number", self._number(node, value))
            case ast.Name(id=name):
                return ("field", name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _power_as_numpy((_BINARY[type(op)], self.tree(left), self.tree(right)))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.tree(operand)
                # -0.0 stays an operation: as a constant it would be taken for 0.0.
                if inner[0] == "number" and inner[1] != 0:
                    return ("number", -inner[1])
                return ("negative", inner)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.tree(operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                sign, a, b = self._sign(node, op), self.tree(left), self.tree(right)
                return (_MIRRORED[sign], b, a) if sign in _MIRRORED else (_COMPARISONS[sign], a, b)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                self._check_call(node, name, arguments)
                return (name, *(self.tree(a) for a in arguments))
        raise self._refusal(node, f"is not allowed in {self._language.noun}")

    def condition(self, node: ast.expr) -> Tree:
        """The tree of a condition on recorded names."""
        match node:
            case ast.BoolOp(op=op, values=values):
                return ("and" if isinstance(op, ast.And) else "or", *map(self.condition, values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ("not", self.condition(operand))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                term = self._term(left)
                if len(term) > 2:
                    raise self._refusal(left, "is a condition and cannot be compared")
                return (self._sign(node, op), term, self._value(right))
            case ast.Compare():
                raise self._refusal(node, "compares more than two values")
        return self._term(node)

    def _term(self, node: ast.expr) -> Tree:
        """A name, or a function of one; further arguments are values."""
        match node:
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                self._check_call(node, name, arguments)
                first, *values = arguments
                return (name, self._name(first), *map(self._value, values))
        return self._name(node)

    def _name(self, node: ast.expr) -> Tree:
        name = node.value if isinstance(node, ast.Constant) else _dotted(node)
        if not isinstance(name, str) or not name:
            raise self._refusal(node, "is not a name")
        return ("field", normal_form(name))

    def _value(self, node: ast.expr) -> Tree:
        match node:
            case ast.Constant(value=bool() as value):
                return ("word", "yes" if value else "no")
            case ast.Constant(value=int() | float() as value):
                return ("number", self._number(node, value))
            case ast.Constant(value=str() as text):
                return ("text", text)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
                kind, value = self._value(operand)
                if kind == "number":
                    return ("number", -value if isinstance(sign, ast.USub) else value)
                if value in ("inf", "nan"):
                    return ("word", f"-{value}" if isinstance(sign, ast.USub) else value)
        if word := _dotted(node):
            return ("word", word)
        raise self._refusal(node, "is not a number, a word or a text in quotes")

    def _sign(self, node: ast.expr, op: ast.cmpop) -> str:
        if type(op) not in _SIGNS_OF_NODES:
            raise self._refusal(node, "is not a comparison of values")
        return _SIGNS_OF_NODES[type(op)]

    def _number(self, node: ast.expr, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._refusal(node, "is too large for a float64")
        return number

    def _check_call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> None:
        functions = self._language.functions
        if name not in functions:
            problem = f"calls {name!r}, which is no function here"
            raise self._refusal(node, problem, functions)
        if len(arguments) != functions[name]:
            problem = f"gives {name} {len(arguments)} arguments, not {functions[name]}"
            raise self._refusal(node, problem)

    def _refusal(
        self, node: ast.expr, problem: str = "", choices: Iterable[str] = ()
    ) -> SetupError:
        part = ast.get_source_segment(self._text, node) or self._text
        problem = problem or f"is not allowed in {self._language.noun}"
        return self._error(f"{part!r} {problem}", node, choices)

    def unreadable(self, error: SyntaxError | ValueError) -> SetupError:
        """The error of a text that Python cannot read: where, why, and what to write."""
        text, offset = self._text, getattr(error, "offset", None)
        if not isinstance(error, SyntaxError) or offset is None:
            why = error.msg if isinstance(error, SyntaxError) else "not every character is text"
            return self._error(f"cannot be read: {why}", None)
        before = text.splitlines(keepends=True)[: (error.lineno or 1) - 1]
        # Python says 0 where the text ends too early.
        place = sum(map(len, before)) + offset - 1 if offset else len(text)
        rest = text[place:].split("\n")[0][:20]
        where = f"at character {place + 1}, {rest!r}" if rest else "at its end"
        # What follows the first sentence are guesses about programs.
        return self._error(f"cannot be read {where}: {error.msg.partition('. ')[0]}", place)

    def _error(
        self, problem: str, at: ast.expr | int | None, functions: Iterable[str] = ()
    ) -> SetupError:
        """The error of a node, or of a place in the text."""
        language = self._language
        if language.conditions:
            mend = _mend_of_condition(self._text, at, language)
        elif isinstance(at, int):
            mend = _mend_of_text(self._text, at)
        else:
            mend = _mend_of_node(at) if at else ""
        choices = functions or (*language.choices, *language.functions)
        return SetupError(self._argument, self._text, problem, choices=choices, mend=mend)


def _power_as_numpy(tree: Tree) -> Tree:
    """NumPy raises to these powers by multiplication, reciprocal and square root."""
    match tree:
        case ("power", base, ("number", 2.0)):
            return ("square", base)
        case ("power", base, ("number", 1.0)):
            return base  # type: ignore[no-any-return]
        case ("power", base, ("number", 0.5)):
            return ("sqrt", base)
        case ("power", base, ("number", -1.0)):
            return ("divide", ("number", 1.0), base)
    return tree


def _dotted(node: ast.expr) -> str:
    """The name that a node is, such as ``rho.min``; empty if it is none."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            front = _dotted(value)
            return f"{front}.{attribute}" if front else ""
    return ""


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

    def resolved(source: Expression, tree: Tree, within: tuple[str, ...]) -> Tree:
        if tree[0] != "field":
            parts = (resolved(source, p, within) if isinstance(p, tuple) else p for p in tree[1:])
            return (tree[0], *parts)
        name = tree[1]
        if name in derived:
            inner = derived[name]
            if name in within:
                circle = " -> ".join((*within[within.index(name) :], name))
                raise SetupError(inner.argument, inner.text, f"refers to itself: {circle}")
            return resolved(inner, inner.tree, (*within, name))
        if name in fields:
            return tree
        if name in CONSTANTS:
            return ("number", CONSTANTS[name])
        raise SetupError(
            source.argument,
            source.text,
            f"{name!r} is neither a field nor a derived quantity",
            choices=sorted(fields | derived.keys()),
            mend=f"Give {name!r} in `fields`, or define it in `derived`.",
        )

    try:
        return resolved(expression, expression.tree, ())
    except RecursionError:
        problem = "is nested too deeply, with what it is derived from"
        raise SetupError(expression.argument, expression.text, problem) from None


# What to write instead of what is refused.
#
# Other languages spell much otherwise: a mend is worked out from the node that is not allowed, or
# from the place where the text cannot be read.

_OTHER_NAMES: Mapping[str, str] = {
    "max": "maximum", "min": "minimum", "fmax": "maximum", "fmin": "minimum", "fabs": "abs",
    "absolute": "abs", "ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "atan2": "arctan2", "sgn": "sign", "ceiling": "ceil", "merge": "where",
}  # fmt: skip
"""Functions under the names that they have elsewhere."""

_EACH_CELL = (
    "An expression is evaluated in each cell: sums over the cells are what conserved= is for, "
    "norms and maxima norms=."
)
_NEIGHBOURS = "Neighbouring cells are read by Divergence, TotalVariation and Enstrophy alone."
_POWER = "Write a**b for a power."
_PRODUCT = "Write * between factors: 2*x."
_MINUS = "Write the minus sign of the keyboard, -."
_WHERE = "Write where(condition, a, b)."
_COMPLEX = "A complex field psi is two fields here, psi_re and psi_im."
_TRUTH = "a comparison is 1 or 0"

_ABSENT_FUNCTIONS: Mapping[str, str] = {
    "pow": _POWER,
    "power": _POWER,
    "cbrt": "Write sign(x)*abs(x)**(1/3).",
    "exp2": "Write 2**x.",
    "log2": "Write log(x)/log(2).",
    "mod": "Write a - b*floor(a/b).",
    "fmod": "Write a - b*floor(a/b).",
    "clip": "Write minimum(maximum(x, low), high).",
    "isnan": "Write x != x.",
    **dict.fromkeys(("real", "imag", "conj"), _COMPLEX),
    **dict.fromkeys(("sum", "mean", "average", "norm", "std", "any", "all"), _EACH_CELL),
    **dict.fromkeys(("gradient", "grad", "diff", "roll", "div", "curl", "laplacian"), _NEIGHBOURS),
}

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
    "<>": "Write != for `not equal`.",
    "&": f"Write (a < b)*(c < d) for `and`: {_TRUTH}.",
    "|": f"Write abs(x), or maximum(a < b, c < d) for `or`: {_TRUTH}.",
    "?": _WHERE,
    ":": _WHERE,
    "!": "Write != for `not equal`, and 1 - (a < b) for `not`.",
    "=": "Write == to compare.",
    ";": "Write one expression; names for others go into derived=.",
    "²": "Write **2.",
    "³": "Write **3.",
    "√": "Write sqrt(x).",
    "≤": "Write <=.",
    "≥": "Write >=.",
    "≠": "Write !=.",
    **dict.fromkeys("×∙⋅", "Write *."),
    "÷": "Write /.",
    **dict.fromkeys("−–", _MINUS),
}

_OF_PYTHON = frozenset({"and", "or", "not", "if", "else", "is", "in"})
"""Words between the parts of an expression of Python's, which may be meant so."""

_WORD = re.compile(r"[^\W\d]\w*")
_NUMBER_AND_NAME = re.compile(r"(?<![\w.])[\d.]+\s*(?![eE](?:[\d+-]|\Z))(?=[^\W\d_])")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


def _mend_of_condition(text: str, at: ast.expr | int | None, language: Language) -> str:
    bare = _QUOTED.sub("", text)
    for sign, mend in (
        ("~", "Write glob(name, 'kh*') to match * and ?, and == for equal texts."),
        ("&", "Write `and` between conditions."),
        ("|", "Write `or` between conditions."),
    ):
        if sign in bare:
            return mend
    match at:
        case ast.Compare(ops=[_, _, *_]):
            return f"Write {' and '.join(_pairs(at))}."
        case ast.Call(func=ast.Name(id=name)) if name not in language.functions:
            if close := get_close_matches(name, language.functions, 1):
                return f"Did you mean {close[0]}?"
    return f"Write it as in {language.example}, and in quotes what is not an identifier."


def _mend_of_text(text: str, place: int) -> str:
    """What to write instead, in an expression that cannot be read from `place` on."""
    if word := _keyword(text, place):
        return _another_name(word)
    rest, before = text[place:], text[:place].rstrip()
    for sign, mend in _SIGNS.items():
        if rest.startswith(sign):
            return mend
    ends = before[-1:].isalnum() or before.endswith((")", "_"))
    begins = rest[:1].isalnum() or rest.startswith(("(", "_"))
    for mend, needed in (
        (_WHERE, " if " in text),
        (_PRODUCT, _NUMBER_AND_NAME.match(text, place) or (ends and begins)),
        ("Write it on one line, or in parentheses.", "\n" in text),
        ("Close each parenthesis that is opened.", text.count("(") != text.count(")")),
    ):
        if needed:
            return mend
    return f"Write it as in {ARITHMETIC.example}."


def _keyword(text: str, place: int) -> str:
    """The word in `text` that is Python's and can be no name; empty if there is none."""
    words = [normal_form(word) for word in _WORD.findall(text)]
    reserved = [word for word in words if iskeyword(word) and word not in _OF_PYTHON]
    here = _WORD.match(text, place)
    if not reserved and here and iskeyword(here.group()):
        return here.group()
    return reserved[0] if reserved else ""


def _another_name(word: str) -> str:
    return (
        f"{word!r} is a word of Python's and no name: give the field another one, "
        f"fields={{{word + '_'!r}: ...}}."
    )


def _mend_of_node(node: ast.expr) -> str:
    """What to write in place of a node that is not allowed; empty where nothing is known."""
    mend = _NODES.get(type(node), "")
    try:
        text = mend if isinstance(mend, str) else mend(node)
    except RecursionError:
        # Python writes trees out by calls within calls.
        return ""
    return text if len(text) <= LONGEST_MEND else ""


def _call(node: ast.Call) -> str:
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
        return "Give the arguments by their places."
    match node.func:
        case ast.Name(id=name):
            pass
        case ast.Attribute(attr=name):
            if name not in FUNCTIONS and not node.args:
                return _EACH_CELL
        case ast.Constant():
            return _PRODUCT
        case _:
            return ""
    name = _OTHER_NAMES.get(name, name)
    if name not in FUNCTIONS:
        close = get_close_matches(name, FUNCTIONS, 1)
        return _ABSENT_FUNCTIONS.get(name, f"Did you mean {close[0]}?" if close else "")
    if FUNCTIONS[name] == 2 and len(node.args) != 2:
        return f"Write {_nested(name, node.args)}." if len(node.args) > 2 else _EACH_CELL
    return f"Write {_written(name, *node.args)}." if len(node.args) == FUNCTIONS[name] else ""


def _boolean(node: ast.BoolOp) -> str:
    if isinstance(node.op, ast.Or):
        return f"Write {_nested('maximum', node.values)}: {_TRUTH}."
    return f"Write {'*'.join(f'({ast.unparse(v)})' for v in node.values)}: {_TRUTH}."


def _comparison(node: ast.Compare) -> str:
    if len(node.ops) == 1:
        return "Write == or !=." if isinstance(node.ops[0], ast.Is | ast.IsNot) else ""
    return f"Write {'*'.join(f'({pair})' for pair in _pairs(node))}: {_TRUTH}."


def _pairs(node: ast.Compare) -> list[str]:
    """A chain of comparisons as its single ones."""
    chain = zip((node.left, *node.comparators), node.ops, node.comparators, strict=False)
    return [ast.unparse(ast.Compare(a, [op], [b])) for a, op, b in chain]


def _constant(node: ast.Constant) -> str:
    match node.value:
        case bool() as value:
            return f"Write {int(value)}."
        case None:
            return _another_name("None")
        case str() | bytes():
            return "Write the names of fields without quotes."
        case complex():
            return _COMPLEX
    return ""


def _written(name: str, *arguments: ast.expr) -> str:
    return f"{name}({', '.join(map(ast.unparse, arguments))})"


def _nested(name: str, arguments: list[ast.expr]) -> str:
    *first, last = map(ast.unparse, arguments)
    for argument in reversed(first):
        last = f"{name}({argument}, {last})"
    return last


_NODES: Mapping[type[ast.expr], str | Callable[[Any], str]] = {
    ast.Call: _call,
    ast.Attribute: lambda node: (
        "Write pi." if node.attr == "pi" else _ABSENT_FUNCTIONS.get(node.attr, "")
    ),
    ast.BinOp: lambda node: _OPERATORS.get(type(node.op), ""),
    ast.BoolOp: _boolean,
    ast.UnaryOp: lambda node: f"Write 1 - ({ast.unparse(node.operand)}): {_TRUTH}.",
    ast.Compare: _comparison,
    ast.IfExp: lambda node: f"Write {_written('where', node.test, node.body, node.orelse)}.",
    ast.Constant: _constant,
    ast.Subscript: "Give what is meant as a field of its own: a view, or Components(array, axis).",
    ast.NamedExpr: "Define it in derived=.",
    ast.Tuple: "Write one expression, and decimals with a point: 0.5.",
    ast.Lambda: _another_name("lambda"),
    ast.Await: _another_name("await"),
}
