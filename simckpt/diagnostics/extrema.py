"""Where a field is smallest and largest: global index and rank, in the sample's one message.

A reduction that takes the largest of each number cannot take an index along with a value. But it
can say, for each binary digit of the index, how large a value is held by a rank whose cell has a
0 there, and by one whose cell has a 1. Where one rank alone holds the extremum, exactly one of
the two is the extremum itself, for every digit; and so all digits are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..errors import SetupError
from ..model.series import Column
from .locating import Found
from .quantity import Answers, Context, Quantity
from .shares import ABSENT, Here, Share, ShareRequest

AXES = "ijkl"
"""What the axes 0, 1, 2, 3 are called in the names of columns."""

RANK_DIGITS = 24
"""Binary digits of a rank: a message's size must not depend on how many there are."""

NO_ONE_CELL = -1


@dataclass(frozen=True)
class Extrema:
    """The global index and the rank of a field's minimum and maximum.

    The columns are ``NAME.min.i``, ``.j``, ``.k``, ``.l`` for the axes 0, 1, 2, 3 (``.i`` is
    the id where cells carry ids) and ``NAME.min.rank``; ``NAME.max.i`` and so on. The values
    themselves are in ``NAME.min`` and ``NAME.max``. Where several cells of one rank have the
    value, it is the lowest index of them in C order; where cells of several ranks have it, and
    where no value is finite, index and rank are -1.

    The tile is known in any case, from the tile statistics.
    """

    def text(self) -> str:
        return "places of minimum and maximum"

    def plan(self, name: str, context: Context) -> Quantity:
        if name not in context.fields:
            raise SetupError(
                f"extrema[{name!r}]", name, "is not a field", choices=sorted(context.fields)
            )
        levels = tuple(context.shapes.items())
        sizes = [_digits(shape) for _, shape in levels]

        def give(here: Here) -> Share:
            maxima: list[float] = []
            for (level, _), digits in zip(levels, sizes, strict=True):
                least = here.extremes.least(name, level)
                largest = here.extremes.largest(name, level)
                maxima += encode(least, here.rank, digits, -1.0)
                maxima += encode(largest, here.rank, digits, 1.0)
            return Share(maxima=tuple(maxima))

        def finish(answers: Answers) -> tuple[float, ...]:
            values: list[float] = []
            at = 0
            for (_, shape), digits in zip(levels, sizes, strict=True):
                for _ in range(2):
                    slots = answers.shared.maxima[at : at + 2 * (digits + RANK_DIGITS)]
                    at += len(slots)
                    values += _place(decode(slots), digits, shape)
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
            share=ShareRequest(
                give, maxima=sum(4 * (d + RANK_DIGITS) for d in sizes), locate=(name,)
            ),
        )


def encode(found: Found | None, rank: int, digits: int, sign: float) -> list[float]:
    """The slots of one rank: for each digit what it holds at a 0 and at a 1."""
    slots = [ABSENT] * (2 * (digits + RANK_DIGITS))
    if found is not None:
        number = rank << digits | found.cell
        for digit in range(digits + RANK_DIGITS):
            slots[2 * digit + (number >> digit & 1)] = sign * found.value
    return slots


def decode(slots: tuple[float, ...]) -> int:
    """The number whose digits hold the largest value, or -1 if no rank alone holds it."""
    top = max(slots)
    number = 0
    if top == ABSENT:
        return NO_ONE_CELL
    for digit in range(len(slots) // 2):
        zero, one = slots[2 * digit] == top, slots[2 * digit + 1] == top
        if zero == one:
            return NO_ONE_CELL
        number |= one << digit
    return number


def _digits(shape: tuple[int, ...]) -> int:
    return max(1, (prod(shape) - 1).bit_length())


def _place(number: int, digits: int, shape: tuple[int, ...]) -> list[float]:
    if number == NO_ONE_CELL:
        return [float(NO_ONE_CELL)] * (len(shape) + 1)
    cell = number & ((1 << digits) - 1)
    index: list[float] = []
    for cells in reversed(shape):
        cell, i = divmod(cell, cells)
        index.append(float(i))
    return [*reversed(index), float(number >> digits)]


def _column(name: str, level: int, what: str, part: str) -> Column:
    label = name if level == 0 else f"{name}@{level}"
    which = "rank" if part == "rank" else f"global index along axis {AXES.index(part)}"
    return Column(
        name=f"{label}.{what}.{part}",
        kind="location",
        of=label,
        exact=False,
        note=f"{which} of the {what}imum; -1 where cells of several ranks have it",
    )
