"""Growth rates, from the values of past samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log, nan

from ...errors import SetupError
from ...model.series import Column
from ..expressions import normal_form
from ..given import whole_number
from .quantity import Answers, Context, Quantity

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
