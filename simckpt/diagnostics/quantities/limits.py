"""Time step limits other than the Courant number: diffusion, and any frequency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import isfinite
from typing import Any

from ...errors import SetupError
from ...model.series import Column
from ..expressions import Expression, Tree, parse
from ..given import real_number
from .quantity import Answers, Context, Quantity


def checked_limit(argument: str, limit: Any) -> float | None:
    """The largest that a stability number may be, if anything was said.

    Raises
    ------
    SetupError
        If it is no positive number.
    """
    if limit is None:
        return None
    number = real_number(limit)
    if number is None or not isfinite(number) or number <= 0:
        problem = "is not a positive number that a float64 holds"
        raise SetupError(argument, limit, problem, mend="Write limit=1.0.")
    return number


def up_to(limit: float | None) -> str:
    """The limit as the end of a text."""
    return "" if limit is None else f", limit {limit:g}"


@dataclass(frozen=True)
class Diffusion:
    """The diffusion number: the largest over all cells of ``|dt| * sum_i(nu / dx_i**2)``.

    Forward Euler with central differences is stable up to 1/2 (Hirsch, Numerical Computation of
    Internal and External Flows, 2007, chapter 7).

    Parameters
    ----------
    coefficient : str
        Diffusion coefficient as an expression, in units of width squared over time.
    limit : float, optional
        The largest it may be; comparison and `simckpt show` then tell the margin.

    Examples
    --------
    >>> Diffusion("mu/rho").text()
    'diffusion number of mu/rho'
    """

    coefficient: str
    limit: float | None = None

    def __post_init__(self) -> None:
        parse(self.coefficient, "Diffusion.coefficient")
        object.__setattr__(self, "limit", checked_limit("Diffusion.limit", self.limit))

    def text(self) -> str:
        return f"diffusion number of {self.coefficient}{up_to(self.limit)}"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        if context.axes == 0:
            raise SetupError(argument, self.text(), "needs a grid", mend="Give `grid`.")
        tree = context.tree(Expression(self.coefficient, parse(self.coefficient).tree, argument))
        rates: list[Tree] = [
            ("divide", tree, ("square", context.width(axis, argument)))
            for axis in range(context.axes)
        ]
        return _largest(name, self.coefficient, self, reduce(_plus, rates))


@dataclass(frozen=True)
class Frequency:
    """The largest over all cells of ``|dt| * |omega|``, for any frequency of the user's own.

    Reaction rates, cyclotron and plasma frequencies, or an eigenvalue that bounds a spectrum: the
    size of what must lie in the scheme's region of absolute stability (LeVeque, Finite Difference
    Methods for Ordinary and Partial Differential Equations, 2007, chapter 7).

    Parameters
    ----------
    frequency : str
        An expression, in units of one over time.
    limit : float, optional
        The largest the product may be; comparison and `simckpt show` then tell the margin.

    Examples
    --------
    >>> Frequency("e*abs(B)/m", limit=2).text()
    'dt times frequency e*abs(B)/m, limit 2'
    """

    frequency: str
    limit: float | None = None

    def __post_init__(self) -> None:
        parse(self.frequency, "Frequency.frequency")
        object.__setattr__(self, "limit", checked_limit("Frequency.limit", self.limit))

    def text(self) -> str:
        return f"dt times frequency {self.frequency}{up_to(self.limit)}"

    def plan(self, name: str, context: Context) -> Quantity:
        tree = context.tree(
            Expression(self.frequency, parse(self.frequency).tree, f"stability[{name!r}]")
        )
        return _largest(name, self.frequency, self, ("abs", tree))


def _plus(a: Tree, b: Tree) -> Tree:
    return ("add", a, b)


def _largest(name: str, of: str, asked: Diffusion | Frequency, rate: Tree) -> Quantity:
    def finish(answers: Answers) -> tuple[float, ...]:
        return (abs(answers.dt) * answers.maxima[0],)

    column = Column(name=name, kind="stability", of=of, note=asked.text(), limit=asked.limit)
    return Quantity(name, (column,), finish, maxima=(rate,))
