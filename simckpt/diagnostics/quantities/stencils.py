"""Quantities of neighbouring cells: they read the ghost layers that the driver has filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isnan, nan
from typing import ClassVar

from ...errors import SetupError
from ...model.series import Column
from ..exact import ExactSum, exact_term, rounded
from ..expressions import Tree, parse, shifted
from .base import Answers, Context, Quantity, SumRequest, first_sum, join


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
    NaN where no cell remains.

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
        context.require_grid(argument, self)
        check_components(argument, self.components, context)
        divergence = where_neighbours_count(
            context,
            join(
                "add",
                [
                    derivative(argument, component, axis, context)
                    for axis, component in enumerate(self.components)
                ],
            ),
        )
        counted = where_neighbours_count(context, ("number", 1.0))
        size = ("abs", divergence)
        of = ", ".join(self.components)
        return Quantity(
            name,
            tuple(
                Column(
                    name=f"{name}.{part}",
                    kind="stability",
                    of=of,
                    exact=part != "cumulative",
                    note=f"{note}, {self.text()}",
                )
                for part, note in (
                    ("max", "largest size"),
                    ("local", "mean size"),
                    ("mean", "mean"),
                    ("cumulative", "dt times mean, summed over the job attempt's samples"),
                )
            ),
            _divergence_columns,
            sums=(SumRequest(size), SumRequest(divergence), SumRequest(counted)),
            maxima=(size,),
            carry=_cumulative,
        )


def _divergence_columns(answers: Answers) -> tuple[float, ...]:
    largest = answers.maxima[0] if answers.sums[2].value else nan
    return (largest, *_means(answers), _cumulative(answers, sound=True).rounded)


def _means(answers: Answers) -> tuple[float, float]:
    size, signed, volume = answers.sums
    if not volume.value:
        return nan, nan
    local, mean = (
        rounded(s.value / volume.value) if s.finite else s.rounded for s in (size, signed)
    )
    return local, mean


def _cumulative(answers: Answers, sound: bool) -> ExactSum:
    """The sum over the samples so far; one that is not sound, or has no dt, adds nothing."""
    previous: ExactSum = answers.previous or ExactSum(Fraction(0))
    if not sound or isnan(answers.dt) or not answers.sums[2].value:
        return previous
    return previous + exact_term(answers.dt * _means(answers)[1])


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
        context.require_grid(argument, self)
        terms: list[Tree] = []
        for axis in range(context.axes):
            tree = _with_neighbours(argument, self.field, axis, context)
            jump: Tree = ("abs", ("subtract", shifted(tree, axis, 1), tree))
            if context.masked:
                jump = ("where", ("beside", axis, 1), jump, ("number", 0.0))
            terms.append(("divide", jump, context.width(axis, argument)))
        column = Column(name=name, kind="stability", of=self.field, note=self.text())
        return Quantity(name, (column,), first_sum, sums=(SumRequest(join("add", terms)),))


def check_components(argument: str, components: Sequence[str], context: Context) -> None:
    """SetupError if a vector field has not one component for each axis."""
    if len(components) != context.axes:
        problem = f"has not one component for each of {context.axes} axes"
        raise SetupError(argument, components, problem)


def derivative(argument: str, expression: str, axis: int, context: Context) -> Tree:
    """The tree of the derivative of an expression along an axis, of second order.

    The difference of the values at a cell's faces over its width; those are interpolated linearly.
    On cells of one width it is a central difference, and computed as such.
    """
    tree = _with_neighbours(argument, expression, axis, context)
    width = context.width(axis, argument)
    if context.even[axis]:
        even: Tree = ("even_width", width[1])
        rise = ("subtract", shifted(tree, axis, 1), shifted(tree, axis, -1))
        return ("divide", rise, ("add", even, even))
    if not context.neighbour_widths[axis]:
        raise SetupError(
            argument,
            f"Grid.spacing[{axis}]",
            "does not tell the widths of the cells beside this rank's",
            mend="Give the widths of all cells of the axis on every rank.",
        )

    def face(side: int) -> Tree:
        neighbour: Tree = ("width_beside", axis, side)
        weighted = (
            "add",
            ("multiply", neighbour, tree),
            ("multiply", width, shifted(tree, axis, side)),
        )
        return ("divide", weighted, ("add", width, neighbour))

    return ("divide", ("subtract", face(1), face(-1)), width)


def where_neighbours_count(context: Context, tree: Tree) -> Tree:
    """`tree` in the cells whose neighbours along all axes count, and 0 in the others."""
    if not context.masked:
        return tree
    sides: list[Tree] = [("beside", axis, side) for axis in range(context.axes) for side in (1, -1)]
    return ("where", join("multiply", sides), tree, ("number", 0.0))


def _with_neighbours(argument: str, expression: str, axis: int, context: Context) -> Tree:
    """The tree of an expression whose neighbours along `axis` can be read."""
    tree = context.parse(expression, argument)
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
