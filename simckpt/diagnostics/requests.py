"""What the agreed quantities ask of this rank's parts, and how the answers become a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, ldexp, prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..parallel.comm import Maxima, Sums
from .agreeing.agreement import Agreement
from .domain.lacking import lacking
from .domain.locating import Extremes
from .domain.marks import place_mark
from .exact import UNIT_EXPONENT, words_from, words_of
from .expressions import Tree, names_in
from .local import NOWHERE, Part, PartPlan, plan_part
from .message import SUM_WORDS, Layout, MaximumSlots, SumSlots
from .quantities.channels import PARTICLES
from .quantities.shares import Here
from .state import State

if TYPE_CHECKING:
    from .kernels.tables import Totals
    from .sampler import PartTotals, Sampler

Failure = Callable[[str, Exception], None]

MOST_PLANS = 64
"""Programs that are kept: where widths move, each sample has others."""


class _Planned(NamedTuple):
    """The program for a part, and which quantities cannot be had of it, and why."""

    plan: PartPlan
    lacks: tuple[tuple[int, str], ...]


class Requests:
    """The requests of all quantities, numbered, with their places in the message."""

    def __init__(self, agreement: Agreement, rank: int) -> None:
        self._agreement = agreement
        self._rank = rank
        self._layout = agreement.layout
        self._plans: dict[tuple[object, ...], _Planned] = {}
        self._sums: list[tuple[int, Tree, bool, bool, SumSlots]] = []
        self._maxima: list[tuple[int, Tree, MaximumSlots]] = []
        for number, quantity in enumerate(agreement.quantities):
            for request, places in zip(quantity.sums, self._layout.answers[number], strict=True):
                if agreement.channel_sum(request) is None:
                    weighted = request.weight == "volume" and not agreement.even
                    # What is added up to one number may come in several trees.
                    for tree in agreement.terms(request):
                        self._sums.append((number, tree, weighted, request.particles, places))
            for tree, extreme in zip(quantity.maxima, self._layout.extremes[number], strict=True):
                self._maxima.append((number, tree, extreme))

    def head(self, state: State, sums: Sums, maxima: Maxima) -> list[str]:
        """Say that this rank takes part, and in which sample; what of that is no number."""
        sums[Layout.RANKS] = 1
        maxima["place"][Layout.HEAD] = self._rank
        nonsense = []
        for name, place, value in (
            ("step", Layout.STEP, state.step),
            ("t", Layout.TIME, state.t),
            ("dt", Layout.WIDTH, state.dt),
            ("visit", Layout.VISIT, state.visit),
        ):
            # A clock that is no number, or NaN, is as none: this must not raise.
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError):
                nonsense.append(name)
                continue
            if number == number:
                maxima["value"][place] = number, -number
        sums[Layout.UNREADABLE] = state.unreadable + len(nonsense)
        return nonsense

    def fail_all(self, sums: Sums) -> None:
        """Count every diagnostic as failed."""
        for place in self._layout.failed:
            sums[place] = 1
        for slots in self._layout.channels:
            sums[slots.failed] = 1

    def measure(
        self,
        sampler: Sampler,
        particles: bool,
        parts: Sequence[Part],
        failed: set[str],
        sums: Sums,
        maxima: Maxima,
        extremes: Extremes,
        note: Failure,
    ) -> None:
        """Measure the parts of one kind and add what they say to the message.

        The places of extrema that are asked for are left in `extremes`; `note` is told of the
        quantities that cannot be had of a part as it is now.
        """
        self._count_failures(particles, failed, sums)
        for part in parts:
            plan, lacks = self._planned(part, particles, failed)
            for number, text in lacks:
                sums[self._layout.failed[number]] = 1
                note(self._agreement.quantities[number].name, ValueError(text))
            channels = [self._agreement.channels[i] for i in plan.channels]
            edges = self._edges(part)
            if part.space in self._layout.marks:
                sums[self._layout.marks[part.space]] += np.array([part.mark()], np.uint64)
            found = sampler.measure(part, plan, channels, edges)
            self._add(found, sums, maxima)
            for row, channel in enumerate(channels):
                tiles = slice(channel.tiles)
                smallest, largest = found.totals.smallest, found.totals.largest
                extremes.look(part, channel, smallest[row, tiles], largest[row, tiles])
            if not particles:
                sums[Layout.CELLS] += np.uint64(found.totals.cells[0])
                self._place(part, sums, maxima)

    def _place(self, part: Part, sums: Sums, maxima: Maxima) -> None:
        """Say where a box lies, how large its cells are, and how many no channel tells of."""
        volume = part.even_volume
        extremes = (inf, inf) if volume is None else (volume, -volume)
        _raise(maxima, Layout.VOLUME, np.array(extremes))
        sums[Layout.MASKED] += np.uint64(part.where is not None)
        if part.ids is None:
            place = place_mark(self._rank, part.space, part.start, part.shape)
            sums[Layout.PLACES : Layout.PLACES + 1] += np.array([place], np.uint64)
        if part.space not in self._layout.marks:
            sums[Layout.UNSEEN] += np.uint64(prod(part.shape))

    def _edges(self, part: Part) -> tuple[tuple[int, ...], ...]:
        for channel in self._agreement.channels:
            if channel.space == part.space:
                return channel.edges
        # A level that has appeared since has no tiles of its own.
        return tuple((0, n) for n in part.global_shape)

    @property
    def located(self) -> frozenset[str]:
        """The fields whose extrema's places are asked for."""
        shares = (quantity.share for quantity in self._agreement.quantities)
        return frozenset(name for share in shares if share for name in share.locate)

    def share(self, here: Here, failed: Failure, sums: Sums, maxima: Maxima) -> None:
        """Add what this rank gives from elsewhere than its cells; tell `failed` what raised."""
        for number, quantity in enumerate(self._agreement.quantities):
            if quantity.share is None:
                continue
            try:
                share = quantity.share.checked(here)
                counts = np.array(share.counts, np.uint64)
            except Exception as error:  # noqa: BLE001 - a user's callable may raise anything
                sums[self._layout.failed[number]] = 1
                failed(quantity.name, error)
                continue
            slots = self._layout.shares[number]
            for places, term in zip(slots.sums, share.sums, strict=True):
                units = term.value * (1 << -UNIT_EXPONENT)
                sums[places.limbs] = words_from(units.numerator, SUM_WORDS)
                sums[places.counts] = term.nan, term.posinf, term.neginf
            sums[slots.counts] = counts
            maxima["value"][slots.maxima] = share.maxima
            if share.places:
                maxima["place"][slots.maxima] = share.places

    def _count_failures(self, particles: bool, failed: set[str], sums: Sums) -> None:
        if not failed:
            return
        for channel, slots in zip(self._agreement.channels, self._layout.channels, strict=True):
            if (channel.space == PARTICLES) == particles and channel.field in failed:
                sums[slots.failed] = 1
        for number, quantity in enumerate(self._agreement.quantities):
            trees = [r.tree for r in quantity.sums if r.particles == particles]
            if not particles:
                trees += quantity.maxima
            if any(failed & set(names_in(tree)) for tree in trees):
                sums[self._layout.failed[number]] = 1

    def _planned(self, part: Part, particles: bool, failed: set[str]) -> _Planned:
        """The program for a part; made again only when what can be measured changes."""
        have = frozenset(part.arrays) - failed
        key = (have, part.kind)
        if key not in self._plans:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            self._plans[key] = self._plan(part, particles, have)
        return self._plans[key]

    def _plan(self, part: Part, particles: bool, have: frozenset[str]) -> _Planned:
        lacks: dict[int, str] = {}
        single, masked = self._agreement.single, self._agreement.masked
        for number, quantity in enumerate(self._agreement.quantities):
            trees = () if particles else (*(r.tree for r in quantity.sums), *quantity.maxima)
            for tree in trees:
                if text := lacking(tree, part, single, masked=masked):
                    lacks[number] = text
        channels = [
            (i, channel)
            for i, channel in enumerate(self._agreement.channels)
            if channel.space == part.space and channel.field in have
        ]
        weight = self._weight(part)
        asked = [
            (i, part.with_numbers(tree), weight if weighted else None)
            for i, (number, tree, weighted, of_particles, _) in enumerate(self._sums)
            if of_particles == particles and number not in lacks
            if have.issuperset(names_in(tree))
        ]
        extremes = [
            (i, part.with_numbers(tree))
            for i, (number, tree, _) in enumerate(self._maxima)
            if not particles and number not in lacks and have.issuperset(names_in(tree))
        ]
        plan = plan_part(channels, asked, extremes, masked=part.where is not None)
        return _Planned(plan, tuple(lacks.items()))

    def _weight(self, part: Part) -> Tree:
        """The volume of a cell, so scaled that no product with a finite value overflows."""
        smaller: Tree = ("number", ldexp(1.0, -self._agreement.scale))
        return ("multiply", part.with_numbers(part.volume_tree), smaller)

    def _add(self, found: PartTotals, sums: Sums, maxima: Maxima) -> None:
        totals = found.totals
        for row, index in enumerate(found.plan.channels):
            self._add_channel(totals, row, index, sums, maxima)
        for row, (index, _, _) in enumerate(found.plan.sums):
            places = self._sums[index][-1]
            sums[places.limbs] += words_of(totals.sum_limbs[row], SUM_WORDS)
            sums[places.counts] += totals.sum_counts[row].astype(np.uint64)
        for row, (index, _) in enumerate(found.plan.maxima):
            extreme = self._maxima[index][-1]
            _raise(maxima, extreme.top, totals.top[row : row + 1])
            sums[extreme.missing] += totals.missing[row : row + 1].astype(np.uint64)

    def _add_channel(
        self, totals: Totals, row: int, index: int, sums: Sums, maxima: Maxima
    ) -> None:
        slots = self._layout.channels[index]
        tiles = self._agreement.channels[index].tiles
        sums[slots.counts] += totals.counts[row].view(np.uint64)
        sums[slots.limbs] += words_of(totals.limbs[row, :tiles], SUM_WORDS).ravel()
        sums[slots.digest] += totals.digest[row, :tiles]
        sums[slots.finite] += totals.finite[row, :tiles].view(np.uint64)
        _raise(maxima, slots.largest, totals.largest[row, :tiles])
        _raise(maxima, slots.smallest, -totals.smallest[row, :tiles])
        first = int(totals.first[row])
        if first != NOWHERE:
            _raise(maxima, slots.first, np.array([-float(first)]))


def _raise(maxima: Maxima, place: slice, values: NDArray[np.float64]) -> None:
    here = maxima["value"][place]
    np.maximum(here, values, out=here)
