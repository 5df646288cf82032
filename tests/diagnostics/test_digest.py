"""The digest of a tile: every single change of a field is seen."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt import Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
TRIALS = 1_000_000


def mix(words, cells, seed):
    """The reference twin of the kernel's mix of a cell's bits and its index."""
    with np.errstate(over="ignore"):
        m = words ^ (cells.astype(np.uint64) * GOLDEN + np.uint64(seed))
        p = (m & LOW) * (m >> HALF) + ((m << HALF) | (m >> HALF))
        return (p & LOW) * (p >> HALF) + m


def digest(ranks, array):
    state = State(Grid(array.shape), {"f": array})
    return int(ranks.sample(Declarations(), [state]).digests.sum(dtype=np.uint64))


def seed_of(array):
    from simckpt.diagnostics.quantities.base import Channel

    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    return Channel("f", 0, kind, array.shape, ((0, 1),)).seed


@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "f2", "i8", "i4", "u2", "i1", "?"])
def test_the_kernel_gives_the_twins_digest(ranks, dtype):
    values = np.random.default_rng(3).integers(0, 100, 3000).astype(dtype)
    native = values.astype(values.dtype.newbyteorder("="))
    words = native.view(f"u{native.itemsize}").astype(np.uint64)
    expected = mix(words, np.arange(3000), seed_of(values)).sum(dtype=np.uint64)
    assert digest(ranks, values) == int(expected)


@pytest.fixture(scope="module", params=["normal", "simple", "bits"])
def words(request):
    """Bit patterns as fields have them: noise, few digits with many trailing zeros, anything."""
    rng = np.random.default_rng(11)
    if request.param == "normal":
        return rng.normal(size=TRIALS).view(np.uint64)
    if request.param == "simple":
        return rng.integers(-4, 5, TRIALS).astype(np.float64).view(np.uint64)
    return rng.integers(0, 2**64, TRIALS, dtype=np.uint64)


def cells_for_trials(rng):
    return rng.integers(0, 2**40, TRIALS, dtype=np.uint64)


def test_one_flipped_bit_is_seen_in_a_million_trials(words):
    rng = np.random.default_rng(1)
    cells = cells_for_trials(rng)
    flipped = words ^ (np.uint64(1) << rng.integers(0, 64, TRIALS).astype(np.uint64))
    assert np.all(mix(words, cells, 5) != mix(flipped, cells, 5))


def test_two_swapped_cells_are_seen_in_a_million_trials(words):
    rng = np.random.default_rng(2)
    cells = cells_for_trials(rng)
    others = np.where(rng.random(TRIALS) < 0.5, cells + np.uint64(1), cells_for_trials(rng))
    other_words = np.roll(words, 1)
    differ = (words != other_words) & (cells != others)
    before = mix(words, cells, 5) + mix(other_words, others, 5)
    after = mix(other_words, cells, 5) + mix(words, others, 5)
    assert np.all((before != after)[differ])


def test_the_same_change_in_two_cells_does_not_cancel(words):
    rng = np.random.default_rng(4)
    cells = cells_for_trials(rng)
    others = cells + rng.integers(1, 4096, TRIALS).astype(np.uint64)
    change = np.uint64(1) << rng.integers(0, 64, TRIALS).astype(np.uint64)
    before = mix(words, cells, 5) + mix(words, others, 5)
    after = mix(words ^ change, cells, 5) + mix(words ^ change, others, 5)
    assert np.all(before != after)


def test_a_negated_pair_is_seen(words):
    rng = np.random.default_rng(6)
    cells = cells_for_trials(rng)
    others = cells + rng.integers(1, 4096, TRIALS).astype(np.uint64)
    sign = np.uint64(1) << np.uint64(63)
    other_words = np.roll(words, 7)
    before = mix(words, cells, 5) + mix(other_words, others, 5)
    after = mix(words ^ sign, cells, 5) + mix(other_words ^ sign, others, 5)
    assert np.all(before != after)


def test_a_shift_by_one_cell_is_seen(ranks):
    values = np.random.default_rng(5).normal(size=(40, 50))
    assert digest(ranks, values) != digest(ranks, np.roll(values, 1, axis=1))
    assert digest(ranks, values) != digest(ranks, np.roll(values, 1, axis=0))


def test_a_shift_by_one_cell_is_seen_in_a_million_trials(words):
    rng = np.random.default_rng(7)
    # Each trial is a row of four cells, of which the last comes to the front.
    rows = words[rng.integers(0, TRIALS, (TRIALS, 4))]
    cells = cells_for_trials(rng)[:, None] + np.arange(4, dtype=np.uint64)
    shifted = np.roll(rows, 1, axis=1)
    before = mix(rows, cells, 5).sum(axis=1, dtype=np.uint64)
    after = mix(shifted, cells, 5).sum(axis=1, dtype=np.uint64)
    assert np.all((before != after) | (rows == shifted).all(axis=1))


def test_the_sign_of_a_zero_is_seen_in_a_million_trials():
    cells = cells_for_trials(np.random.default_rng(8))
    plus, minus = (np.full(TRIALS, zero).view(np.uint64) for zero in (0.0, -0.0))
    assert np.all(mix(plus, cells, 5) != mix(minus, cells, 5))


def test_the_sign_of_a_zero_is_seen(ranks):
    values = np.zeros((30, 30))
    changed = values.copy()
    changed[17, 3] = -0.0
    assert digest(ranks, values) != digest(ranks, changed)


def test_the_payload_of_a_nan_is_seen(ranks):
    values = np.full(10, np.nan)
    changed = values.copy()
    changed.view(np.uint64)[4] ^= np.uint64(1)
    assert digest(ranks, values) != digest(ranks, changed)


def test_byte_order_and_memory_order_are_not_seen(ranks):
    values = np.random.default_rng(5).normal(size=(40, 50))
    expected = digest(ranks, values)
    assert digest(ranks, values.astype(">f8")) == expected
    assert digest(ranks, np.asfortranarray(values)) == expected
    assert digest(ranks, np.repeat(values, 2, axis=1)[:, ::2]) == expected
    assert digest(ranks, values[::-1].copy()[::-1]) == expected


def test_a_narrower_type_has_another_digest(ranks):
    values = np.random.default_rng(5).integers(0, 9, 500)
    digests = {digest(ranks, values.astype(t)) for t in ("f8", "f4", "i8", "i4", "u1")}
    assert len(digests) == 5


def test_only_the_tile_of_a_changed_cell_changes(ranks):
    values = np.random.default_rng(5).normal(size=(64, 512))
    changed = values.copy()
    changed[20, 300] += 1e-15
    readings = [
        ranks.sample(Declarations(), [State(Grid(a.shape), {"f": a})]) for a in (values, changed)
    ]
    tiles = readings[0].schema.tiles[0]
    (tile,) = np.flatnonzero(readings[0].digests != readings[1].digests).tolist()
    (low, high), (left, right) = tiles.bounds(tile)
    assert low <= 20 < high
    assert left <= 300 < right
