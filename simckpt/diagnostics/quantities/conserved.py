"""Conserved integrals: exact, and the same bits for every decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import SetupError
from ...model.series import Column
from ..expressions import Expression, parse
from .quantity import Answers, Context, Quantity, SumRequest, Weight

Monotone = Literal["", "increasing", "decreasing"]


@dataclass(frozen=True)
class Conserved:
    """The integral of an expression over the volume.

    The value is the exact sum over all cells of expression times cell volume, rounded once to
    the nearest float64. The expression itself is evaluated in float64 in each cell. It is this sum
    that a scheme in conservation form keeps but for what passes the boundary (LeVeque, Finite
    Volume Methods for Hyperbolic Problems, 2002, chapter 4). It is added up in a fixed-point
    accumulator of all exponents (Kulisch and Miranker, The Arithmetic of the Digital Computer: A
    New Approach, 1986; Neal, Fast Exact Summation Using Small and Large Superaccumulators, 2015,
    arXiv:1505.05571).

    Parameters
    ----------
    expression : str
        Arithmetic on field names.
    monotone : {"", "increasing", "decreasing"}
        For entropy-like quantities: the direction in which alone it may change.
    weight : {"volume", "one"}
        Integrate over the volume, or add up plain cell values.

    Examples
    --------
    >>> Conserved("rho").text()
    'integral of rho'
    """

    expression: str
    monotone: Monotone = ""
    weight: Weight = "volume"

    def __post_init__(self) -> None:
        parse(self.expression, "Conserved.expression")
        if self.monotone not in get_args(Monotone):
            raise SetupError(
                "Conserved.monotone",
                self.monotone,
                "is not a choice",
                choices=map(repr, get_args(Monotone)),
            )
        if self.weight not in get_args(Weight):
            raise SetupError(
                "Conserved.weight",
                self.weight,
                "is not a choice",
                choices=map(repr, get_args(Weight)),
            )

    def text(self) -> str:
        kind = "integral" if self.weight == "volume" else "sum"
        return f"{kind} of {self.expression}" + (f", {self.monotone}" if self.monotone else "")

    def plan(self, name: str, context: Context) -> Quantity:
        expression = Expression(
            self.expression, parse(self.expression).tree, f"conserved[{name!r}]"
        )
        column = Column(
            name=name,
            kind="conserved",
            of=self.expression,
            monotone=self.monotone,
            note=f"exact {self.text()}, correctly rounded",
        )
        return Quantity(
            name=name,
            columns=(column,),
            sums=(SumRequest(context.tree(expression), self.weight),),
            finish=_only_sum,
        )


def _only_sum(answers: Answers) -> tuple[float, ...]:
    return (answers.sums[0].rounded,)
