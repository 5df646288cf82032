"""Norms of fields and of differences, from exact sums."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, ldexp, sqrt
from typing import Literal, get_args

from ...errors import SetupError
from ...model.series import Column
from ..exact import rounded
from ..expressions import Expression, parse
from .quantity import Answers, Context, Quantity, SumRequest

Kind = Literal["L1", "L2", "Linf", "RMS"]

_FORMULAS = {
    "L1": "sum(|f| V)",
    "L2": "sqrt(sum(f^2 V))",
    "Linf": "max |f|",
    "RMS": "sqrt(sum(f^2 V) / sum(V))",
}


@dataclass(frozen=True)
class Norm:
    """A norm of an expression over the volume.

    With cell volumes V: L1 is ``sum(|f| V)``, L2 ``sqrt(sum(f**2 V))``, Linf ``max |f|`` and RMS
    ``sqrt(sum(f**2 V) / sum(V))``. The sums are exact and rounded once before the square root, so
    a norm has the same bits for every decomposition. The squares are float64 like every expression:
    L2 and RMS of values past 1.3e154 in size are infinite, and squares below 1e-308 lose bits. With
    V the volume these are the norms of grid functions of LeVeque, Finite Difference Methods for
    Ordinary and Partial Differential Equations, 2007, appendix A.

    Parameters
    ----------
    expression : str
        Arithmetic on field names, such as ``"p - p_exact"``.
    kind : {"L1", "L2", "Linf", "RMS"}
        Which norm.

    Examples
    --------
    >>> Norm("p - p_exact", "RMS").text()
    'RMS norm of p - p_exact'
    """

    expression: str
    kind: Kind = "L2"

    def __post_init__(self) -> None:
        parse(self.expression, "Norm.expression")
        if self.kind not in get_args(Kind):
            raise SetupError("Norm.kind", self.kind, "is not a choice", choices=get_args(Kind))

    def text(self) -> str:
        return f"{self.kind} norm of {self.expression}"

    def plan(self, name: str, context: Context) -> Quantity:
        tree = context.tree(
            Expression(self.expression, parse(self.expression).tree, f"norms[{name!r}]")
        )
        column = Column(
            name=name, kind="norm", of=self.expression, note=f"{_FORMULAS[self.kind]}, f = "
            f"{self.expression}"
        )  # fmt: skip
        if self.kind == "Linf":
            return Quantity(
                name, (column,), lambda answers: (answers.maxima[0],), maxima=(("abs", tree),)
            )
        term = ("abs", tree) if self.kind == "L1" else ("square", tree)
        sums = [SumRequest(term)]
        if self.kind == "RMS":
            sums.append(SumRequest(("number", 1.0)))
        finish = {"L1": _plain, "L2": _root, "RMS": _mean_root}[self.kind]
        return Quantity(name, (column,), finish, sums=tuple(sums))


def _plain(answers: Answers) -> tuple[float, ...]:
    return (answers.sums[0].rounded,)


def _root(answers: Answers) -> tuple[float, ...]:
    squares = answers.sums[0]
    return (_square_root(squares.value) if squares.finite else sqrt(squares.rounded),)


def _square_root(value: Fraction) -> float:
    """The root of the rounded value, also where that is past the largest float64."""
    nearest = rounded(value)
    return sqrt(nearest) if isfinite(nearest) else ldexp(sqrt(rounded(value / 4**512)), 512)


def _mean_root(answers: Answers) -> tuple[float, ...]:
    squares, volume = answers.sums
    if not squares.finite:
        return (sqrt(squares.rounded),)
    return (_square_root(squares.value / volume.value) if volume.value else inf - inf,)
