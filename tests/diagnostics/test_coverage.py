"""Whether boxes cover the index space once: against painting every cell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import SetupError
from simckpt.diagnostics import coverage


def painted(shape, boxes):
    """The reference twin: a counter in every cell."""
    counts = np.zeros(shape, int)
    for _, start, size in boxes:
        counts[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] += 1
    return counts


@st.composite
def layouts(draw):
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    boxes = []
    for rank in range(draw(st.integers(0, 5))):
        start = tuple(draw(st.integers(0, n - 1)) for n in shape)
        size = tuple(draw(st.integers(0, n - a)) for n, a in zip(shape, start, strict=True))
        boxes.append((rank, start, size))
    return shape, boxes


@given(layouts())
def test_overlaps_are_found_wherever_a_cell_is_held_twice(layout):
    shape, boxes = layout
    found = coverage.find_overlap([b for b in boxes if np.prod(b[2])])
    counts = painted(shape, boxes)
    if found is None:
        assert counts.max() <= 1
    else:
        first, second, cell = found
        assert painted(shape, [first, second])[cell] == 2


@pytest.mark.parametrize("most", [coverage.MOST_PAINTED, 0], ids=["painted", "plane by plane"])
@given(layout=layouts())
def test_the_first_missing_cell_is_found(most, layout):
    shape, boxes = layout
    boxes = [b for b in boxes if np.prod(b[2])]
    counts = painted(shape, boxes)
    if counts.max(initial=0) > 1 or counts.all():
        return
    expected = next(c for c in itertools.product(*map(range, shape)) if not counts[c])
    before = coverage.MOST_PAINTED
    coverage.MOST_PAINTED = most
    try:
        assert coverage.first_missing(shape, boxes) == expected
    finally:
        coverage.MOST_PAINTED = before


def test_a_refined_level_need_not_cover_its_index_space():
    coverage.check_coverage((8, 8), [(0, (2, 2), (2, 2))], complete=False)
    with pytest.raises(SetupError, match=r"hold 4 of 64 cells; no rank holds \(0, 0\)"):
        coverage.check_coverage((8, 8), [(0, (2, 2), (2, 2))], complete=True)


def test_ten_thousand_boxes_are_checked():
    boxes = [(i, (100 * (i // 100), 100 * (i % 100)), (100, 100)) for i in range(10_000)]
    coverage.check_coverage((10_000, 10_000), boxes, complete=True)
    with pytest.raises(SetupError, match="no rank holds"):
        coverage.check_coverage((10_000, 10_000), boxes[:5000] + boxes[5001:], complete=True)
