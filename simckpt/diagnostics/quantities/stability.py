"""Courant numbers: how far a signal travels in one step, in cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import isfinite, log, nan
from typing import Any, ClassVar, Literal, get_args

from ...errors import SetupError
from ...model.series import Column
from ..arguments import real_number, whole_number
from ..expressions import Expression, Tree, normal_form, parse
from .base import Answers, Context, Quantity

# Time step limits other than the Courant number: diffusion, and any frequency.


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

    group: ClassVar[str] = "stability"

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

    group: ClassVar[str] = "stability"

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

    group: ClassVar[str] = "stability"

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


# Growth rates, from the values of past samples.


Point = tuple[float, float]


@dataclass(frozen=True)
class Growth:
    """The exponential growth rate of another column over the last samples.

    The least-squares slope of ``ln(abs(value))`` against simulated time over the last `window`
    samples, in units of one over time: positive where the value grows like ``exp(rate * t)``. The
    slope is that of a straight line with points of equal weight (Press et al., Numerical Recipes,
    2007, section 15.2). It
    is made on rank 0 from values that are recorded anyway. NaN until a job attempt has taken
    `window` samples, and where the window has a value that is zero or not finite, or no time.

    Parameters
    ----------
    column : str
        The column to watch: the name of a norm, ``"rho.max"``, ``"poisson.final"`` ...
    window : int
        How many samples, 2 or more.

    Examples
    --------
    >>> Growth("energy_error", window=20).text()
    'growth rate of energy_error over 20 samples'
    """

    group: ClassVar[str] = "stability"

    column: str
    window: int = 20

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or not self.column:
            raise SetupError("Growth.column", self.column, "is not the name of a column")
        window = whole_number(self.window)
        if window is None or window < 2:
            raise SetupError(
                "Growth.window",
                self.window,
                "is not a number of samples from 2 on",
                mend="Write window=20.",
            )
        object.__setattr__(self, "column", normal_form(self.column))
        object.__setattr__(self, "window", window)

    def text(self) -> str:
        return f"growth rate of {self.column} over {self.window} samples"

    def plan(self, name: str, context: Context) -> Quantity:
        note = f"least-squares slope of ln|{self.column}| against t, last {self.window} samples"

        def points(answers: Answers) -> tuple[Point, ...]:
            past: tuple[Point, ...] = answers.past or ()
            value = abs(answers.columns[self.column])
            height = log(value) if isfinite(value) and value > 0 else nan
            return (*past, (answers.t, height))[-self.window :]

        def finish(answers: Answers) -> tuple[float, ...]:
            known = points(answers)
            return (slope(known) if len(known) == self.window else nan,)

        def carry(answers: Answers, sound: bool) -> tuple[Point, ...] | None:
            return points(answers) if sound else answers.past

        column = Column(name=name, kind="stability", of=self.column, exact=False, note=note)
        return Quantity(name, (column,), finish, carry=carry, reads=(self.column,))


def slope(points: tuple[Point, ...]) -> float:
    """The least-squares slope of (x, y) points; NaN where there is none."""
    if not all(isfinite(x) and isfinite(y) for x, y in points):
        return nan
    middle = sum(x for x, _ in points) / len(points)
    height = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - height) for x, y in points) / spread if spread else nan
