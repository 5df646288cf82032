"""Quantities of neighbouring cells: they read the ghost layers that the driver has filled."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import isnan

from ..errors import SetupError
from ..model.series import Column
from .exact import rounded
from .expressions import Tree
from .quantity import (
    Answers,
    Context,
    ExactSum,
    Quantity,
    SumRequest,
    checked_name,
    exact_term,
)


@dataclass(frozen=True, init=False)
class Divergence:
    """The divergence error of a vector field, by central differences on a uniform grid.

    In each cell ``div = sum_i((u_i[+1] - u_i[-1]) / (2 dx_i))``. Its columns are ``NAME.max``,
    the largest ``|div|``; ``NAME.local``, the mean of ``|div|`` over the volume;
    ``NAME.mean``, the mean of ``div``; and ``NAME.cumulative``, the exact sum of ``dt * mean``
    over the samples of the job attempt so far, rounded once. Times dt the second and third are
    OpenFOAM's local and global continuity errors, and the last is its cumulative one where every
    step is sampled. A sample without dt, such as the initial condition, adds nothing to it.

    Parameters
    ----------
    *components : str
        Names of the fields, one an axis; each needs a ghost layer on both sides.
    """

    components: tuple[str, ...]

    def __init__(self, *components: str) -> None:
        for component in components:
            checked_name("Divergence", component)
        object.__setattr__(self, "components", components)

    def text(self) -> str:
        return f"divergence of ({', '.join(self.components)})"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        if len(self.components) != context.axes:
            raise SetupError(
                argument, self.components, f"has not one component for each of {context.axes} axes"
            )
        terms: list[Tree] = []
        for axis, component in enumerate(self.components):
            _check(argument, component, axis, context)
            rise = ("subtract", ("shifted", component, axis, 1), ("shifted", component, axis, -1))
            terms.append(("divide", rise, ("number", 2.0 * _uniform(argument, axis, context))))
        divergence = reduce(_plus, terms)
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
            sums=(SumRequest(size), SumRequest(divergence), SumRequest(("number", 1.0))),
            maxima=(size,),
            carry=_cumulated,
        )


@dataclass(frozen=True)
class TotalVariation:
    """The total variation of a field: ``sum over axes and faces of |f[+1] - f| * face area``.

    In one dimension that is the sum of the jumps (Harten 1983). A face is counted with the cell
    below it, so once over all ranks; the uppermost faces see the driver's ghost cells.

    Parameters
    ----------
    field : str
        Name of the field; it needs a ghost layer on both sides.
    """

    field: str

    def __post_init__(self) -> None:
        checked_name("TotalVariation.field", self.field)

    def text(self) -> str:
        return f"total variation of {self.field}"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        terms: list[Tree] = []
        for axis in range(context.axes):
            _check(argument, self.field, axis, context)
            jump = ("abs", ("subtract", ("shifted", self.field, axis, 1), ("field", self.field)))
            terms.append(("divide", jump, ("number", _uniform(argument, axis, context))))
        if not terms:
            raise SetupError(argument, self.text(), "needs a grid", mend="Give `grid`.")
        return Quantity(
            name,
            (Column(name=name, kind="stability", of=self.field, note=self.text()),),
            lambda answers: (answers.sums[0].rounded,),
            sums=(SumRequest(reduce(_plus, terms)),),
        )


def _check(argument: str, field: str, axis: int, context: Context) -> None:
    if field not in context.fields:
        raise SetupError(argument, field, "is not a field", choices=sorted(context.fields))
    if context.ghosts[axis] < 1:
        raise SetupError(
            argument,
            field,
            f"needs a ghost layer on both sides of axis {axis}",
            mend="Give the fields with their ghost layers, and Grid.ghost.",
        )


def _uniform(argument: str, axis: int, context: Context) -> float:
    width = context.widths[axis]
    if width is None:
        raise SetupError(argument, None, f"needs cells of one width along axis {axis}")
    return width


def _plus(a: Tree, b: Tree) -> Tree:
    return ("add", a, b)


def _divergence_columns(answers: Answers) -> tuple[float, ...]:
    return (answers.maxima[0], *_means(answers), _cumulated(answers, sound=True).rounded)


def _means(answers: Answers) -> tuple[float, float]:
    size, signed, volume = answers.sums
    local, mean = (
        rounded(s.value / volume.value) if s.finite and volume.value else s.rounded * 1.0
        for s in (size, signed)
    )
    return local, mean


def _cumulated(answers: Answers, sound: bool) -> ExactSum:
    """The sum over the samples so far; one that is not sound, or has no dt, adds nothing."""
    past: ExactSum = answers.past or ExactSum(Fraction(0))
    if not sound or isnan(answers.dt):
        return past
    term = answers.dt * _means(answers)[1]
    return past + exact_term(term)
