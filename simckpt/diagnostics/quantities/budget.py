"""Budgets: an integral, what the driver says has come in, and what neither explains."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import nan

from ...model.series import Column, ColumnKind
from ..exact import rounded
from ..expressions import Expression, parse
from .exact_sum import ExactSum
from .quantity import Answers, Context, Quantity, SumRequest
from .shares import Here, Share, ShareRequest

NONE = ExactSum(Fraction(0))


@dataclass(frozen=True)
class Budget:
    """An integral over the volume, closed against sources and boundary fluxes.

    The driver says on any rank what has come in (or gone out, with a minus sign) by
    ``run.account(name, amount)``, in units of the integral. Of these, and of the integral at two
    samples, all ranks' exact values are taken, and each column is rounded once:

    ========================  ===============================================================
    ``NAME``                  the integral now
    ``NAME.input``            what was accounted since the last sound sample
    ``NAME.residual``         change since the last sound sample, minus that input
    ``NAME.imbalance``        change since the first sample of the job attempt, minus all input
    ========================  ===============================================================

    The residual is MOM6's ``mass_anom`` (MOM_sum_output). It is zero to the last bit where the
    accounted amounts are exactly what the scheme has added; what a scheme adds with rounding is
    off by that rounding. At the first sample of a job attempt both are zero: the budget begins
    there, and what was accounted before counts as no input. A sample whose integral is not finite
    is passed over: the next sound one closes the budget over both. So is an amount that is not
    finite, which is an event.

    Parameters
    ----------
    expression : str
        The density that is integrated, arithmetic on field names.

    Examples
    --------
    >>> Budget("rho").text()
    'budget of the integral of rho'
    """

    expression: str

    def __post_init__(self) -> None:
        parse(self.expression, "Budget.expression")

    def text(self) -> str:
        return f"budget of the integral of {self.expression}"

    def plan(self, name: str, context: Context) -> Quantity:
        tree = context.tree(
            Expression(self.expression, parse(self.expression).tree, f"budget[{name!r}]")
        )

        def give(here: Here) -> Share:
            return Share(sums=(here.state.reported.amounts.get(name, NONE),))

        # What is counted from a job attempt's first sample depends on where the attempt began.
        rest: tuple[tuple[str, ColumnKind, str], ...] = (
            ("input", "scalar", "accounted since the last sample, exact over ranks and time"),
            ("residual", "residual", "change since the last sample minus input, rounded once"),
            ("imbalance", "residual", "change since the job attempt's first sample minus input"),
        )
        integral = f"exact integral of {self.expression}, correctly rounded"
        return Quantity(
            name,
            (
                Column(name=name, kind="budget", of=self.expression, note=integral),
                *(
                    Column(name=f"{name}.{what}", kind=kind, of=name, exact=False, note=note)
                    for what, kind, note in rest
                ),
            ),
            _columns,
            sums=(SumRequest(tree),),
            share=ShareRequest(give, sums=1),
            carry=_carry,
        )


@dataclass(frozen=True)
class _Book:
    """The integral at the first and the last sound sample; input since the last, and all input."""

    first: ExactSum
    last: ExactSum
    pending: ExactSum = NONE
    total: ExactSum = NONE


def _columns(answers: Answers) -> tuple[float, ...]:
    (now,), (given,) = answers.sums, answers.shared.sums
    book: _Book | None = answers.past
    if book is None:
        return (now.rounded, given.rounded, 0.0, 0.0)
    pending = book.pending + given
    return (
        now.rounded,
        pending.rounded,
        _unexplained(now, book.last, pending),
        _unexplained(now, book.first, book.total + given),
    )


def _unexplained(now: ExactSum, then: ExactSum, given: ExactSum) -> float:
    if not (now.finite and then.finite and given.finite):
        return nan
    return rounded(now.value - then.value - given.value)


def _carry(answers: Answers, sound: bool) -> _Book | None:
    (now,), (given,) = answers.sums, answers.shared.sums
    book: _Book | None = answers.past
    usable = sound and now.finite
    if book is None:
        return _Book(first=now, last=now) if usable else None
    total = book.total + given
    if usable:
        return _Book(book.first, now, NONE, total)
    return _Book(book.first, book.last, book.pending + given, total)
