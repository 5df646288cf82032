"""The layout of a sample's message: one array of sums, one of maxima, both of fixed size.

A maximum is a value with a place, of which the least remains where values are equal. Most maxima
have no use for the place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..parallel.comm import PAIR, Maxima, Sums
from .quantities.base import NO_SHARE, Channel, Quantity, SumRequest

SUM_WORDS = 70
"""Words of an exact sum: the limbs of its accumulator."""

ABSENT = -np.inf
"""The maximum of nothing."""


@dataclass(frozen=True)
class ChannelSlots:
    """Where a channel's numbers lie; `limbs` are the exact sums of its tiles, one by one."""

    failed: slice
    counts: slice
    limbs: slice
    digest: slice
    finite: slice
    first: slice
    largest: slice
    smallest: slice


@dataclass(frozen=True)
class SumSlots:
    """Where the answer to a `SumRequest` lies: one exact sum, or several to be added up."""

    limbs: slice
    counts: slice


@dataclass(frozen=True)
class MaximumSlots:
    """Where the answer to a maximum lies: the number of NaN is among the sums."""

    top: slice
    missing: slice


@dataclass(frozen=True)
class ShareSlots:
    """Where the answer to a `ShareRequest` lies: an exact sum and three counts for each sum."""

    sums: tuple[SumSlots, ...]
    counts: slice
    maxima: slice


@dataclass(frozen=True)
class MessageLayout:
    """Where everything lies in the two arrays.

    Sums begin with the number of ranks that took part, of cells, and of numbers of the state that
    could not be read, the checksum of where the boxes lie, the number of cells on levels without
    channels, and the number of boxes with a mask. Maxima begin with step and -step, t and -t, dt
    and -dt, the same of how many samples of this step came before, and the largest and least
    volume of a cell, so that rank 0 can tell whether all ranks spoke of one sample.
    """

    sums: int
    maxima: int
    channels: tuple[ChannelSlots, ...]
    failed: tuple[slice, ...]
    """For each quantity, the number of ranks on which it failed."""
    answers: tuple[tuple[SumSlots, ...], ...]
    extremes: tuple[tuple[MaximumSlots, ...], ...]
    shares: tuple[ShareSlots, ...]
    """For each quantity, where what the ranks add from elsewhere lies; most add nothing."""
    coverage: Mapping[int, slice]
    """For each index space, the word of its coverage checksum."""

    RANKS = 0
    CELLS = 1
    UNREADABLE = 2
    PLACES = 3
    UNSEEN = 4
    MASKED = 5
    STEP = slice(0, 2)
    TIME = slice(2, 4)
    WIDTH = slice(4, 6)
    VISIT = slice(6, 8)
    CLOCK = slice(0, 8)
    VOLUME = slice(8, 10)
    HEAD = slice(0, 10)

    @classmethod
    def of(
        cls,
        channels: Sequence[Channel],
        quantities: Sequence[Quantity],
        channel_sum: Callable[[SumRequest], int | None],
    ) -> MessageLayout:
        """The layout for these channels and quantities.

        `channel_sum` names the channel whose own sum answers a request.
        """
        sums, maxima = _Cursor(6), _Cursor(10)
        slots = tuple(
            ChannelSlots(
                failed=sums.take(1),
                counts=sums.take(3),
                limbs=sums.take(channel.tiles * SUM_WORDS),
                digest=sums.take(channel.tiles),
                finite=sums.take(channel.tiles),
                first=maxima.take(1),
                largest=maxima.take(channel.tiles),
                smallest=maxima.take(channel.tiles),
            )
            for channel in channels
        )
        failed, answers, extremes, shares = [], [], [], []
        for quantity in quantities:
            failed.append(sums.take(1))
            places = []
            for request in quantity.sums:
                own = channel_sum(request)
                if own is None:
                    places.append(SumSlots(sums.take(SUM_WORDS), sums.take(3)))
                else:
                    places.append(SumSlots(slots[own].limbs, slots[own].counts))
            answers.append(tuple(places))
            extremes.append(
                tuple(MaximumSlots(maxima.take(1), sums.take(1)) for _ in quantity.maxima)
            )
            share = quantity.share or NO_SHARE
            shares.append(
                ShareSlots(
                    tuple(SumSlots(sums.take(SUM_WORDS), sums.take(3)) for _ in range(share.sums)),
                    sums.take(share.counts),
                    maxima.take(share.maxima),
                )
            )
        spaces = dict.fromkeys(channel.space for channel in channels)
        coverage = {space: sums.take(1) for space in spaces}
        return cls(
            sums.at,
            maxima.at,
            slots,
            tuple(failed),
            tuple(answers),
            tuple(extremes),
            tuple(shares),
            coverage,
        )

    def blank(self) -> tuple[Sums, Maxima]:
        """The message of a rank that has nothing to say."""
        maxima = np.zeros(self.maxima, PAIR)
        maxima["value"] = ABSENT
        return np.zeros(self.sums, np.uint64), maxima


class _Cursor:
    def __init__(self, at: int) -> None:
        self.at = at

    def take(self, count: int) -> slice:
        self.at += count
        return slice(self.at - count, self.at)
