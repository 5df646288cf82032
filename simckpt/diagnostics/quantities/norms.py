"""Norms of fields and of differences, and where a field is smallest and largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, ldexp, prod, sqrt
from typing import ClassVar, Literal, get_args

from ...errors import SetupError
from ...model.series import Column
from ..exact import rounded
from ..expressions import parse
from ..state import Extremum
from .base import (
    ABSENT,
    Answers,
    Context,
    LocalState,
    Quantity,
    Share,
    ShareRequest,
    SumRequest,
    check_choice,
    first_sum,
)

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

    group: ClassVar[str] = "norms"

    expression: str
    kind: Kind = "L2"

    def __post_init__(self) -> None:
        parse(self.expression, "Norm.expression")
        check_choice("Norm.kind", self.kind, get_args(Kind))

    def text(self) -> str:
        return f"{self.kind} norm of {self.expression}"

    def plan(self, name: str, context: Context) -> Quantity:
        tree = context.parse(self.expression, f"norms[{name!r}]")
        note = f"{_FORMULAS[self.kind]}, f = {self.expression}"
        column = Column(name=name, kind="norm", of=self.expression, note=note)
        if self.kind == "Linf":
            return Quantity(
                name, (column,), lambda answers: (answers.maxima[0],), maxima=(("abs", tree),)
            )
        sums = [SumRequest(("abs", tree) if self.kind == "L1" else ("square", tree))]
        if self.kind == "RMS":
            sums.append(SumRequest(("number", 1.0)))
        finish = {"L1": first_sum, "L2": _root, "RMS": _mean_root}[self.kind]
        return Quantity(name, (column,), finish, sums=tuple(sums))


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


# The place of an extremum, in the sample's one message.
#
# A maximum takes along a place of 31 bits, of which the least remains where values are equal (MPI's
# MAXLOC). That is the index of a cell, or the low part of it: every block of 2**31 cells has a
# maximum of its own. The rank is sent by its binary digits: for each of them there is a maximum
# over the ranks that have a 1 there, and if that is the extremum in the very same cell, so has the
# rank of that cell.

AXES = "ijkl"
"""What the axes 0, 1, 2, 3 are called in the names of columns."""

RANK_DIGITS = 24
"""Binary digits of a rank: a message's size must not depend on how many there are."""

PAIRS = 1 + RANK_DIGITS
"""Maxima for each block of cells."""

LOW_BITS = 31
"""Binary digits of an index that one place holds."""

NOWHERE = -1


@dataclass(frozen=True)
class ExtremumLocations:
    """The global index and the rank of a field's minimum and maximum.

    The columns are ``NAME.min.i``, ``.j``, ``.k``, ``.l`` for the axes 0, 1, 2, 3 (``.i`` is
    the id where cells carry ids) and ``NAME.min.rank``; ``NAME.max.i`` and so on. The values
    themselves are in ``NAME.min`` and ``NAME.max``. Where several cells have the value, on one
    rank or on several, it is the lowest index of them in C order. Where no value is finite,
    index and rank are -1.
    """

    def text(self) -> str:
        return "places of minimum and maximum"

    def plan(self, name: str, context: Context) -> Quantity:
        if name not in context.fields:
            raise SetupError(
                f"extrema[{name!r}]", name, "is not a field", choices=sorted(context.fields)
            )
        levels = tuple(context.shapes.items())
        sizes = [blocks(shape) * PAIRS for _, shape in levels]

        def give(local: LocalState) -> Share:
            pairs: list[tuple[float, int]] = []
            for (level, _), size in zip(levels, sizes, strict=True):
                least = local.extremes.smallest.get((name, level))
                largest = local.extremes.largest.get((name, level))
                pairs += encode(least, local.rank, size, -1.0)
                pairs += encode(largest, local.rank, size, 1.0)
            return Share(maxima=tuple(v for v, _ in pairs), places=tuple(p for _, p in pairs))

        def finish(answers: Answers) -> tuple[float, ...]:
            values: list[float] = []
            pairs = list(zip(answers.shared.maxima, answers.shared.places, strict=True))
            for (_, shape), size in zip(levels, sizes, strict=True):
                for _ in range(2):
                    values += _columns(decode(pairs[:size]), shape)
                    del pairs[:size]
            return tuple(values)

        return Quantity(
            f"extrema of {name}",
            tuple(
                _column(name, level, what, part)
                for level, shape in levels
                for what in ("min", "max")
                for part in (*AXES[: len(shape)], "rank")
            ),
            finish,
            share=ShareRequest(give, maxima=2 * sum(sizes), locate=(name,)),
        )


def blocks(shape: tuple[int, ...]) -> int:
    """How many blocks of indices there are, each with places of its own."""
    return max(1, -(-prod(shape) >> LOW_BITS))


def encode(extremum: Extremum | None, rank: int, size: int, sign: float) -> list[tuple[float, int]]:
    """The `size` maxima with places of one rank."""
    pairs = [(ABSENT, 0)] * size
    if extremum is not None:
        block, low = divmod(extremum.cell, 1 << LOW_BITS)
        pair = sign * extremum.value, low
        pairs[PAIRS * block] = pair
        for digit in range(RANK_DIGITS):
            if rank >> digit & 1:
                pairs[PAIRS * block + 1 + digit] = pair
    return pairs


def decode(pairs: Sequence[tuple[float, int]]) -> tuple[int, int] | None:
    """The lowest cell that holds the largest value, and its rank; None if no rank has any."""
    top = max(value for value, _ in pairs)
    if top == ABSENT:
        return None
    for begin in range(0, len(pairs), PAIRS):
        value, low = pairs[begin]
        if value == top:
            break
    # No other rank has that cell.
    ones = pairs[begin + 1 : begin + PAIRS]
    rank = sum((pair == (top, low)) << digit for digit, pair in enumerate(ones))
    return (begin // PAIRS << LOW_BITS) + low, rank


def _columns(at: tuple[int, int] | None, shape: tuple[int, ...]) -> list[float]:
    if at is None:
        return [float(NOWHERE)] * (len(shape) + 1)
    cell, rank = at
    index: list[float] = []
    for cells in reversed(shape):
        cell, i = divmod(cell, cells)
        index.append(float(i))
    return [*reversed(index), float(rank)]


def _column(name: str, level: int, what: str, part: str) -> Column:
    label = name if level == 0 else f"{name}@{level}"
    which = "rank" if part == "rank" else f"global index along axis {AXES.index(part)}"
    return Column(
        name=f"{label}.{what}.{part}",
        kind="location",
        of=label,
        exact=part != "rank",
        note=f"{which} of the {what}imum, the lowest where several cells have it",
    )
