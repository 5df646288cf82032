"""What a sample says, once all ranks' messages have been added up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import isclose, isfinite, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model.series import SeriesSchema
from ..parallel.comm import Maxima, Sums
from .exact import ExactSum, exact_value, rounded
from .message import SUM_WORDS, Layout, SumSlots
from .quantities.base import PARTICLES, Answers, Channel, Quantity, Share

if TYPE_CHECKING:
    from .setup import Agreement

# From a reduced message to the values of the quantities' columns.


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


@dataclass(frozen=True, eq=False)
class TileStatistics:
    """Extrema and mean of the finite values in each tile of a field, in C order over the tiles.

    The mean is that of the exact sum, rounded once. A tile without a finite value has NaN in all
    three.
    """

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reading:
    """One complete sample.

    Parameters
    ----------
    step : int
        The step that the ranks sampled; the least of them where they differ.
    last_step : int
        The greatest of them.
    t, dt : float
        Simulated time and width of the step; NaN where the driver gives none.
    ranks : int
        How many ranks took part.
    values : ndarray of float64
        One to a column of the schema; NaN where the diagnostic failed on any rank, and
        everywhere where not all ranks took part at the same step.
    digests : ndarray of uint64
        Tiles of each channel in schema order.
    tiles : mapping of str to TileStatistics
        By the name of the field.
    faults : int
        Diagnostics that failed, added up over the ranks, and ranks that were missing.
    failed : mapping of str to int
        Ranks on which a diagnostic or field failed, by its name.
    origins : mapping of str to tuple of int
        Global index of the first cell, in C order, that is not finite, for the fields that have
        one; the global id for particles.
    problems : tuple of str
        What is wrong with the sample, one sentence each; empty if it is sound.
    unreadable : int
        How many of the ranks' own steps, times and widths could not be read.
    aligned : bool
        Whether all ranks that took part were at the same sample of the same step.
    places : int or None
        A sum that tells where the boxes of all ranks lie; None where the sample is not sound.
    moved : bool
        Whether that is elsewhere, or on other ranks, than in the first sample.
    unseen : int
        Cells on levels that have appeared since then: they count in integrals and maxima, and have
        no extrema and digests of their own.
    """

    step: int
    last_step: int
    t: float
    dt: float
    ranks: int
    values: NDArray[np.float64]
    digests: NDArray[np.uint64]
    tiles: Mapping[str, TileStatistics]
    faults: int
    failed: Mapping[str, int]
    origins: Mapping[str, tuple[int, ...]]
    problems: tuple[str, ...]
    schema: SeriesSchema = field(repr=False)
    unreadable: int = 0
    aligned: bool = True
    places: int | None = None
    moved: bool = False
    unseen: int = 0

    def __getitem__(self, name: str) -> float:
        """The value of the column `name`."""
        return float(self.values[self.schema.column(name)])


def read_message(
    agreement: Agreement,
    sums: Sums,
    largest: Maxima,
    memory: Memory,
) -> Reading:
    """The reading that the added-up messages of all ranks stand for.

    `memory` is what quantities carried from the sample before; it is brought up to date.
    """
    layout, maxima = agreement.layout, largest["value"]
    last, first = _span(maxima[Layout.STEP])
    t = _span(maxima[Layout.TIME])[0]
    dt = _span(maxima[Layout.WIDTH])[0]
    volume = _volume(maxima[Layout.VOLUME])
    ranks = int(sums[Layout.RANKS])
    failed = _failures(agreement, sums)
    problems = [f"{name} failed on {_count(ranks_, 'rank')}" for name, ranks_ in failed.items()]
    absent = agreement.ranks - ranks
    if absent:
        problems.append(f"{_count(absent, 'rank')} of {agreement.ranks} had no state to sample")
    visits = _span(maxima[Layout.VISIT])
    apart = first != last or visits[0] != visits[1]
    if first != last and ranks:
        where = _between(largest, Layout.STEP)
        problems.append(f"the ranks were at different steps, {where}")
    elif apart and ranks:
        problems.append("the ranks were at different samples of one step")
    torn = {} if apart else _torn(largest)
    problems += torn.values()
    incomplete = _incomplete(agreement, sums, failed) if not absent else []
    problems += incomplete
    # What ranks give at different times adds up to nothing that ever was.
    whole = not absent and not apart and not incomplete and "t" not in torn
    answered = Answered(
        agreement, Message(sums, largest, t, dt, volume), memory, whole=whole, failed=failed
    )
    problems += answered.problems
    unreadable = int(sums[Layout.UNREADABLE])
    if unreadable:
        problems.append(f"step, time or width could not be read {_count(unreadable, 'time')}")
    own = [dt]
    digests, origins = [], {}
    for channel, slots in zip(agreement.channels, layout.channels, strict=True):
        lowest = -float(maxima[slots.first][0])
        if isfinite(lowest):
            origins[channel.label] = _index(int(lowest), channel)
        if not whole or channel.label in failed:
            own += [nan] * 5
            digests.append(np.zeros(channel.tiles, np.uint64))
            continue
        digests.append(sums[slots.digest].copy())
        own += [
            _finite(-maxima[slots.smallest].max()),
            _finite(maxima[slots.largest].max()),
            *map(float, sums[slots.counts]),
        ]
    names = [column.name for column in agreement.schema.columns]
    values = answered.values(dict(zip(names[len(names) - len(own) :], own, strict=True))) + own
    places = int(sums[Layout.PLACES]) if whole and not failed else None
    return Reading(
        step=int(first) if isfinite(first) else 0,
        last_step=int(last) if isfinite(last) else 0,
        t=t,
        dt=dt,
        ranks=ranks,
        values=np.array(values, np.float64),
        digests=np.concatenate(digests) if digests else np.zeros(0, np.uint64),
        tiles=_Tiles(agreement, sums, maxima, frozenset(failed) if whole else None),
        faults=sum(failed.values())
        + absent
        + len(torn)
        + len(incomplete)
        + (ranks > 0 and apart)
        + len(answered.problems)
        + unreadable,
        failed=failed,
        origins=origins,
        problems=tuple(problems),
        unreadable=unreadable,
        aligned=not apart,
        places=places,
        moved=places is not None and places != agreement.places,
        unseen=int(sums[Layout.UNSEEN]),
        schema=agreement.schema,
    )


def _failures(agreement: Agreement, sums: NDArray[np.uint64]) -> dict[str, int]:
    """On how many ranks each diagnostic and channel failed, where any did."""
    layout = agreement.layout
    counts = [
        (quantity.name, int(sums[place][0]))
        for quantity, place in zip(agreement.quantities, layout.failed, strict=True)
    ]
    counts += [
        (channel.label, int(sums[slots.failed][0]))
        for channel, slots in zip(agreement.channels, layout.channels, strict=True)
    ]
    return {name: count for name, count in counts if count}


def _incomplete(
    agreement: Agreement, sums: NDArray[np.uint64], failed: Mapping[str, int]
) -> list[str]:
    """Channels of which not every value was measured: a part of the state was not given."""
    problems = []
    for channel, first, slots in zip(
        agreement.channels, agreement.expected, agreement.layout.channels, strict=True
    ):
        # Boxes may have been refined since: then some cells do not count any more.
        masked = channel.space != PARTICLES and bool(sums[Layout.MASKED])
        expected = None if masked else first
        seen = sum(sums[slots.finite].tolist()) + sum(sums[slots.counts].tolist())
        if expected is not None and channel.label not in failed and seen != expected:
            given = f"{channel.label} was given {seen} of {expected} values"
            gone = "; give Particles(total=...) where they come and go"
            problems.append(given + (gone if channel.space == PARTICLES else ""))
        if expected is None and (sums[slots.finite] > channel.tile_cells).any():
            problems.append(f"{channel.label} was given more values than a tile of it has cells")
    layout, counted = agreement.layout, not problems
    for space, whole in agreement.wholes.items():
        failing = all(c.label in failed for c in agreement.channels if c.space == space)
        masked = space != PARTICLES and bool(sums[Layout.MASKED])
        if counted and not failing and not masked and int(sums[layout.marks[space]][0]) != whole:
            what = "ids of particles" if space == PARTICLES else "cells"
            problems.append(f"some {what} are held twice, and others by no rank")
    return problems


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


TOGETHER = 1e-9
"""Relative difference of times that ranks may have worked out each for itself."""


def _torn(largest: Maxima) -> dict[str, str]:
    """In which of the driver's times the ranks differ though they are at one step, and how."""
    dt = abs(_span(largest["value"][Layout.WIDTH])[0])
    problems = {}
    for name, place in (("t", Layout.TIME), ("dt", Layout.WIDTH)):
        most, least = _span(largest["value"][place])
        nearby = TOGETHER * dt if isfinite(dt) else 0.0
        if most == most and not isclose(most, least, rel_tol=TOGETHER, abs_tol=nearby):
            where = _between(largest, place)
            problems[name] = f"{name} differs between the ranks, {where}"
    return problems


def _between(largest: Maxima, place: slice) -> str:
    """The least and the largest value, each with the first rank that has it."""
    most, least = _span(largest["value"][place])
    first, last = map(int, largest["place"][place][::-1])
    return f"from {least:.12g} on rank {first} to {most:.12g} on rank {last}"


def _volume(pair: NDArray[np.float64]) -> Fraction | None:
    """The volume of a cell if it is one number everywhere; roundoff of ranks does not count."""
    most, least = _span(pair)
    if most != most:
        # There are no cells.
        return Fraction(0)
    same = isfinite(most) and isclose(most, least, rel_tol=TOGETHER)
    return Fraction(most) if same else None


def _span(pair: NDArray[np.float64]) -> tuple[float, float]:
    """Greatest and least of what the ranks gave; NaN if none gave anything."""
    greatest, negated = map(float, pair)
    return (greatest, -negated) if greatest != -np.inf else (nan, nan)


class _Tiles(Mapping[str, TileStatistics]):
    """Tile statistics, worked out when they are asked for: they are, at checkpoints."""

    def __init__(
        self,
        agreement: Agreement,
        sums: NDArray[np.uint64],
        maxima: NDArray[np.float64],
        failed: frozenset[str] | None,
    ) -> None:
        # None: nothing in this sample can be trusted.
        self._channels = {
            channel.label: (channel, slots)
            for channel, slots in zip(agreement.channels, agreement.layout.channels, strict=True)
        }
        self._sums = sums
        self._maxima = maxima
        self._failed = failed

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)

    def __getitem__(self, label: str) -> TileStatistics:
        channel, slots = self._channels[label]
        if self._failed is None or label in self._failed:
            return TileStatistics(*(np.full(channel.tiles, nan) for _ in range(3)))
        smallest = -self._maxima[slots.smallest] + 0.0
        largest = self._maxima[slots.largest] + 0.0
        empty = ~np.isfinite(largest)
        smallest[empty] = largest[empty] = nan
        words = self._sums[slots.limbs].reshape(channel.tiles, SUM_WORDS)
        mean = np.full(channel.tiles, nan)
        for tile, count in enumerate(self._sums[slots.finite].tolist()):
            if count:
                mean[tile] = rounded(exact_value(words[tile]) / count)
        return TileStatistics(smallest, largest, mean)


def _finite(value: float) -> float:
    """An extremum without the sign of a zero; NaN where there was no finite value."""
    return float(value) + 0.0 if isfinite(value) else nan


def _index(cell: int, channel: Channel) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(cell, channel.global_shape))
