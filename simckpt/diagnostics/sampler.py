"""Runs the kernels over this rank's parts and adds up what they find.

Importing this module imports numba; the probe does so when it measures for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .devices.sweep import DeviceSweep, host_blocks, on_device, reduced_there
from .domain.walk import memory_order, plan_walk, view_table
from .kernels import program as codes
from .kernels.folds import LONGEST
from .kernels.gather import CODES
from .kernels.limbs import LIMBS
from .kernels.scatter import carry_all, sweep_ids
from .kernels.sweep import SPARE_BUFFERS, sweep
from .kernels.tables import Inputs, Layout, Plan, Totals, Workspace
from .local import MASK, NOWHERE, Part, PartPlan, plan_part
from .quantities.channels import PARTICLES, Channel

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
