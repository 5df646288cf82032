"""From a reduced message to the values of the quantities' columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from fractions import Fraction
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...parallel.comm import Maxima
from ..exact import exact_value
from ..message import SUM_WORDS, Layout, SumSlots
from .exact_sum import ExactSum
from .quantity import Answers, Quantity
from .shares import Share

if TYPE_CHECKING:
    from ..agreeing.agreement import Agreement

Memory = dict[int, Any]
"""What quantities carry from one sample to the next, by their number."""

NO_COLUMNS: Mapping[str, float] = {}


class Message(NamedTuple):
    """All ranks' messages joined, and when the sample was taken."""

    sums: NDArray[np.uint64]
    maxima: Maxima
    t: float
    dt: float
    volume: Fraction | None
    """Of a cell, where that is one number everywhere."""


class Answered:
    """The quantities' values in one sample, and what is wrong with them.

    Parameters
    ----------
    agreement : Agreement
        What is measured.
    message : Message
        What all ranks said.
    memory : Memory
        What was carried from the sample before; brought up to date.
    whole : bool
        Whether all ranks took part in one and the same sample.
    failed : collection of str
        Quantities that failed on some rank.
    """

    def __init__(
        self,
        agreement: Agreement,
        message: Message,
        memory: Memory,
        *,
        whole: bool,
        failed: Collection[str],
    ) -> None:
        self._agreement = agreement
        self._message = message
        self._memory = memory
        self._whole = whole
        self._failed = failed
        self._values: dict[int, tuple[float, ...]] = {}
        self.problems: list[str] = []
        self._answer(NO_COLUMNS, reading=False)

    def values(self, channels: Mapping[str, float]) -> list[float]:
        """The values of all quantities' columns in order, given those of the channels."""
        columns = dict(channels)
        for number, values in self._values.items():
            quantity = self._agreement.quantities[number]
            columns.update(zip((c.name for c in quantity.columns), values, strict=True))
        self._answer(columns, reading=True)
        return [v for number in sorted(self._values) for v in self._values[number]]

    def _answer(self, columns: Mapping[str, float], *, reading: bool) -> None:
        for number, quantity in enumerate(self._agreement.quantities):
            if bool(quantity.reads) != reading:
                continue
            sound = self._whole and not self._failed_for(quantity)
            if sound and not self._measurable(quantity):
                self.problems.append(
                    f"{quantity.name}: cells were of one volume in the first sample, and are not "
                    "any more; give their widths as arrays, or their volumes, from the start"
                )
                sound = False
            values = (nan,) * len(quantity.columns)
            if sound or quantity.carry is not None:
                answers = _answers(
                    self._agreement, number, self._message, columns, self._memory.get(number)
                )
                if sound:
                    values = quantity.finish(answers)
                    if quantity.problem is not None and (text := quantity.problem(answers)):
                        self.problems.append(text)
                if quantity.carry is not None:
                    self._memory[number] = quantity.carry(answers, sound)
            self._values[number] = values

    def _measurable(self, quantity: Quantity) -> bool:
        """Whether the volumes are known that its sums are to be multiplied by."""
        weighted = any(r.weight == "volume" and not r.particles for r in quantity.sums)
        return not (weighted and self._agreement.even and self._message.volume is None)

    def _failed_for(self, quantity: Quantity) -> bool:
        """Whether it failed on some rank, or a column that it reads did."""
        if not self._failed:
            return False
        owners = {c.name: q.name for q in self._agreement.quantities for c in q.columns}
        # A column of a field is called after it: `rho.max`.
        read = {owners.get(name, name.rpartition(".")[0]) for name in quantity.reads}
        return not read.isdisjoint(self._failed) or quantity.name in self._failed


def _answers(
    agreement: Agreement,
    number: int,
    message: Message,
    columns: Mapping[str, float],
    past: object,
) -> Answers:
    layout, quantity = agreement.layout, agreement.quantities[number]
    sums, maxima, places_of = message.sums, message.maxima["value"], message.maxima["place"]
    answers = []
    for request, places in zip(quantity.sums, layout.answers[number], strict=True):
        answer = _exact_sum(sums, places)
        if request.weight == "volume" and not request.particles:
            volume = (message.volume or 0) if agreement.even else 1 << agreement.scale
            answer = replace(answer, value=answer.value * volume)
        answers.append(answer)
    extremes = []
    for extreme in layout.extremes[number]:
        missing = int(sums[extreme.missing][0])
        top = float(maxima[extreme.top][0])
        extremes.append(nan if missing or top == -np.inf else top)
    slots = layout.shares[number]
    shared = Share(
        tuple(_exact_sum(sums, places) for places in slots.sums),
        tuple(map(int, sums[slots.counts])),
        tuple(map(float, maxima[slots.maxima])),
        tuple(map(int, places_of[slots.maxima])),
    )
    return Answers(
        answers,
        extremes,
        message.dt,
        int(sums[Layout.CELLS]),
        message.t,
        shared,
        columns,
        past,
    )


def _exact_sum(sums: NDArray[np.uint64], places: SumSlots) -> ExactSum:
    words = sums[places.limbs]
    if words.size != SUM_WORDS:
        words = words.reshape(-1, SUM_WORDS).sum(axis=0, dtype=np.uint64)
    return ExactSum(exact_value(words), *map(int, sums[places.counts]))
