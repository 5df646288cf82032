"""Tables without reference counts: counting costs more than the arithmetic on a short chunk."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from .intrinsics import f8_at, i8_at, u8_at
from .jit import kernel
from .tables import Inputs, Layout, Plan, Totals, Workspace


@kernel
def floats(array):
    return carray(f8_at(np.uint64(array.ctypes.data)), array.shape)


@kernel
def integers(array):
    return carray(i8_at(np.uint64(array.ctypes.data)), array.shape)


@kernel
def naturals(array):
    return carray(u8_at(np.uint64(array.ctypes.data)), array.shape)


@kernel
def bare_layout(layout):
    """The same layout, borrowed."""
    return Layout(
        integers(layout.pieces),
        integers(layout.begin),
        integers(layout.end),
        integers(layout.tile),
        layout.origin,
        integers(layout.steps),
    )


@kernel
def bare_inputs(inputs):
    """The same inputs, borrowed: the caller keeps the arrays alive."""
    return Inputs(integers(inputs.views), inputs.fields, inputs.mask)


@kernel
def bare_plan(plan):
    """The same plan, borrowed."""
    return Plan(
        integers(plan.operations),
        floats(plan.constants),
        plan.buffers,
        integers(plan.sums),
        integers(plan.maxima),
    )


@kernel
def bare_totals(totals):
    """The same accumulators, borrowed."""
    return Totals(
        integers(totals.limbs),
        integers(totals.counts),
        integers(totals.first),
        integers(totals.scale),
        naturals(totals.seeds),
        naturals(totals.digest),
        floats(totals.smallest),
        floats(totals.largest),
        integers(totals.finite),
        integers(totals.mean),
        integers(totals.pending),
        integers(totals.sum_limbs),
        integers(totals.sum_counts),
        integers(totals.guess),
        floats(totals.top),
        integers(totals.missing),
        integers(totals.cells),
    )


@kernel
def bare_workspace(work):
    """The same buffers, borrowed."""
    return Workspace(
        floats(work.values),
        naturals(work.words),
        naturals(work.keys),
        naturals(work.raw),
        integers(work.sums),
        naturals(work.addresses),
    )
