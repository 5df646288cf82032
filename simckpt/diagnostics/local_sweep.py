"""Runs the kernels over the parts of this rank.

Importing this module imports numba; the sampler of a rank does so at its first sample.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np

from .devices.device_sweep import DeviceSweep, host_blocks, on_device, reducible_part
from .kernel_cache import lock_path, one_at_first
from .kernels import program as codes
from .kernels.gather import CODES
from .kernels.scatter import carry_all, sweep_ids
from .kernels.sums import LIMBS, LONGEST
from .kernels.sweep import SPARE_BUFFERS, Inputs, SweepProgram, Totals, Workspace, sweep
from .local_parts import MASK, NOWHERE, Part, PartPlan, plan_part
from .quantities.base import PARTICLES, Channel
from .tiles import Walk, memory_order, plan_walk, view_table

OPERATIONS: Mapping[str, int] = {
    name: getattr(codes, name.upper())
    for name in (
        "add", "subtract", "multiply", "divide", "power", "minimum", "maximum", "hypot",
        "arctan2", "less", "less_equal", "equal", "not_equal", "negative", "abs", "sqrt",
        "square", "sign", "floor", "ceil", "exp", "log", "log10", "sin", "cos", "tan", "sinh",
        "cosh", "tanh", "arcsin", "arccos", "arctan", "where",
    )
}  # fmt: skip

DRIVERS = frozenset({"field", "shifted", "high", "low"})
"""Leaves that are views of the driver's arrays."""

IDS = 1 << 16
"""Items whose ids are read at a time."""

MOST_WALKS = 4096
"""Boxes whose walks are cached; refinement makes ever new ones."""

MOST_PROGRAMS = 256
"""The same of programs, where widths move."""

FIRST_SCALE = -90
"""Exponent of the low fold before anything is known of a field: for values of up to 2**12."""

_ADDED = ("limbs", "counts", "digest", "finite", "sum_limbs", "sum_counts", "missing", "cells")
"""The accumulators that add up over threads and blocks."""


class Accumulators:
    """The totals of a sweep, in one buffer of which a copy is kept blank."""

    def __init__(
        self, channels: Sequence[Channel], plan: PartPlan, scales: Mapping[tuple[str, int], int]
    ) -> None:
        fields, sums, maxima = len(channels), len(plan.sums), len(plan.maxima)
        tiles = max((channel.tiles for channel in channels), default=1)
        self.names = [(channel.field, channel.space) for channel in channels]
        blanks: dict[str, tuple[tuple[int, ...], type, Any]] = {
            "limbs": ((fields, tiles, LIMBS), np.int64, 0),
            "counts": ((fields, 3), np.int64, 0),
            "first": ((fields,), np.int64, NOWHERE),
            "scale": ((fields,), np.int64, [scales.get(name, FIRST_SCALE) for name in self.names]),
            "seeds": ((fields,), np.uint64, [channel.seed for channel in channels]),
            "digest": ((fields, tiles), np.uint64, 0),
            "smallest": ((fields, tiles), np.float64, inf),
            "largest": ((fields, tiles), np.float64, -inf),
            "finite": ((fields, tiles), np.int64, 0),
            "pending": ((fields, 4), np.int64, 0),
            "sum_limbs": ((sums, LIMBS), np.int64, 0),
            "sum_counts": ((sums, 3), np.int64, 0),
            "guess": ((sums, 2), np.int64, 0),
            "top": ((maxima,), np.float64, -inf),
            "missing": ((maxima,), np.int64, 0),
            "cells": ((1,), np.int64, 0),
        }
        self.buffer = np.zeros(sum(prod(shape) for shape, _, _ in blanks.values()), np.int64)
        arrays: dict[str, Any] = {}
        begin = 0
        for name, (shape, kind, value) in blanks.items():
            size = prod(shape)
            arrays[name] = self.buffer[begin : begin + size].view(kind).reshape(shape)
            arrays[name][...] = np.array(value, kind)
            if name == "scale":
                self._scale = slice(begin, begin + size)
            begin += size
        self.totals = Totals(**arrays)
        self.blank = self.buffer.copy()

    def keep_scales(self) -> None:
        """Begin the next sweep with the folds that held the values of this one."""
        self.blank[self._scale] = self.totals.scale

    def merge(self, other: Accumulators) -> None:
        """Add the totals of `other`, in any order; carries are left to be passed on."""
        into, more = self.totals, other.totals
        for name in _ADDED:
            getattr(into, name)[...] += getattr(more, name)
        np.minimum(into.first, more.first, out=into.first)
        np.minimum(into.smallest, more.smallest, out=into.smallest)
        np.maximum(into.largest, more.largest, out=into.largest)
        np.maximum(into.top, more.top, out=into.top)


class SweepJob(NamedTuple):
    """The sweep of one box, to be run as often as its arrays lie where they lie now."""

    walk: Walk
    inputs: Inputs
    program: SweepProgram
    accumulators: Sequence[Accumulators]
    """One for each thread."""
    workspaces: Sequence[Workspace]
    arrays: Sequence[Any]
    """What `inputs` has the addresses of and nobody else holds: never an array of the driver."""


class KernelRunner:
    """Runs the kernels with buffers that it uses again.

    Parameters
    ----------
    threads : int
        Threads that share the tiles of a part. The result does not depend on it.
    """

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        self._workspaces: list[Workspace | None] = [None] * threads
        self._walks: dict[tuple[tuple[int, ...], ...], Walk] = {}
        self._programs: dict[PartPlan, SweepProgram] = {}
        self._scales: dict[tuple[str, int], int] = {}
        self._accumulators: tuple[PartPlan | None, list[Accumulators]] = (None, [])

    def measure(
        self,
        part: Part,
        plan: PartPlan,
        channels: Sequence[Channel],
        edges: Sequence[Sequence[int]],
    ) -> Totals:
        """Measure `part`; `channels` are those of the plan, in its order."""
        if on_device(part):
            total = Accumulators(channels, plan, self._scales)
            if reducible_part(part):
                DeviceSweep(part, plan, channels, total.totals).run(edges)
                return total.totals
            for block in host_blocks(part):
                self.measure(block, plan, channels, edges)
                total.merge(self._accumulators[1][0])
                carry_all(total.totals)
            return total.totals
        if part.ids is None:
            return self.run(self.job(part, plan, channels, edges))
        arrays = [np.asarray(part.leaf(leaf)) for leaf in plan.program.leaves]
        inputs = self._inputs(arrays, (0,), plan, channels)
        program, accumulators = self._program(plan), self._blank(1, plan, channels)[0]
        accumulators.buffer[:] = accumulators.blank
        tile_edges = np.array(edges[0], np.int64)
        # Block by block: ids of another type or layout are copied.
        for begin in range(0, part.ids.size, IDS):
            ids = np.ascontiguousarray(part.ids[begin : begin + IDS], dtype=np.int64)
            work = self._workspace(0, plan)
            sweep_ids(ids, tile_edges, inputs, program, accumulators.totals, work)
            inputs.views[:, 0] += ids.size * inputs.views[:, 6]
        return accumulators.totals

    def job(
        self,
        part: Part,
        plan: PartPlan,
        channels: Sequence[Channel],
        edges: Sequence[Sequence[int]],
    ) -> SweepJob:
        """The sweep of a box that lies in host memory."""
        leaves = plan.program.leaves
        arrays = [np.asarray(part.leaf(leaf)) for leaf in leaves]
        order = memory_order(arrays[0]) if arrays else tuple(range(len(part.shape)))
        key = (part.start, part.shape, part.global_shape, order)
        if key not in self._walks:
            if len(self._walks) >= MOST_WALKS:
                self._walks.clear()
            self._walks[key] = plan_walk(*key, edges)
        walk = self._walks[key]
        threads = min(len(self._workspaces), prod(walk.pieces.tolist()))
        return SweepJob(
            walk,
            self._inputs(arrays, order, plan, channels),
            self._program(plan),
            self._blank(threads, plan, channels),
            [self._workspace(thread, plan) for thread in range(threads)],
            [a for a, leaf in zip(arrays, leaves, strict=True) if leaf[0] not in DRIVERS],
        )

    def run(self, job: SweepJob) -> Totals:
        """Measure a box; the totals are good until the next sweep."""
        walk, inputs, program, accumulators, workspaces, _ = job
        # The threads meet in no Python code: they would take turns at it.
        claims = np.zeros(1, np.int64)
        first = accumulators[0]
        first.buffer[:] = first.blank
        threads = []
        if self._pool is not None:
            for more, work in zip(accumulators[1:], workspaces[1:], strict=True):
                more.buffer[:] = more.blank
                run = partial(sweep, walk, inputs, program, more.totals, work, claims)
                threads.append((self._pool.submit(run), more))
        sweep(walk, inputs, program, first.totals, workspaces[0], claims)
        # Which folds hold the values speeds up the next sample.
        first.keep_scales()
        for thread, more in threads:
            thread.result()
            more.keep_scales()
            first.merge(more)
        if threads:
            carry_all(first.totals)
        return first.totals

    def _inputs(
        self,
        arrays: Sequence[np.ndarray[Any, Any]],
        order: Sequence[int],
        plan: PartPlan,
        channels: Sequence[Channel],
    ) -> Inputs:
        leaves = plan.program.leaves
        mask = leaves.index(MASK) if MASK in leaves else -1
        return Inputs(view_table(arrays, order, CODES), len(channels), mask)

    def _program(self, plan: PartPlan) -> SweepProgram:
        if plan not in self._programs:
            if len(self._programs) >= MOST_PROGRAMS:
                self._programs.clear()
            rows = [(OPERATIONS[name], *places) for name, *places in plan.program.operations]
            self._programs[plan] = SweepProgram(
                np.array(rows, np.int64).reshape(-1, 5),
                np.array(plan.program.constants, np.float64),
                plan.program.buffers,
                np.array([s[1:] for s in plan.sums], np.int64).reshape(-1, 2),
                np.array([m[1] for m in plan.maxima], np.int64),
            )
        return self._programs[plan]

    def _blank(
        self, threads: int, plan: PartPlan, channels: Sequence[Channel]
    ) -> list[Accumulators]:
        """Accumulators for so many threads: those of the sweep before, if it was of this plan."""
        previous, accumulators = self._accumulators
        if previous is not plan:
            for one in accumulators[:1]:
                self._scales.update(zip(one.names, one.totals.scale.tolist(), strict=True))
            accumulators = []
            self._accumulators = plan, accumulators
        while len(accumulators) < threads:
            accumulators.append(Accumulators(channels, plan, self._scales))
        return accumulators[:threads]

    def _workspace(self, thread: int, plan: PartPlan) -> Workspace:
        work = self._workspaces[thread]
        rows = plan.program.buffers + SPARE_BUFFERS
        if work is None or work.values.shape[0] < rows:
            work = self._workspaces[thread] = Workspace(
                values=np.zeros((rows, LONGEST)),
                words=np.zeros((rows, LONGEST), np.uint64),
                keys=np.zeros((2, LONGEST), np.uint64),
                raw=np.zeros(4, np.uint64),
                sums=np.zeros(7, np.int64),
                addresses=np.zeros((5, rows), np.uint64),
                box=np.zeros((2, 4), np.int64),
            )
        return work


@cache
def load_kernels(*, ids: bool) -> None:
    """Compile the kernels of grids, or of what carries ids, by sweeping a single cell."""
    space, numbers = (PARTICLES, np.zeros(1, np.int64)) if ids else (0, None)
    part = Part(space, (0,), (1,), (1,), {"f": np.ones(1)}, ids=numbers)
    channel = Channel("f", space, "f8", (1,), ((0, 1),))
    plan = plan_part([(0, channel)], [], [], masked=False)
    KernelRunner().measure(part, plan, [channel], channel.edges)


def warm_kernels() -> float:
    """Compile the kernels, or load them from the cache; returns the seconds that it took.

    Examples
    --------
    >>> warm_kernels() >= 0
    True
    """
    begin = time.perf_counter()
    with one_at_first(lock_path()):
        load_kernels(ids=False)
        load_kernels(ids=True)
    return time.perf_counter() - begin
