"""Quantities of neighbouring cells: they read the ghost layers that the driver has filled."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import isnan, nan
from typing import ClassVar

from ...errors import SetupError
from ...model.series import Column
from ..exact import ExactSum, exact_term, rounded
from ..expressions import Expression, Tree, parse, shifted
from .base import Answers, Context, Quantity, SumRequest


@dataclass(frozen=True, init=False)
class Divergence:
    """The divergence error of a vector field, from values interpolated linearly at the faces.

    In each cell ``div = sum_i((u_i[+1/2] - u_i[-1/2]) / dx_i)``, where the value at a face is
    ``u[+1/2] = (dx[+1] u + dx u[+1]) / (dx + dx[+1])``, as in OpenFOAM's Gauss linear scheme. Where
    the cells of a level are of one width along an axis that is a central difference,
    ``(u_i[+1] - u_i[-1]) / (2 dx_i)``, and is computed as such. Its columns are ``NAME.max``,
    the largest ``|div|``; ``NAME.local``, the mean of ``|div|`` over the volume;
    ``NAME.mean``, the mean of ``div``; and ``NAME.cumulative``, the exact sum of ``dt * mean``
    over the samples of the job attempt so far, rounded once. Times dt the second and third are
    OpenFOAM's local and global continuity errors, and the last is its cumulative one where every
    step is sampled. A sample without dt, such as the initial condition, adds nothing to it.

    Where a mask leaves out a neighbour of a cell, the cell is left out of all of these; they are
    NaN where no cell is left.

    Parameters
    ----------
    *components : str
        Expressions, one an axis: ``Divergence("mx/rho", "my/rho")``. The fields need a ghost
        layer on both sides.
    """

    group: ClassVar[str] = "stability"

    components: tuple[str, ...]

    def __init__(self, *components: str) -> None:
        for axis, component in enumerate(components):
            parse(component, f"Divergence component {axis}")
        object.__setattr__(self, "components", components)

    def text(self) -> str:
        return f"divergence of ({', '.join(self.components)})"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        if context.axes == 0:
            raise SetupError(argument, self.text(), "needs a grid", mend="Give `grid`.")
        if len(self.components) != context.axes:
            raise SetupError(
                argument, self.components, f"has not one component for each of {context.axes} axes"
            )
        terms: list[Tree] = []
        for axis, component in enumerate(self.components):
            tree = _stencil(argument, component, axis, context)
            rise = _central if context.even[axis] else _between_faces
            terms.append(rise(argument, tree, axis, context))
        divergence = reduce(_plus, terms)
        counted: Tree = ("number", 1.0)
        if context.masked:
            sides = [("beside", axis, side) for axis in range(context.axes) for side in (1, -1)]
            counted = reduce(lambda a, b: ("multiply", a, b), sides)
            divergence = ("where", counted, divergence, ("number", 0.0))
        size = ("abs", divergence)
        of, text = ", ".join(self.components), self.text()
        return Quantity(
            name,
            tuple(
                Column(
                    name=f"{name}.{what}",
                    kind="stability",
                    of=of,
                    exact=what != "cumulative",
                    note=f"{note}, {text}",
                )
                for what, note in (
                    ("max", "largest size"),
                    ("local", "mean size"),
                    ("mean", "mean"),
                    ("cumulative", "dt times mean, summed over the job attempt's samples"),
                )
            ),
            _divergence_columns,
            sums=(SumRequest(size), SumRequest(divergence), SumRequest(counted)),
            maxima=(size,),
            carry=_cumulated,
        )


@dataclass(frozen=True)
class TotalVariation:
    """The total variation of a field: ``sum over axes and faces of |f[+1] - f| * face area``.

    In one dimension that is the sum of the jumps (Harten 1983). A face is counted with the cell
    below it, so once over all ranks; the uppermost faces see the driver's ghost cells. Where there
    is a mask, a face counts if both of its cells do.

    Parameters
    ----------
    field : str
        Name of the field, or an expression: ``"p/rho"``. The fields need a ghost layer on both
        sides.
    """

    group: ClassVar[str] = "stability"

    field: str

    def __post_init__(self) -> None:
        parse(self.field, "TotalVariation.field")

    def text(self) -> str:
        return f"total variation of {self.field}"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        terms: list[Tree] = []
        for axis in range(context.axes):
            tree = _stencil(argument, self.field, axis, context)
            jump: Tree = ("abs", ("subtract", shifted(tree, axis, 1), tree))
            if context.masked:
                jump = ("where", ("beside", axis, 1), jump, ("number", 0.0))
            terms.append(("divide", jump, context.width(axis, argument)))
        if not terms:
            raise SetupError(argument, self.text(), "needs a grid", mend="Give `grid`.")
        return Quantity(
            name,
            (Column(name=name, kind="stability", of=self.field, note=self.text()),),
            lambda answers: (answers.sums[0].rounded,),
            sums=(SumRequest(reduce(_plus, terms)),),
        )


def _stencil(argument: str, expression: str, axis: int, context: Context) -> Tree:
    """The tree of an expression whose neighbours along `axis` can be read."""
    tree = context.tree(Expression(expression, parse(expression).tree, argument))
    if context.ghosts[axis] < 1:
        raise SetupError(
            argument,
            expression,
            f"needs a ghost layer on both sides of axis {axis}",
            mend="Give the fields with their ghost layers, and Grid.ghost.",
        )
    if not context.masks_ghosts:
        raise SetupError(
            argument,
            "Grid.where",
            "does not tell which ghost cells count, and these belong to other boxes",
            mend="Give Grid.where with the ghost layers that the fields have.",
        )
    return tree


def _central(argument: str, tree: Tree, axis: int, context: Context) -> Tree:
    """The derivative along an axis whose cells are of one width."""
    width: Tree = ("even_width", context.width(axis, argument)[1])
    rise = ("subtract", shifted(tree, axis, 1), shifted(tree, axis, -1))
    return ("divide", rise, _plus(width, width))


def _between_faces(argument: str, tree: Tree, axis: int, context: Context) -> Tree:
    """The derivative along an axis of any widths: the values at the faces are interpolated."""
    width = context.width(axis, argument)
    if not context.beside[axis]:
        raise SetupError(
            argument,
            f"Grid.spacing[{axis}]",
            "does not tell the widths of the cells beside this rank's",
            mend="Give the widths of all cells of the axis on every rank.",
        )

    def face(side: int) -> Tree:
        beside: Tree = ("width_beside", axis, side)
        here, there = ("multiply", beside, tree), ("multiply", width, shifted(tree, axis, side))
        return ("divide", _plus(here, there), _plus(width, beside))

    return ("divide", ("subtract", face(1), face(-1)), width)


def _plus(a: Tree, b: Tree) -> Tree:
    return ("add", a, b)


def _divergence_columns(answers: Answers) -> tuple[float, ...]:
    largest = answers.maxima[0] if answers.sums[2].value else nan
    return (largest, *_means(answers), _cumulated(answers, sound=True).rounded)


def _means(answers: Answers) -> tuple[float, float]:
    size, signed, volume = answers.sums
    if not volume.value:
        return nan, nan
    local, mean = (
        rounded(s.value / volume.value) if s.finite else s.rounded for s in (size, signed)
    )
    return local, mean


def _cumulated(answers: Answers, sound: bool) -> ExactSum:
    """The sum over the samples so far; one that is not sound, or has no dt, adds nothing."""
    past: ExactSum = answers.past or ExactSum(Fraction(0))
    if not sound or isnan(answers.dt):
        return past
    if not answers.sums[2].value:
        return past
    return past + exact_term(answers.dt * _means(answers)[1])
