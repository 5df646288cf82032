"""Time step limits other than the Courant number: diffusion, and any frequency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from ...errors import SetupError
from ...model.series import Column
from ..expressions import Expression, Tree, parse
from .quantity import Answers, Context, Quantity


@dataclass(frozen=True)
class Diffusion:
    """The diffusion number: the largest over all cells of ``dt * sum_i(nu / dx_i**2)``.

    Forward Euler with central differences is stable up to 1/2 (Hirsch 2007, section 8.3).

    Parameters
    ----------
    coefficient : str
        Diffusion coefficient as an expression, in units of width squared over time.

    Examples
    --------
    >>> Diffusion("mu/rho").text()
    'diffusion number of mu/rho'
    """

    coefficient: str

    def __post_init__(self) -> None:
        parse(self.coefficient, "Diffusion.coefficient")

    def text(self) -> str:
        return f"diffusion number of {self.coefficient}"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        if context.axes == 0:
            raise SetupError(argument, self.text(), "needs a grid", mend="Give `grid`.")
        tree = context.tree(Expression(self.coefficient, parse(self.coefficient).tree, argument))
        rates: list[Tree] = [
            ("divide", tree, ("square", context.width(axis, argument)))
            for axis in range(context.axes)
        ]
        return _largest(name, self.coefficient, self.text(), reduce(_plus, rates))


@dataclass(frozen=True)
class Frequency:
    """The largest over all cells of ``dt * |omega|``, for any frequency of the user's own.

    Reaction rates, cyclotron and plasma frequencies, or an eigenvalue that bounds a spectrum: the
    share of the scheme's stability limit that a step uses.

    Parameters
    ----------
    frequency : str
        An expression, in units of one over time.
    """

    frequency: str

    def __post_init__(self) -> None:
        parse(self.frequency, "Frequency.frequency")

    def text(self) -> str:
        return f"dt times frequency {self.frequency}"

    def plan(self, name: str, context: Context) -> Quantity:
        tree = context.tree(
            Expression(self.frequency, parse(self.frequency).tree, f"stability[{name!r}]")
        )
        return _largest(name, self.frequency, self.text(), ("abs", tree))


def _plus(a: Tree, b: Tree) -> Tree:
    return ("add", a, b)


def _largest(name: str, of: str, note: str, rate: Tree) -> Quantity:
    def finish(answers: Answers) -> tuple[float, ...]:
        return (answers.dt * answers.maxima[0],)

    column = Column(name=name, kind="stability", of=of, note=note)
    return Quantity(name, (column,), finish, maxima=(rate,))
