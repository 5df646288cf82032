"""From trees to a program of buffer operations, each common part computed once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import frexp

from .expressions import Tree

Leaf = Tree
"""A tree that is read rather than computed: ``("field", name)``, ``("width", axis)``, ..."""

LEAVES = frozenset(
    {
        "field", "high", "low", "width", "even_width", "width_beside", "volume", "shifted", "mask",
        "beside",
    }
)  # fmt: skip


@dataclass
class Program:
    """Operations on numbered buffers: the leaves first, then the constants, then results.

    `operations` are (name, out, first, second, third) with -1 for what is not there.
    """

    leaves: list[Leaf]
    constants: list[float]
    operations: list[tuple[str, int, int, int, int]]
    buffers: int
    outputs: list[int]


@dataclass
class _Lowering:
    leaves: list[Leaf]
    constants: list[float] = field(default_factory=list)
    steps: list[tuple[str, tuple[Tree, ...], Tree]] = field(default_factory=list)
    visited: set[Tree] = field(default_factory=set)

    def visit(self, tree: Tree) -> None:
        if tree in self.visited:
            return
        self.visited.add(tree)
        kind = tree[0]
        if kind in LEAVES:
            if tree not in self.leaves:
                self.leaves.append(tree)
        elif kind == "number":
            self.constants.append(tree[1])
        else:
            for part in tree[1:]:
                self.visit(part)
            self.steps.append((kind, tree[1:], tree))


def lower(trees: Sequence[Tree], first_leaves: Sequence[Leaf] = ()) -> Program:
    """The program that computes `trees`; `first_leaves` get the first buffers.

    Examples
    --------
    >>> a = ("field", "a")
    >>> lower([("multiply", a, a)]).operations
    [('multiply', 1, 0, 0, -1)]
    """
    trees = [_cheaper(tree) for tree in trees]
    lowering = _Lowering(list(first_leaves))
    for tree in trees:
        lowering.visit(tree)
    place: dict[Tree, int] = {leaf: i for i, leaf in enumerate(lowering.leaves)}
    for value in lowering.constants:
        place[("number", value)] = len(place)
    free: list[int] = []
    buffers = len(place)
    uses: dict[Tree, int] = {}
    for _, parts, _ in lowering.steps:
        for part in parts:
            uses[part] = uses.get(part, 0) + 1
    for tree in trees:
        # What is an output must last until the program has ended.
        uses[tree] = uses.get(tree, 0) + len(lowering.steps) + 1
    operations = []
    computed = {tree for _, _, tree in lowering.steps}
    for name, parts, tree in lowering.steps:
        # The result never shares a buffer with an operand: such loops would not vectorize.
        if free:
            place[tree] = free.pop()
        else:
            place[tree] = buffers
            buffers += 1
        first, second, third = ([place[part] for part in parts] + [-1, -1])[:3]
        operations.append((name, place[tree], first, second, third))
        for part in parts:
            uses[part] -= 1
            if uses[part] == 0 and part in computed:
                free.append(place[part])
    return Program(
        lowering.leaves,
        lowering.constants,
        operations,
        buffers,
        [place[tree] for tree in trees],
    )


_FOLDED: Mapping[str, Callable[..., float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "square": lambda x: x * x,
}


def _cheaper(tree: Tree) -> Tree:
    """The same tree with less work, which gives the same bits.

    Arithmetic on numbers is done, and quotients by powers of two are products.
    """
    if tree[0] in LEAVES or tree[0] == "number":
        return tree
    parts = tuple(_cheaper(part) for part in tree[1:])
    if tree[0] in _FOLDED and all(part[0] == "number" for part in parts):
        return ("number", _FOLDED[tree[0]](*(part[1] for part in parts)))
    if tree[0] == "divide" and parts[1][0] == "number":
        mantissa, exponent = frexp(parts[1][1])
        if abs(mantissa) == 0.5 and abs(exponent) < 1000:
            return ("multiply", parts[0], ("number", 1.0 / parts[1][1]))
    return (tree[0], *parts)
