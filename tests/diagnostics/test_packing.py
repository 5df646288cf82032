"""Rows of any length, packed into chunks or read where they lie, give the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt import Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

TOTAL = Declarations(conserved={"total": "f", "products": "f*g"})
SHAPES = [
    (5, 2100),
    (3, 5000),
    (1, 2049),
    (9, 2048),
    (40, 513),
    (70, 33),
    (257, 31),
    (6, 5, 40),
    (2, 3, 7, 300),
    (3, 4, 5, 6),
]


@pytest.mark.parametrize("masked", [False, True], ids=["all cells", "masked"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_rows_of_any_length_count_once_each(ranks, shape, masked):
    rng = np.random.default_rng(len(shape))
    f, g = rng.normal(size=shape), rng.normal(size=shape).astype("f4")
    where = rng.random(shape) < 0.7 if masked else np.ones(shape, bool)
    fields = {"f": f, "g": g}
    grid = Grid(shape, where=where if masked else None)
    reading = ranks.sample(TOTAL, [State(grid, fields)])
    assert reading["total"] == float(ranks.exact_sum(f[where]))
    assert reading["products"] == float(ranks.exact_sum((f * g.astype("f8"))[where]))
    assert reading["g.max"] == g[where].max()
    # In another memory order other cells share a chunk, and the keys come in another order.
    turned = {name: np.asfortranarray(array) for name, array in fields.items()}
    assert ranks.bits_of(ranks.sample(TOTAL, [State(grid, turned)])) == ranks.bits_of(reading)
    parts = (1,) * (len(shape) - 1) + (3,)
    shared = ranks.decomposed(fields, parts, ghost=1)
    if masked:
        shared = [
            State(Grid(shape, 1.0, start, 1, where=where[box]), state.fields)
            for state, (start, box) in zip(shared, ranks.boxes(shape, parts), strict=True)
        ]
    assert ranks.bits_of(ranks.sample(TOTAL, shared)) == ranks.bits_of(reading)
