"""What a sample says, once all ranks' messages have been added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import isclose, isfinite, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model.series import SeriesSchema
from ..parallel.comm import Maxima, Sums
from .exact import ExactSum, exact_value, rounded
from .global_plan import GlobalPlan
from .message import ABSENT, SUM_WORDS, ChannelSlots, MessageLayout, SumSlots
from .quantities.base import NOTHING, PARTICLES, Answers, Channel, Quantity, Share

NO_COLUMNS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class TileValues:
    """Extrema and mean of the finite values in each tile of a field, in C order over the tiles.

    The mean is that of the exact sum, rounded once. A tile without a finite value has NaN in all
    three.
    """

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReducedSample:
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
    tiles : mapping of str to TileValues
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
    tiles: Mapping[str, TileValues]
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


class Message(NamedTuple):
    """All ranks' messages added up, and when the sample was taken."""

    sums: NDArray[np.uint64]
    maxima: Maxima
    t: float
    dt: float
    volume: Fraction | None
    """Of a cell, where that is one number everywhere."""


class MessageReader:
    """Reads the added-up messages of all ranks, sample by sample: some quantities look back."""

    def __init__(self, plan: GlobalPlan) -> None:
        self._plan = plan
        self._layout = plan.layout
        self._carried: dict[int, Any] = {}
        """What quantities carry from one sample to the next, by their number."""
        self._channels = list(zip(plan.channels, plan.expected, plan.layout.channels, strict=True))
        self._slots = {channel.label: (channel, slots) for channel, _, slots in self._channels}
        self._names = [q.name for q in plan.quantities] + [c.label for c in plan.channels]
        places = [*plan.layout.failed, *(slots.failed for slots in plan.layout.channels)]
        self._failed = np.array([place.start for place in places], np.intp)
        columns = [column.name for column in plan.schema.columns]
        self._last_columns = columns[len(columns) - 1 - 5 * len(plan.channels) :]
        # A quantity that reads other columns comes after those that read none.
        self._quantities = sorted(enumerate(plan.quantities), key=lambda pair: bool(pair[1].reads))
        self._weighted = [
            any(r.weight == "volume" and not r.particles for r in q.sums) for q in plan.quantities
        ]
        self._owners = {c.name: q.name for q in plan.quantities for c in q.columns}

    def read(self, sums: Sums, largest: Maxima) -> ReducedSample:
        """The sample of one added-up message."""
        plan, maxima = self._plan, largest["value"]
        clock = maxima[MessageLayout.CLOCK].tolist()
        last, first = clock[0], -clock[1]
        t = nan if clock[2] == ABSENT else clock[2]
        dt = nan if clock[4] == ABSENT else clock[4]
        ranks, unreadable = int(sums[MessageLayout.RANKS]), int(sums[MessageLayout.UNREADABLE])
        absent = plan.ranks - ranks
        failed: dict[str, int] = {}
        problems: list[str] = []
        counts = sums[self._failed]
        if counts.any():
            failed = {n: c for n, c in zip(self._names, counts.tolist(), strict=True) if c}
            problems = [f"{name} failed on {_count(c, 'rank')}" for name, c in failed.items()]
        if absent:
            problems.append(f"{_count(absent, 'rank')} of {plan.ranks} had no state to sample")
        aligned = first == last and clock[6] == -clock[7]
        if first != last and ranks:
            where = _between(largest, MessageLayout.STEP)
            problems.append(f"the ranks were at different steps, {where}")
        elif not aligned and ranks:
            problems.append("the ranks were at different samples of one step")
        torn = {}
        if aligned and (clock[2] != -clock[3] or clock[4] != -clock[5]):
            torn = _torn(largest)
        incomplete = [] if absent else self._incomplete(sums, failed)
        # What ranks give at different times adds up to nothing that ever was.
        complete = not absent and aligned and not incomplete and "t" not in torn
        problems += [*torn.values(), *incomplete]
        sound = len(problems)
        volume = _volume(*maxima[MessageLayout.VOLUME].tolist())
        columns, digests, origins = [dt], [], {}
        for channel, _, slots in self._channels:
            lowest = -float(maxima[slots.first][0])
            if isfinite(lowest):
                origins[channel.label] = _index(int(lowest), channel)
            if not complete or channel.label in failed:
                columns += [nan] * 5
                digests.append(np.zeros(channel.tiles, np.uint64))
                continue
            digests.append(sums[slots.digest])
            for value in (-maxima[slots.smallest].max(), maxima[slots.largest].max()):
                # Without the sign of a zero; NaN where there was no finite value.
                columns.append(float(value) + 0.0 if isfinite(value) else nan)
            columns += map(float, sums[slots.counts].tolist())
        message = Message(sums, largest, t, dt, volume)
        values = self._answer(message, columns, problems, failed, complete=complete)
        faults = sum(failed.values()) + absent + (ranks > 0 and not aligned)
        faults += len(torn) + len(incomplete) + len(problems) - sound + unreadable
        if unreadable:
            problems.append(f"step, time or width could not be read {_count(unreadable, 'time')}")
        places = int(sums[MessageLayout.PLACES]) if complete and not failed else None
        return ReducedSample(
            step=int(first) if isfinite(first) else 0,
            last_step=int(last) if isfinite(last) else 0,
            t=t,
            dt=dt,
            ranks=ranks,
            values=np.array(values, np.float64),
            digests=np.concatenate(digests) if digests else np.zeros(0, np.uint64),
            tiles=_Tiles(self._slots, sums, maxima, frozenset(failed) if complete else None),
            faults=faults,
            failed=failed,
            origins=origins,
            problems=tuple(problems),
            unreadable=unreadable,
            aligned=aligned,
            places=places,
            moved=places is not None and places != plan.places,
            unseen=int(sums[MessageLayout.UNSEEN]),
            schema=plan.schema,
        )

    def _answer(
        self,
        message: Message,
        channel_columns: list[float],
        problems: list[str],
        failed: Mapping[str, int],
        *,
        complete: bool,
    ) -> list[float]:
        """The values of all columns, those of the channels last; what is wrong is added."""
        by_number: dict[int, tuple[float, ...]] = {}
        columns = NO_COLUMNS
        for number, quantity in self._quantities:
            if quantity.reads and not columns:
                columns = dict(zip(self._last_columns, channel_columns, strict=True))
                for earlier, values in by_number.items():
                    names = (c.name for c in self._plan.quantities[earlier].columns)
                    columns.update(zip(names, values, strict=True))
            sound = complete and not (failed and self._failed_for(quantity, failed))
            if sound and self._weighted[number] and self._plan.even and message.volume is None:
                problems.append(
                    f"{quantity.name}: cells were of one volume in the first sample, and are not "
                    "any more; give their widths as arrays, or their volumes, from the start"
                )
                sound = False
            values = (nan,) * len(quantity.columns)
            if sound or quantity.carry is not None:
                answers = self._answers(number, quantity, message, columns)
                if sound:
                    values = quantity.finish(answers)
                    if quantity.problem is not None and (text := quantity.problem(answers)):
                        problems.append(text)
                if quantity.carry is not None:
                    self._carried[number] = quantity.carry(answers, sound)
            by_number[number] = values
        return [v for number in sorted(by_number) for v in by_number[number]] + channel_columns

    def _failed_for(self, quantity: Quantity, failed: Mapping[str, int]) -> bool:
        """Whether it failed on some rank, or a column that it reads did."""
        # A column of a field is called after it: `rho.max`.
        read = {self._owners.get(name, name.rpartition(".")[0]) for name in quantity.reads}
        return not read.isdisjoint(failed) or quantity.name in failed

    def _answers(
        self, number: int, quantity: Quantity, message: Message, columns: Mapping[str, float]
    ) -> Answers:
        plan, layout, sums = self._plan, self._layout, message.sums
        answers = []
        for request, places in zip(quantity.sums, layout.answers[number], strict=True):
            factor: Fraction | int | None = None
            if request.weight == "volume" and not request.particles:
                factor = (message.volume or 0) if plan.even else 1 << plan.scale
            answers.append(_exact_sum(sums, places, factor))
        extremes = []
        for extreme in layout.extremes[number]:
            missing = int(sums[extreme.missing][0])
            top = float(message.maxima["value"][extreme.top][0])
            extremes.append(nan if missing or top == ABSENT else top)
        shared = NOTHING
        if quantity.share is not None:
            slots = layout.shares[number]
            shared = Share(
                tuple(_exact_sum(sums, places) for places in slots.sums),
                tuple(sums[slots.counts].tolist()),
                tuple(message.maxima["value"][slots.maxima].tolist()),
                tuple(message.maxima["place"][slots.maxima].tolist()),
            )
        return Answers(
            answers,
            extremes,
            message.dt,
            int(sums[MessageLayout.CELLS]),
            message.t,
            shared,
            columns,
            self._carried.get(number),
        )

    def _incomplete(self, sums: Sums, failed: Mapping[str, int]) -> list[str]:
        """Channels of which not every value was measured: a part of the state was not given."""
        problems = []
        # Boxes may have been refined since: then some cells do not count any more.
        boxes_masked = bool(sums[MessageLayout.MASKED])
        for channel, first, slots in self._channels:
            masked = boxes_masked and channel.space != PARTICLES
            if first is None or masked:
                if (sums[slots.finite] > channel.tile_cells).any():
                    problems.append(
                        f"{channel.label} was given more values than a tile of it has cells"
                    )
                continue
            count = sum(sums[slots.finite].tolist()) + sum(sums[slots.counts].tolist())
            if count != first and channel.label not in failed:
                text = f"{channel.label} was given {count} of {first} values"
                gone = "; give Particles(total=...) where they come and go"
                problems.append(text + (gone if channel.space == PARTICLES else ""))
        if problems:
            return problems
        for space, checksum in self._plan.checksums.items():
            masked = boxes_masked and space != PARTICLES
            if masked or int(sums[self._layout.coverage[space]][0]) == checksum:
                continue
            if not all(c.label in failed for c in self._plan.channels if c.space == space):
                items = "ids of particles" if space == PARTICLES else "cells"
                problems.append(f"some {items} are held twice, and others by no rank")
        return problems


def _exact_sum(
    sums: NDArray[np.uint64], places: SumSlots, factor: Fraction | int | None = None
) -> ExactSum:
    words = sums[places.limbs]
    if words.size != SUM_WORDS:
        words = words.reshape(-1, SUM_WORDS).sum(axis=0, dtype=np.uint64)
    value = exact_value(words)
    return ExactSum(value if factor is None else value * factor, *sums[places.counts].tolist())


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


TOGETHER = 1e-9
"""Relative difference of times that ranks may have worked out each for itself."""


def _torn(largest: Maxima) -> dict[str, str]:
    """In which of the driver's times the ranks differ though they are at one step, and how."""
    dt = abs(_span(largest["value"][MessageLayout.WIDTH])[0])
    problems = {}
    for name, place in (("t", MessageLayout.TIME), ("dt", MessageLayout.WIDTH)):
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


def _volume(most: float, negated: float) -> Fraction | None:
    """The volume of a cell if it is one number everywhere; roundoff of ranks does not count."""
    if most == ABSENT:
        # There are no cells.
        return Fraction(0)
    same = isfinite(most) and isclose(most, -negated, rel_tol=TOGETHER)
    return Fraction(most) if same else None


def _span(pair: NDArray[np.float64]) -> tuple[float, float]:
    """Greatest and least of what the ranks gave; NaN if none gave anything."""
    greatest, negated = map(float, pair)
    return (greatest, -negated) if greatest != ABSENT else (nan, nan)


class _Tiles(Mapping[str, TileValues]):
    """The values of tiles by field, worked out when they are needed: at checkpoints."""

    def __init__(
        self,
        slots: Mapping[str, tuple[Channel, ChannelSlots]],
        sums: NDArray[np.uint64],
        maxima: NDArray[np.float64],
        failed: frozenset[str] | None,
    ) -> None:
        """`failed` is None where nothing in the sample can be trusted."""
        self._slots = slots
        self._sums = sums
        self._maxima = maxima
        self._failed = failed

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, label: str) -> TileValues:
        channel, slots = self._slots[label]
        if self._failed is None or label in self._failed:
            return TileValues(*(np.full(channel.tiles, nan) for _ in range(3)))
        smallest = -self._maxima[slots.smallest] + 0.0
        largest = self._maxima[slots.largest] + 0.0
        empty = ~np.isfinite(largest)
        smallest[empty] = largest[empty] = nan
        words = self._sums[slots.limbs].reshape(channel.tiles, SUM_WORDS)
        mean = np.full(channel.tiles, nan)
        for tile, count in enumerate(self._sums[slots.finite].tolist()):
            if count:
                mean[tile] = rounded(exact_value(words[tile]) / count)
        return TileValues(smallest, largest, mean)


def _index(cell: int, channel: Channel) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(cell, channel.global_shape))
