"""What the planned quantities ask of this rank's parts, and how the answers become a message."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, ldexp, nan, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..parallel.comm import Maxima, Sums
from .coverage import placement_checksum
from .exact import UNIT_EXPONENT, words_from
from .expressions import Tree, names_in
from .global_plan import GlobalPlan
from .local_extrema import locate
from .local_parts import NOWHERE, Note, Part, PartPlan, lacking, plan_part
from .message import ABSENT, SUM_WORDS, MaximumSlots, MessageLayout, SumSlots
from .quantities.base import PARTICLES, Channel, LocalState
from .state import Extremes, State

if TYPE_CHECKING:
    from .kernels.sweep import Totals
    from .local_sweep import KernelRunner

LOW_WORD = 0xFFFFFFFF

MOST_PLANS = 64
"""Programs that are cached: where widths move, each sample has others."""


class PlannedPart(NamedTuple):
    """The program for a part, and which quantities cannot be had of it, and why."""

    plan: PartPlan
    channels: tuple[Channel, ...]
    edges: tuple[tuple[int, ...], ...]
    lacks: tuple[tuple[int, str], ...]
    space: int


class MessageWriter:
    """The requests of all quantities, numbered, with their places in the message."""

    def __init__(self, plan: GlobalPlan, rank: int) -> None:
        self._plan = plan
        self._rank = rank
        self._layout = plan.layout
        self._parts: dict[tuple[object, ...], PlannedPart] = {}
        self._sums: list[tuple[int, Tree, bool, bool, SumSlots]] = []
        self._maxima: list[tuple[int, Tree, MaximumSlots]] = []
        for number, quantity in enumerate(plan.quantities):
            for request, places in zip(quantity.sums, self._layout.answers[number], strict=True):
                if plan.channel_sum(request) is None:
                    weighted = request.weight == "volume" and not plan.even
                    # What is added up to one number may come in several trees.
                    for tree in plan.terms(request):
                        self._sums.append((number, tree, weighted, request.particles, places))
            for tree, extreme in zip(quantity.maxima, self._layout.extremes[number], strict=True):
                self._maxima.append((number, tree, extreme))
        self.shares = [
            (number, quantity.name, quantity.share)
            for number, quantity in enumerate(plan.quantities)
            if quantity.share is not None
        ]
        self.located = frozenset(name for _, _, share in self.shares for name in share.locate)
        """The fields whose extrema's places are asked for."""

    def blank(self) -> tuple[Sums, Maxima]:
        """The message of this rank before anything is measured."""
        sums, maxima = self._layout.blank()
        sums[MessageLayout.RANKS] = 1
        maxima["place"][MessageLayout.HEAD] = self._rank
        return sums, maxima

    def clock(self, state: State) -> tuple[list[float], list[str]]:
        """Which sample this is, as maxima; and what of that is no number. Never raises."""
        clock: list[float] = []
        nonsense = []
        for name, value in (
            ("step", state.step),
            ("t", state.t),
            ("dt", state.dt),
            ("visit", state.visit),
        ):
            # A clock that is no number, or NaN, is as none.
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError):
                nonsense.append(name)
                number = nan
            clock += [number, -number] if number == number else [ABSENT, ABSENT]
        return clock, nonsense

    def unreadable(self, step: int) -> tuple[Sums, Maxima]:
        """The message of a rank that is at `step`, with every diagnostic counted as failed."""
        sums, maxima = self.blank()
        clock, nonsense = self.clock(State(step=step))
        maxima["value"][MessageLayout.CLOCK] = clock
        sums[MessageLayout.UNREADABLE] = len(nonsense)
        for place in (*self._layout.failed, *(slots.failed for slots in self._layout.channels)):
            sums[place] = 1
        return sums, maxima

    def measure(
        self,
        runner: KernelRunner,
        parts: Sequence[Part],
        failed: set[str],
        sums: Sums,
        maxima: Maxima,
        extremes: Extremes,
        note: Note,
        *,
        particles: bool = False,
    ) -> None:
        """Measure the parts of one kind and add the answers to the message.

        The places of extrema that are asked for are added to `extremes`; `note` is told of the
        quantities that cannot be had of a part as it is now.
        """
        self._count_failures(failed, sums, particles=particles)
        for part in parts:
            planned = self.planned(part, failed)
            for number, text in planned.lacks:
                sums[self._layout.failed[number]] = 1
                note(self._plan.quantities[number].name, ValueError(text))
            self.describe(part, sums, maxima)
            totals = runner.measure(part, planned.plan, planned.channels, planned.edges)
            self.add(planned, totals, sums, maxima)
            if self.located:
                locate(extremes, self.located, part, planned.channels, totals)

    def describe(self, part: Part, sums: Sums, maxima: Maxima) -> None:
        """Say which cells these are, how large they are, and how many no channel tells of."""
        if part.space in self._layout.coverage:
            sums[self._layout.coverage[part.space]] += np.array([part.checksum()], np.uint64)
        if part.space == PARTICLES:
            return
        volume = part.even_volume
        extremes = (inf, inf) if volume is None else (volume, -volume)
        _raise(maxima["value"], MessageLayout.VOLUME, np.array(extremes))
        sums[MessageLayout.MASKED] += np.uint64(part.where is not None)
        if part.ids is None:
            place = placement_checksum(self._rank, part.space, part.start, part.shape)
            one = slice(MessageLayout.PLACES, MessageLayout.PLACES + 1)
            sums[one] += np.array([place], np.uint64)
        if part.space not in self._layout.coverage:
            sums[MessageLayout.UNSEEN] += np.uint64(prod(part.shape))

    def add(self, planned: PlannedPart, totals: Totals, sums: Sums, maxima: Maxima) -> None:
        """Add the totals of a part to the message."""
        plan, values = planned.plan, maxima["value"]
        for row, index in enumerate(plan.channels):
            slots, tiles = self._layout.channels[index], planned.channels[row].tiles
            sums[slots.counts] += totals.counts[row].view(np.uint64)
            limbs = totals.limbs[row, :tiles, :SUM_WORDS] & LOW_WORD
            sums[slots.limbs] += limbs.view(np.uint64).ravel()
            sums[slots.digest] += totals.digest[row, :tiles]
            sums[slots.finite] += totals.finite[row, :tiles].view(np.uint64)
            top, bottom = values[slots.largest], values[slots.smallest]
            np.maximum(top, totals.largest[row, :tiles], out=top)
            np.maximum(bottom, -totals.smallest[row, :tiles], out=bottom)
            first = int(totals.first[row])
            if first != NOWHERE:
                _raise(values, slots.first, np.array([-float(first)]))
        for row, (index, _, _) in enumerate(plan.sums):
            places = self._sums[index][-1]
            limbs = totals.sum_limbs[row, :SUM_WORDS] & LOW_WORD
            sums[places.limbs] += limbs.view(np.uint64)
            sums[places.counts] += totals.sum_counts[row].view(np.uint64)
        for row, (index, _) in enumerate(plan.maxima):
            extreme = self._maxima[index][-1]
            _raise(values, extreme.top, totals.top[row : row + 1])
            sums[extreme.missing] += totals.missing[row : row + 1].view(np.uint64)
        if planned.space != PARTICLES:
            sums[MessageLayout.CELLS] += totals.cells.view(np.uint64)[0]

    def share(self, here: LocalState, note: Note, sums: Sums, maxima: Maxima) -> None:
        """Add what this rank gives from elsewhere than its cells; `note` is told what raised."""
        for number, name, request in self.shares:
            try:
                share = request.checked(here)
                counts = np.array(share.counts, np.uint64)
            except Exception as error:  # noqa: BLE001 - a user's callable may raise anything
                sums[self._layout.failed[number]] = 1
                note(name, error)
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

    def _count_failures(self, failed: set[str], sums: Sums, *, particles: bool) -> None:
        if not failed:
            return
        for channel, slots in zip(self._plan.channels, self._layout.channels, strict=True):
            if (channel.space == PARTICLES) == particles and channel.field in failed:
                sums[slots.failed] = 1
        for number, quantity in enumerate(self._plan.quantities):
            trees = [r.tree for r in quantity.sums if r.particles == particles]
            if not particles:
                trees += quantity.maxima
            if any(failed & set(names_in(tree)) for tree in trees):
                sums[self._layout.failed[number]] = 1

    def planned(self, part: Part, failed: set[str]) -> PlannedPart:
        """The program for a part; made again only when what can be measured changes."""
        fields = frozenset(part.arrays) - failed
        key = (fields, part.kind)
        if key not in self._parts:
            if len(self._parts) >= MOST_PLANS:
                self._parts.clear()
            self._parts[key] = self._plan_part(part, fields)
        return self._parts[key]

    def _plan_part(self, part: Part, fields: frozenset[str]) -> PlannedPart:
        particles = part.space == PARTICLES
        lacks: dict[int, str] = {}
        for number, quantity in enumerate(self._plan.quantities):
            trees = () if particles else (*(r.tree for r in quantity.sums), *quantity.maxima)
            for tree in trees:
                if text := lacking(tree, part, self._plan.single, masked=self._plan.masked):
                    lacks[number] = text
        channels = [
            (i, channel)
            for i, channel in enumerate(self._plan.channels)
            if channel.space == part.space and channel.field in fields
        ]
        # The volume of a cell, so scaled that no product with a finite value overflows.
        smaller: Tree = ("number", ldexp(1.0, -self._plan.scale))
        weight: Tree = ("multiply", part.with_numbers(part.volume_tree), smaller)
        sums = [
            (i, part.with_numbers(tree), weight if weighted else None)
            for i, (number, tree, weighted, of_particles, _) in enumerate(self._sums)
            if of_particles == particles and number not in lacks
            if fields.issuperset(names_in(tree))
        ]
        maxima = [
            (i, part.with_numbers(tree))
            for i, (number, tree, _) in enumerate(self._maxima)
            if not particles and number not in lacks and fields.issuperset(names_in(tree))
        ]
        # A level that has appeared since the first sample has no tiles of its own.
        edges: tuple[tuple[int, ...], ...] = tuple((0, n) for n in part.global_shape)
        for channel in self._plan.channels:
            if channel.space == part.space:
                edges = channel.edges
        plan = plan_part(channels, sums, maxima, masked=part.where is not None)
        chosen = tuple(channel for _, channel in channels)
        return PlannedPart(plan, chosen, edges, tuple(lacks.items()), part.space)


def _raise(values: NDArray[np.float64], place: slice, more: NDArray[Any]) -> None:
    here = values[place]
    np.maximum(here, more, out=here)
