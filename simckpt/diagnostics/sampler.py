"""Runs the kernels over this rank's parts and adds up what they find.

Importing this module imports numba; the probe does so when it measures for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from math import inf, ldexp, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..parallel.comm import Maxima, Sums
from .coverage_checksum import place_mark
from .devices.sweep import DeviceSweep, host_blocks, on_device, reduced_there
from .exact import UNIT_EXPONENT, words_from, words_of
from .expressions import Tree, names_in
from .grid import lacking
from .kernels import program as codes
from .kernels.gather import CODES
from .kernels.scatter import carry_all, sweep_ids
from .kernels.sums import LIMBS, LONGEST
from .kernels.sweep import SPARE_BUFFERS, Inputs, Layout, Plan, Totals, Workspace, sweep
from .local_parts import MASK, NOWHERE, Part, PartPlan, plan_part
from .message import SUM_WORDS, MaximumSlots, SumSlots
from .message import Layout as LayoutOfMessage
from .quantities.base import PARTICLES, Channel, LocalState
from .setup import Agreement
from .state import State
from .views import Extremes, memory_order, plan_walk, view_table

if TYPE_CHECKING:
    from .kernels.sweep import Totals

OPERATIONS: Mapping[str, int] = {
    name: getattr(codes, name.upper())
    for name in (
        "add", "subtract", "multiply", "divide", "power", "minimum", "maximum", "hypot",
        "arctan2", "less", "less_equal", "equal", "not_equal", "negative", "abs", "sqrt",
        "square", "sign", "floor", "ceil", "exp", "log", "log10", "sin", "cos", "tan", "sinh",
        "cosh", "tanh", "arcsin", "arccos", "arctan", "where",
    )
}  # fmt: skip

LASTING = frozenset({"field", "shifted", "high", "low"})
"""Leaves that are views of the driver's arrays, and last as long as the part does."""

IDS = 1 << 16
"""Items whose ids are read at a time."""

MOST_LAYOUTS = 4096
"""Boxes whose ways are kept; refinement makes ever new ones."""

MOST_PLANS = 256
"""The same of programs, where widths move."""

FIRST_TRIED = -90
"""Exponent of the low fold before anything is known of a field: for values of up to 2**12."""


@dataclass(frozen=True, eq=False)
class PartTotals:
    """What a sweep of one part found, for the channels, sums and maxima of its plan."""

    plan: PartPlan
    totals: Totals


class Sampler:
    """Sweeps parts with reusable buffers.

    Parameters
    ----------
    threads : int
        Threads that share the tiles of a part. The result does not depend on it.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._workspaces: dict[int, Workspace] = {}
        self._layouts: dict[tuple[tuple[int, ...], ...], Layout] = {}
        self._plans: dict[PartPlan, Plan] = {}
        self._scales: dict[tuple[str, int], int] = {}
        self._totals: dict[int, tuple[PartPlan, Totals]] = {}
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def measure(
        self,
        part: Part,
        plan: PartPlan,
        channels: Sequence[Channel],
        edges: Sequence[Sequence[int]],
    ) -> PartTotals:
        """Measure `part`; `channels` are those of the plan, in its order."""
        if on_device(part):
            return self._measure_there(part, plan, channels, edges)
        if plan not in self._plans:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            self._plans[plan] = _kernel_plan(plan)
        if plan in part.prepared:
            layout, inputs = part.prepared[plan]
            return PartTotals(plan, self._sweep(layout, inputs, plan, channels))
        arrays = [np.asarray(part.leaf(leaf)) for leaf in plan.program.leaves]
        order = memory_order(arrays[0]) if arrays else tuple(range(len(part.shape)))
        views = view_table(arrays, order, CODES)
        mask = plan.program.leaves.index(MASK) if MASK in plan.program.leaves else -1
        inputs = Inputs(views, len(channels), mask)
        if part.ids is not None:
            totals = _totals(channels, plan)
            tile_edges = np.array(edges[0], np.int64)
            work = self._workspace(0, plan)
            # Block by block: ids of another type or layout are copied.
            for begin in range(0, part.ids.size, IDS):
                ids = np.ascontiguousarray(part.ids[begin : begin + IDS], dtype=np.int64)
                sweep_ids(ids, tile_edges, inputs, self._plans[plan], totals, work)
                views[:, 0] += ids.size * views[:, 6]
            return PartTotals(plan, totals)
        layout = self._layout(part, order, edges)
        if all(leaf[0] in LASTING for leaf in plan.program.leaves):
            part.prepared[plan] = layout, inputs
        return PartTotals(plan, self._sweep(layout, inputs, plan, channels))

    def _measure_there(
        self,
        part: Part,
        plan: PartPlan,
        channels: Sequence[Channel],
        edges: Sequence[Sequence[int]],
    ) -> PartTotals:
        """Measure a part that lies on a device: there, or copied block by block."""
        totals = _totals(channels, plan)
        if reduced_there(part):
            DeviceSweep(part, plan, channels, totals).run(edges)
        else:
            for block in host_blocks(part):
                merge(totals, self.measure(block, plan, channels, edges).totals)
                carry_all(totals)
        return PartTotals(plan, totals)

    def _layout(self, part: Part, order: tuple[int, ...], edges: Sequence[Sequence[int]]) -> Layout:
        key = (part.start, part.shape, part.global_shape, order)
        if key not in self._layouts:
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            walk = plan_walk(part.start, part.shape, part.global_shape, order, edges)
            self._layouts[key] = Layout(
                walk.pieces, walk.begin, walk.end, walk.tile, walk.origin, walk.steps
            )
        return self._layouts[key]

    def _sweep(
        self, layout: Layout, inputs: Inputs, plan: PartPlan, channels: Sequence[Channel]
    ) -> Totals:
        threads = min(self._threads, int(np.prod(layout.pieces)))

        if self._pool is None:
            threads = 1
        # The threads meet in no Python code: they would take turns at it.
        claims = np.zeros(1, np.int64)
        # Which folds hold the values was found out in the sample before: it speeds up this one.
        names = [(channel.field, channel.space) for channel in channels]
        scales = [self._scales.get(name, FIRST_TRIED) for name in names]
        found = [self._accumulators(thread, channels, plan, scales) for thread in range(threads)]
        works = [self._workspace(thread, plan) for thread in range(threads)]
        wanted = layout, inputs, self._plans[plan]
        others = [
            self._pool.submit(partial(sweep, *wanted, totals, work, claims))
            for totals, work in zip(found[1:], works[1:], strict=True)
            if self._pool is not None
        ]
        sweep(*wanted, found[0], works[0], claims)
        self._scales.update(zip(names, found[0].scale.tolist(), strict=True))
        for other, totals in zip(others, found[1:], strict=True):
            other.result()
            merge(found[0], totals)
        if others:
            carry_all(found[0])
        return found[0]

    def _accumulators(
        self, thread: int, channels: Sequence[Channel], plan: PartPlan, scales: Sequence[int]
    ) -> Totals:
        """Blank accumulators, which hold until the same plan is swept again."""
        before, totals = self._totals.get(thread, (None, None))
        if before is not plan or totals is None:
            totals = _totals(channels, plan, scales)
            self._totals[thread] = plan, totals
            return totals
        for name in _ZEROED:
            getattr(totals, name).fill(0)
        totals.first.fill(NOWHERE)
        totals.scale[:] = scales
        totals.smallest.fill(np.inf)
        totals.largest.fill(-np.inf)
        totals.top.fill(-np.inf)
        return totals

    def _workspace(self, thread: int, plan: PartPlan) -> Workspace:
        work = self._workspaces.get(thread)
        rows = plan.program.buffers + SPARE_BUFFERS
        if work is None or work.values.shape[0] < rows:
            work = Workspace(
                values=np.zeros((rows, LONGEST)),
                words=np.zeros((rows, LONGEST), np.uint64),
                keys=np.zeros((2, LONGEST), np.uint64),
                raw=np.zeros(4, np.uint64),
                sums=np.zeros(7, np.int64),
                addresses=np.zeros((5, rows), np.uint64),
                box=np.zeros((2, 4), np.int64),
            )
            self._workspaces[thread] = work
        return work


_ADDED = ("limbs", "counts", "digest", "finite", "sum_limbs", "sum_counts", "missing", "cells")
"""What adds up of accumulators."""

_ZEROED = (*_ADDED, "pending", "guess")


def merge(into: Totals, other: Totals) -> None:
    """Add the findings of `other`, in any order; carries are left to be passed on."""
    for name in _ADDED:
        getattr(into, name)[...] += getattr(other, name)
    np.minimum(into.first, other.first, out=into.first)
    np.minimum(into.smallest, other.smallest, out=into.smallest)
    np.maximum(into.largest, other.largest, out=into.largest)
    np.maximum(into.top, other.top, out=into.top)


def _kernel_plan(plan: PartPlan) -> Plan:
    rows = [(OPERATIONS[name], *places) for name, *places in plan.program.operations]
    return Plan(
        np.array(rows, np.int64).reshape(-1, 5),
        np.array(plan.program.constants, np.float64),
        plan.program.buffers,
        np.array([s[1:] for s in plan.sums], np.int64).reshape(-1, 2),
        np.array([m[1] for m in plan.maxima], np.int64),
    )


def _totals(
    channels: Sequence[Channel], plan: PartPlan, scales: Sequence[int] | None = None
) -> Totals:
    fields, sums, maxima = len(channels), len(plan.sums), len(plan.maxima)
    tiles = max((channel.tiles for channel in channels), default=1)

    def zeros(*shape: int) -> NDArray[Any]:
        return np.zeros(shape, np.int64)

    return Totals(
        limbs=zeros(fields, tiles, LIMBS),
        counts=zeros(fields, 3),
        first=np.full(fields, NOWHERE, np.int64),
        scale=np.array(scales or [FIRST_TRIED] * fields, np.int64),
        seeds=np.array([channel.seed for channel in channels], np.uint64),
        digest=np.zeros((fields, tiles), np.uint64),
        smallest=np.full((fields, tiles), np.inf),
        largest=np.full((fields, tiles), -np.inf),
        finite=zeros(fields, tiles),
        pending=zeros(fields, 4),
        sum_limbs=zeros(sums, LIMBS),
        sum_counts=zeros(sums, 3),
        guess=zeros(sums, 2),
        top=np.full(maxima, -np.inf),
        missing=zeros(maxima),
        cells=zeros(1),
    )


@cache
def ready_grids() -> None:
    """Compile the kernels of grids, or load them, by sweeping a single cell."""
    one = Part(0, (0,), (1,), (1,), {"f": np.ones(1)})
    channel = Channel("f", 0, "f8", (1,), ((0, 1),))
    plan = plan_part([(0, channel)], [], [], masked=False)
    Sampler().measure(one, plan, [channel], channel.edges)


@cache
def ready_ids() -> None:
    """Compile the kernels of what carries ids, or load them, by sweeping a single particle."""
    one = Part(PARTICLES, (0,), (1,), (1,), {"x": np.ones(1)}, ids=np.zeros(1, np.int64))
    channel = Channel("x", PARTICLES, "f8", (1,), ((0, 1),))
    plan = plan_part([(0, channel)], [], [], masked=False)
    Sampler().measure(one, plan, [channel], channel.edges)


# What the agreed quantities ask of this rank's parts, and how the answers become a message.


Failure = Callable[[str, Exception], None]

MOST_PLANS_REQUESTS = 64
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
        sums[LayoutOfMessage.RANKS] = 1
        maxima["place"][LayoutOfMessage.HEAD] = self._rank
        nonsense = []
        for name, place, value in (
            ("step", LayoutOfMessage.STEP, state.step),
            ("t", LayoutOfMessage.TIME, state.t),
            ("dt", LayoutOfMessage.WIDTH, state.dt),
            ("visit", LayoutOfMessage.VISIT, state.visit),
        ):
            # A clock that is no number, or NaN, is as none: this must not raise.
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError):
                nonsense.append(name)
                continue
            if number == number:
                maxima["value"][place] = number, -number
        sums[LayoutOfMessage.UNREADABLE] = state.unreadable + len(nonsense)
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
                sums[LayoutOfMessage.CELLS] += np.uint64(found.totals.cells[0])
                self._place(part, sums, maxima)

    def _place(self, part: Part, sums: Sums, maxima: Maxima) -> None:
        """Say where a box lies, how large its cells are, and how many no channel tells of."""
        volume = part.even_volume
        extremes = (inf, inf) if volume is None else (volume, -volume)
        _raise(maxima, LayoutOfMessage.VOLUME, np.array(extremes))
        sums[LayoutOfMessage.MASKED] += np.uint64(part.where is not None)
        if part.ids is None:
            place = place_mark(self._rank, part.space, part.start, part.shape)
            sums[LayoutOfMessage.PLACES : LayoutOfMessage.PLACES + 1] += np.array(
                [place], np.uint64
            )
        if part.space not in self._layout.marks:
            sums[LayoutOfMessage.UNSEEN] += np.uint64(prod(part.shape))

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

    def share(self, here: LocalState, failed: Failure, sums: Sums, maxima: Maxima) -> None:
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
            if len(self._plans) >= MOST_PLANS_REQUESTS:
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
