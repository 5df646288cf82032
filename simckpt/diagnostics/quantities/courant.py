"""Courant numbers: how far a signal travels in one step, in cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Literal, get_args

from ...errors import SetupError
from ...model.series import Column
from ..expressions import Expression, Tree, parse
from .limits import checked_limit, up_to
from .quantity import Answers, Context, Quantity

Convention = Literal["sum", "max"]


@dataclass(frozen=True, init=False)
class CFL:
    """The Courant number: the largest over all cells of ``|dt|`` times speed over cell width.

    With ``convention="sum"`` the axes' contributions are added, ``|dt| * sum_i(s_i / dx_i)``, as
    unsplit schemes need it (LeVeque, Finite Volume Methods for Hyperbolic Problems, 2002, section
    4.4 and chapter 20); with ``"max"`` the largest counts, ``|dt| * max_i(s_i / dx_i)``, as
    dimensionally split schemes need it.

    Parameters
    ----------
    *speeds : str
        The signal speed along each axis as an expression: advective ``"abs(u)"``, acoustic
        ``"abs(u) + c"``, Alfvenic ``"abs(u) + abs(bx)/sqrt(rho)"``; one expression alone holds for
        all axes.
    convention : {"sum", "max"}
        How the axes are put together.
    limit : float, optional
        The largest it may be, such as 1; comparison and `simckpt show` then tell the margin.

    Notes
    -----
    A NaN anywhere makes the Courant number NaN. Every cell's value is the same for every
    decomposition, and so is the largest.

    Examples
    --------
    >>> CFL("abs(u) + c", "abs(v) + c").text()
    'Courant number, sum over axes of abs(u) + c, abs(v) + c'
    """

    speeds: tuple[str, ...]
    convention: Convention
    limit: float | None

    def __init__(
        self, *speeds: str, convention: Convention = "sum", limit: float | None = None
    ) -> None:
        if not speeds:
            raise SetupError("CFL", speeds, "has no speed", mend="Write CFL('abs(u)', 'abs(v)').")
        for i, speed in enumerate(speeds):
            parse(speed, f"CFL speed {i}")
        if convention not in get_args(Convention):
            raise SetupError(
                "CFL.convention", convention, "is not a choice", choices=get_args(Convention)
            )
        object.__setattr__(self, "speeds", tuple(speeds))
        object.__setattr__(self, "convention", convention)
        object.__setattr__(self, "limit", checked_limit("CFL.limit", limit))

    def text(self) -> str:
        speeds = ", ".join(self.speeds)
        return f"Courant number, {self.convention} over axes of {speeds}{up_to(self.limit)}"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        if context.axes == 0:
            raise SetupError(argument, self.text(), "needs a grid", mend="Give `grid`.")
        if len(self.speeds) not in (1, context.axes):
            raise SetupError(
                argument,
                self.speeds,
                f"has {len(self.speeds)} speeds for a grid of {context.axes} axes",
                mend="Give one speed an axis, or one for all.",
            )
        speeds = self.speeds * context.axes if len(self.speeds) == 1 else self.speeds
        rates: list[Tree] = [
            (
                "divide",
                context.tree(Expression(speed, parse(speed).tree, argument)),
                context.width(axis, argument),
            )
            for axis, speed in enumerate(speeds)
        ]
        join = "add" if self.convention == "sum" else "maximum"
        return Quantity(
            name=name,
            columns=(
                Column(
                    name=name,
                    kind="stability",
                    of=", ".join(self.speeds),
                    note=self.text(),
                    limit=self.limit,
                ),
            ),
            maxima=(reduce(lambda a, b: (join, a, b), rates),),
            finish=_times_dt,
        )


def _times_dt(answers: Answers) -> tuple[float, ...]:
    # Rounding keeps order: the largest product is |dt| times the largest rate. Steps back in time
    # are as long as steps forth.
    return (abs(answers.dt) * answers.maxima[0],)
