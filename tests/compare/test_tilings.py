"""Fields that two runs cut into other tiles are compared over the tiles that both have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from recorded_twins import Recording, Setup, Twin

from simckpt.compare.comparison import compare
from simckpt.compare.fields import in_common_tiles
from simckpt.model.series import FieldTiles

N = 24
WORDS = np.random.default_rng(3).integers(0, 2**63, (5, N, N)).astype(np.uint64)


class Cut:
    """Digests of a field of cells, each of which has a word, over any tiles."""

    def __init__(self, words: np.ndarray, edges: tuple[tuple[int, ...], ...]) -> None:
        self.step = np.arange(len(words))
        self.tiles = FieldTiles(field="x", dtype="f8", global_shape=(N, N), edges=edges)
        self._words = words

    def rows(self, start: int, stop: int) -> np.ndarray:
        words = self._words[start:stop]
        for axis, cuts in enumerate(self.tiles.edges, start=1):
            words = np.add.reduceat(words, cuts[:-1], axis=axis)
        return words


def cuts():
    inner = st.sets(st.integers(1, N - 1), max_size=6)
    return st.tuples(inner, inner).map(lambda axes: tuple((0, *sorted(axis), N) for axis in axes))


@given(one=cuts(), two=cuts(), cell=st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)))
def test_one_changed_cell_is_in_one_common_tile_of_any_two_tilings(one, two, cell):
    changed = WORDS.copy()
    changed[3][cell] += np.uint64(1)
    a, b = in_common_tiles(Cut(WORDS, one), Cut(changed, two))
    assert a.tiles.edges == b.tiles.edges
    assert all(set(c) <= {*x} & {*y} for c, x, y in zip(a.tiles.edges, one, two, strict=True))
    differs = a.rows(0, 5) != b.rows(0, 5)
    assert np.count_nonzero(differs) == 1
    (row, tile) = (int(i[0]) for i in np.nonzero(differs.reshape(5, -1)))
    assert row == 3
    bounds = a.tiles.bounds(tile)
    assert all(low <= i < high for i, (low, high) in zip(cell, bounds, strict=True))


def test_equal_tilings_are_left_as_they_are():
    one, two = Cut(WORDS, ((0, N), (0, N))), Cut(WORDS, ((0, N), (0, N)))
    assert in_common_tiles(one, two) == (one, two)


class Summed(Twin):
    """A twin whose digests add up, over tiles of a side of its own."""

    def __init__(self, setup: Setup, side: int) -> None:
        super().__init__(f"{setup.name}.simckpt.h5", Recording(setup).records)
        self._side = side

    def digests(self, field: str, /):
        found = super().digests(field)
        words = found.rows(0, len(found.step))
        cuts = tuple(range(0, N + 1, self._side))
        repeated = words.repeat(N // words.shape[1], axis=1).repeat(N // words.shape[2], axis=2)
        cut = Cut(repeated, (cuts, cuts))
        cut.step = found.step
        return cut


def test_runs_of_other_tiles_are_the_same_or_part_at_a_step_and_place():
    base = Setup(name="base", n=N, steps=12, every=2)
    assert compare(Summed(base, 3), Summed(base, 6)).verdict == "same"
    found = compare(Summed(base, 3), Summed(base.but(bit=(7, 50)), 6))
    assert found.first.step == 8
    assert found.fields[0].of == 16
    assert found.fields[0].bounds == ((0, 6), (6, 12))
    assert not found.uncompared
