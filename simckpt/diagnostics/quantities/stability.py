"""Stability numbers: limits of the time step, and growth rates."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log, nan
from typing import Any, ClassVar, Literal, get_args

from ...errors import SetupError
from ...model.series import Column
from ..arguments import real_number, whole_number
from ..expressions import Tree, normal_form, parse
from .base import Answers, Context, Quantity, check_choice, join


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
        The largest it may be; comparison and `simckpt show` then give the margin.

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
        object.__setattr__(self, "limit", _checked_limit("Diffusion.limit", self.limit))

    def text(self) -> str:
        return f"diffusion number of {self.coefficient}{_up_to(self.limit)}"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        context.require_grid(argument, self)
        tree = context.parse(self.coefficient, argument)
        rates: list[Tree] = [
            ("divide", tree, ("square", context.width(axis, argument)))
            for axis in range(context.axes)
        ]
        return _largest_times_dt(name, self.coefficient, self, join("add", rates))


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
        The largest the product may be; comparison and `simckpt show` then give the margin.

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
        object.__setattr__(self, "limit", _checked_limit("Frequency.limit", self.limit))

    def text(self) -> str:
        return f"dt times frequency {self.frequency}{_up_to(self.limit)}"

    def plan(self, name: str, context: Context) -> Quantity:
        tree = context.parse(self.frequency, f"stability[{name!r}]")
        return _largest_times_dt(name, self.frequency, self, ("abs", tree))


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
        How the axes are combined.
    limit : float, optional
        The largest it may be, such as 1; comparison and `simckpt show` then give the margin.

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
        check_choice("CFL.convention", convention, get_args(Convention))
        object.__setattr__(self, "speeds", speeds)
        object.__setattr__(self, "convention", convention)
        object.__setattr__(self, "limit", _checked_limit("CFL.limit", limit))

    def text(self) -> str:
        speeds = ", ".join(self.speeds)
        return f"Courant number, {self.convention} over axes of {speeds}{_up_to(self.limit)}"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        context.require_grid(argument, self)
        if len(self.speeds) not in (1, context.axes):
            raise SetupError(
                argument,
                self.speeds,
                f"has {len(self.speeds)} speeds for a grid of {context.axes} axes",
                mend="Give one speed an axis, or one for all.",
            )
        speeds = self.speeds * context.axes if len(self.speeds) == 1 else self.speeds
        rates: list[Tree] = [
            ("divide", context.parse(speed, argument), context.width(axis, argument))
            for axis, speed in enumerate(speeds)
        ]
        rate = join("add" if self.convention == "sum" else "maximum", rates)
        return _largest_times_dt(name, ", ".join(self.speeds), self, rate)


def _checked_limit(argument: str, limit: Any) -> float | None:
    """The largest that a stability number may be, None if there is no limit."""
    if limit is None:
        return None
    number = real_number(limit)
    if number is None or not isfinite(number) or number <= 0:
        problem = "is not a positive number that a float64 holds"
        raise SetupError(argument, limit, problem, mend="Write limit=1.0.")
    return number


def _up_to(limit: float | None) -> str:
    return "" if limit is None else f", limit {limit:g}"


def _largest_times_dt(
    name: str, of: str, diagnostic: Diffusion | Frequency | CFL, rate: Tree
) -> Quantity:
    def finish(answers: Answers) -> tuple[float, ...]:
        # Rounding keeps order: the largest product is |dt| times the largest rate. Steps back in
        # time are as long as steps forth.
        return (abs(answers.dt) * answers.maxima[0],)

    column = Column(
        name=name, kind="stability", of=of, note=diagnostic.text(), limit=diagnostic.limit
    )
    return Quantity(name, (column,), finish, maxima=(rate,))


Point = tuple[float, float]


@dataclass(frozen=True)
class Growth:
    """The exponential growth rate of another column over the last samples.

    The least-squares slope of ``ln(abs(value))`` against simulated time over the last `window`
    samples, in units of one over time: positive where the value grows like ``exp(rate * t)``. The
    slope is that of a straight line with points of equal weight (Press et al., Numerical Recipes,
    2007, section 15.2). It is computed on rank 0 from values that are recorded anyway. NaN until a
    job attempt has taken `window` samples, and where the window has a value that is zero or not
    finite, or no time.

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
            problem = "is not a number of samples from 2 on"
            raise SetupError("Growth.window", self.window, problem, mend="Write window=20.")
        object.__setattr__(self, "column", normal_form(self.column))
        object.__setattr__(self, "window", window)

    def text(self) -> str:
        return f"growth rate of {self.column} over {self.window} samples"

    def plan(self, name: str, context: Context) -> Quantity:
        def points(answers: Answers) -> tuple[Point, ...]:
            previous: tuple[Point, ...] = answers.previous or ()
            value = abs(answers.columns[self.column])
            height = log(value) if isfinite(value) and value > 0 else nan
            return (*previous, (answers.t, height))[-self.window :]

        def finish(answers: Answers) -> tuple[float, ...]:
            window = points(answers)
            return (slope(window) if len(window) == self.window else nan,)

        def carry(answers: Answers, sound: bool) -> tuple[Point, ...] | None:
            return points(answers) if sound else answers.previous

        note = f"least-squares slope of ln|{self.column}| against t, last {self.window} samples"
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
