"""Numbers that the driver reports, and those of a user's own function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from ...errors import SetupError
from ...model.series import Column, ColumnKind
from ..exact import exact_term
from ..particles import Components
from ..state import Solves
from .base import (
    ABSENT,
    Answers,
    Context,
    LocalState,
    Quantity,
    Share,
    ShareRequest,
    check_choice,
)

LARGEST_TOTAL = 2**64 - 1
"""The most that may be counted under one name on one rank between two samples."""


def add_count(count: int, more: int, what: str) -> int:
    """`count` and `more`.

    Raises
    ------
    ValueError
        If `more` is negative, or the total too large to be sent; `what` names it.
    """
    if more < 0:
        raise ValueError(f"{what} of {_short(more)} is negative: it is not counted")
    if count + more > LARGEST_TOTAL:
        raise ValueError(
            f"{what} of {_short(more)} makes {_short(count + more)} since the last sample, more "
            "than 2**64 - 1: it is not counted"
        )
    return count + more


def _short(number: int) -> str:
    """A number in few digits: Python refuses to write out very long ones."""
    bits = number.bit_length()
    if bits <= 128:
        return str(number)
    return f"about {'-' if number < 0 else ''}2**{bits - 1}"


HALF = 2**32
"""Counts travel as two halves: many ranks' together then never pass the 64 bits of a word."""


@dataclass(frozen=True)
class Count:
    """How often something happened since the last sample, such as limiter hits, over all ranks.

    The driver says so by ``run.count(name, n)`` on the ranks where it happens. Up to 2**64 - 1 of
    them may come on a rank between two samples: a count that would pass that is refused, and is an
    event. The column is the float64 nearest to the whole number.
    """

    def text(self) -> str:
        return "count that the driver reports"

    def plan(self, name: str, context: Context) -> Quantity:
        def give(local: LocalState) -> Share:
            return Share(counts=divmod(local.state.reported.counts.get(name, 0), HALF))

        note = "reported since the last sample, all ranks together"
        return Quantity(
            name,
            (Column(name=name, kind="count", exact=False, note=note),),
            _only_count,
            share=ShareRequest(give, counts=2),
        )


def _only_count(answers: Answers) -> tuple[float, ...]:
    high, low = answers.shared.counts
    return (float(high * HALF + low),)


@dataclass(frozen=True)
class Scalar:
    """A number that is the same on all ranks: what ``run.scalar(name, value)`` was given last.

    One rank may report it, or several; NaN where none did since the last sample, and NaN with
    a fault of the sample where they do not report the same.
    """

    def text(self) -> str:
        return "number that the driver reports"

    def plan(self, name: str, context: Context) -> Quantity:
        def give(local: LocalState) -> Share:
            value = local.state.reported.scalars.get(name)
            if value is None:
                return Share(counts=(0, 0), maxima=(ABSENT, ABSENT))
            if isnan(value):
                return Share(counts=(1, 1), maxima=(ABSENT, ABSENT))
            return Share(counts=(1, 0), maxima=(value, -value))

        def problem(answers: Answers) -> str:
            reported, missing = answers.shared.counts
            high, low = answers.shared.maxima[0], -answers.shared.maxima[1]
            if 0 < missing < reported:
                return f"scalar {name} is NaN on {missing} of the {reported} ranks that report it"
            if missing < reported and low != high:
                return f"scalar {name} differs between ranks: {low!r} to {high!r}"
            return ""

        return Quantity(
            name,
            (Column(name=name, kind="scalar", exact=False, note="as the driver reports it"),),
            _same_everywhere,
            share=ShareRequest(give, counts=2, maxima=2),
            problem=problem,
        )


def _same_everywhere(answers: Answers) -> tuple[float, ...]:
    reported, missing = answers.shared.counts
    high, negated = answers.shared.maxima
    return (high + 0.0 if reported and not missing and high == -negated else nan,)


NO_SOLVES = Solves()

_SOLVE_COLUMNS: tuple[tuple[str, ColumnKind, str], ...] = (
    ("iterations", "count", "iterations of the solves since the last sample"),
    ("initial", "residual", "largest residual before one of these solves"),
    ("final", "residual", "largest residual after one of these solves"),
    ("solves", "count", "solves since the last sample"),
)


@dataclass(frozen=True)
class Residual:
    """What the solves since the last sample took, and how far they came.

    The driver says after each solve ``run.residual(name, iterations=, initial=, final=)``. A
    solve belongs to all ranks, so that each of them may report it, or one alone: of every column
    the largest over the ranks counts. A negative number of iterations is refused.

    ====================  ===================================================================
    ``NAME.iterations``   iterations of all these solves
    ``NAME.initial``      the largest residual before a solve; NaN where none was made
    ``NAME.final``        the largest residual after a solve; NaN where none was made
    ``NAME.solves``       the number of solves
    ====================  ===================================================================
    """

    def text(self) -> str:
        return "solves that the driver reports"

    def plan(self, name: str, context: Context) -> Quantity:
        def give(local: LocalState) -> Share:
            solves = local.state.reported.solves.get(name, NO_SOLVES)
            if not solves.solves:
                return Share(counts=(0, 0), maxima=(ABSENT,) * 4)
            residuals = solves.initial, solves.final
            return Share(
                counts=tuple(int(isnan(r)) for r in residuals),
                maxima=(
                    float(solves.iterations),
                    float(solves.solves),
                    *(ABSENT if isnan(r) else r for r in residuals),
                ),
            )

        return Quantity(
            name,
            tuple(
                Column(name=f"{name}.{part}", kind=kind, exact=False, note=note)
                for part, kind, note in _SOLVE_COLUMNS
            ),
            _solve_columns,
            share=ShareRequest(give, counts=2, maxima=4),
        )


def _solve_columns(answers: Answers) -> tuple[float, ...]:
    iterations, solves, *residuals = answers.shared.maxima
    initial, final = (
        nan if missing or value == ABSENT else value
        for missing, value in zip(answers.shared.counts, residuals, strict=True)
    )
    return (max(iterations, 0.0), initial, final, max(solves, 0.0))


Combine = Literal["sum", "max", "min"]


@dataclass(frozen=True)
class Custom:
    """A number that a callable makes of the fields of each rank, put together over the ranks.

    Parameters
    ----------
    function : callable
        Gets the mapping of this rank's fields, as the driver gives them (ghost layers included;
        empty where a rank holds no cells), and returns its partial result, a number, or None
        where it has nothing to say. What it raises, `SystemExit` included, marks the sample on
        this rank and makes the value NaN; the run goes on. `KeyboardInterrupt` goes through.

        NumPy's arrays are read-only views, and so is their ``base``. That keeps a function from
        writing by mistake; one that means to can always reach the memory. Arrays of other
        libraries are handed over as they are.
    combine : {"sum", "max", "min"}
        How the partial results are put together. They are added exactly and rounded once, so the
        order of the ranks does not matter.
    exact : bool
        Whether the result does not depend on how the cells are shared out among the ranks. A
        rounded sum over the cells of a rank does, an extremum over them does not.

    Examples
    --------
    >>> Custom(max, "max").text()
    'max over the ranks of builtins.max'
    """

    group: ClassVar[str] = "custom"

    function: Callable[[Mapping[str, Any]], float | None] = field(compare=False)
    combine: Combine = "sum"
    exact: bool = False
    _name: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SetupError(
                "Custom.function",
                self.function,
                "is not callable",
                mend="Give a function of the mapping of fields.",
            )
        check_choice("Custom.combine", self.combine, get_args(Combine))
        # Declarations are compared, and recorded: by the function's name, not its address.
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        module = getattr(self.function, "__module__", None) or type(self.function).__module__
        object.__setattr__(self, "_name", f"{module}.{name}")

    def text(self) -> str:
        exact = "exact " if self.exact else ""
        return f"{exact}{self.combine} over the ranks of {self._name}"

    def plan(self, name: str, context: Context) -> Quantity:
        note = self.text()
        if not self.exact:
            note += "; partial results may depend on the decomposition"
        column = Column(name=name, kind="custom", of=self._name, exact=self.exact, note=note)
        if self.combine == "sum":
            share = ShareRequest(self._summand, sums=1)
            return Quantity(name, (column,), _only_sum, share=share)
        sign = 1.0 if self.combine == "max" else -1.0

        def give(local: LocalState) -> Share:
            value = self._partial(local)
            if value is None or isnan(value):
                return Share(counts=(int(value is not None), 0), maxima=(ABSENT,))
            return Share(counts=(0, 1), maxima=(sign * value,))

        def finish(answers: Answers) -> tuple[float, ...]:
            missing, numbers = answers.shared.counts
            return (nan if missing or not numbers else sign * answers.shared.maxima[0] + 0.0,)

        share = ShareRequest(give, counts=2, maxima=1)
        return Quantity(name, (column,), finish, share=share)

    def _partial(self, local: LocalState) -> float | None:
        fields = {name: _guarded(value) for name, value in local.state.fields.items()}
        try:
            value = self.function(fields)
        except SystemExit as error:
            # What is measured never ends a simulation.
            raise RuntimeError(f"{self._name} raised SystemExit({error.code!r})") from error
        return None if value is None else float(value)

    def _summand(self, local: LocalState) -> Share:
        return Share(sums=(exact_term(self._partial(local) or 0.0),))


def _only_sum(answers: Answers) -> tuple[float, ...]:
    return (answers.shared.sums[0].rounded,)


def _guarded(value: Any) -> Any:
    """A field as a view that cannot be written through; a list of boxes one by one."""
    if isinstance(value, np.ndarray):
        return _read_only(value)
    if isinstance(value, Components):
        return replace(value, array=_guarded(value.array))
    if isinstance(value, list | tuple):
        return [_guarded(part) for part in value]
    return value


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if type(array) is np.ndarray:
        # The base of such a view is a buffer that is read-only, where that of a plain one would
        # be the driver's array.
        with suppress(BufferError, ValueError, TypeError, NotImplementedError):
            return np.asarray(array.data.toreadonly())
    view = array.view()
    view.flags.writeable = False
    return view
