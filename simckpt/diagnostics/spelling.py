"""What other languages spell otherwise than expressions do, and how it is written here.

An expression that is refused comes with a mend; this is where it is worked out, from a node that
is not allowed or from the place where the text cannot be read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from keyword import iskeyword
from unicodedata import normalize

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
