import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt.compare.patterns import RankLayout, pattern, ranks_holding
from simckpt.model.documents import Node
from simckpt.model.series import Decomposition, FieldTiles, Patch

EDGES = tuple(range(0, 65, 8))
TILES = FieldTiles(field="rho", dtype="float64", global_shape=(64, 64), edges=(EDGES, EDGES))


def quarters() -> Decomposition:
    return Decomposition(
        global_shape=(64, 64),
        patches=tuple((Patch(start=(i, j), shape=(32, 32)),) for i in (0, 32) for j in (0, 32)),
    )


A = RankLayout(run="A", decomposition=quarters())


def tiles(*index: tuple) -> np.ndarray:
    mask = np.zeros((8, 8), dtype=bool)
    for i in index:
        mask[i] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "figure"),
    [
        (tiles((2, 3)), "one tile"),
        (np.ones((8, 8), dtype=bool), "everywhere"),
        (tiles((slice(0, 4), slice(4, 8))), "one rank"),
        (tiles((slice(3, 5),), (slice(None), slice(3, 5))), "rank borders"),
        (tiles((6,)), "plane"),
        (tiles((0,), (7,), (slice(None), 0), (slice(None), 7)), "domain boundary"),
        (tiles((slice(2, 4), slice(2, 4))), "box"),
        (tiles((1, 1), (6, 6), (2, 5)), "scattered"),
    ],
)
def test_the_figure_of_a_fault_is_named(mask, figure):
    assert pattern(mask, TILES, (A,)).pattern == figure


def test_a_block_around_the_periodic_edge_is_one_block():
    mask = tiles((0, 0), (7, 0), (0, 7), (7, 7))
    assert pattern(mask, TILES).pattern == "box"


def test_one_ranks_tiles_name_the_rank_and_the_run():
    found = pattern(tiles((slice(4, 8), slice(0, 4))), TILES, (A,))
    assert found.rank == 2
    assert "rank 2 of A" in found.text


def test_the_tiles_of_one_node_are_told_from_those_of_one_rank():
    nodes = (
        Node(host="n1", ranks=(0, 1), environment="e"),
        Node(host="n2", ranks=(2, 3), environment="f"),
    )
    spread = RankLayout(run="B", decomposition=quarters(), nodes=nodes)
    found = pattern(tiles((slice(4, 8),)), TILES, (spread,))
    assert found.pattern == "one node"
    assert "n2" in found.text


def test_borders_that_touch_nearly_every_tile_explain_nothing():
    fine = Decomposition(
        global_shape=(64, 64),
        patches=tuple(
            (Patch(start=(i, j), shape=(8, 8)),) for i in range(0, 64, 8) for j in range(0, 64, 8)
        ),
    )
    mask = tiles((slice(0, 7), slice(0, 7)))
    assert (
        pattern(mask, TILES, (RankLayout(run="A", decomposition=fine),)).pattern != "rank borders"
    )


def test_ranks_that_held_a_part_of_a_box_are_found():
    assert ranks_holding(quarters(), ((0, 8), (0, 8))) == (0,)
    assert ranks_holding(quarters(), ((28, 36), (0, 8))) == (0, 2)
    assert ranks_holding(quarters(), ((28, 36), (28, 36))) == (0, 1, 2, 3)
    assert ranks_holding(None, ((0, 8), (0, 8))) == ()


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1))
def test_every_set_of_tiles_has_a_figure_and_the_same_one_again(where):
    mask = tiles(*where)
    assert pattern(mask, TILES, (A,)) == pattern(mask.copy(), TILES, (A,))


def test_particles_have_one_axis_and_still_a_figure():
    ids = FieldTiles(field="x", dtype="float64", global_shape=(100,), edges=((0, 25, 50, 75, 100),))
    scattered = Decomposition(global_shape=(100,), patches=((), ()))
    mask = np.array([False, True, False, False])
    found = pattern(mask, ids, (RankLayout(run="A", decomposition=scattered),))
    assert found.pattern == "one tile"


def test_ten_thousand_ranks_are_looked_through():
    edges = tuple(range(0, 1601, 200))
    tiles_ = FieldTiles(field="p", dtype="f8", global_shape=(1600, 1600), edges=(edges, edges))
    many = Decomposition(
        global_shape=(1600, 1600),
        patches=tuple(
            (Patch(start=(i, j), shape=(16, 16)),)
            for i in range(0, 1600, 16)
            for j in range(0, 1600, 16)
        ),
    )
    mask = tiles((slice(2, 5), slice(2, 5)))
    layout = RankLayout(run="A", decomposition=many)
    assert pattern(mask, tiles_, (layout,)).pattern == "box"
    assert len(ranks_holding(many, tiles_.bounds(0))) == 169


def slabs() -> RankLayout:
    """Two ranks, cut along the first axis only."""
    cut = Decomposition(
        global_shape=(64, 64),
        patches=tuple((Patch(start=(i, 0), shape=(32, 64)),) for i in (0, 32)),
    )
    return RankLayout(run="A", decomposition=cut)


def test_one_side_of_the_borders_of_a_periodic_domain_is_a_figure_of_its_own():
    found = pattern(tiles((slice(0, 8, 4),)), TILES, (slabs(),))
    assert found.pattern == "rank borders"
    assert "lower side" in found.text
    found = pattern(tiles((slice(3, 8, 4),)), TILES, (slabs(),))
    assert found.pattern == "rank borders"
    assert "upper side" in found.text


def test_what_a_wrong_halo_brought_is_followed_for_the_steps_between_two_samples():
    coarse = FieldTiles(
        field="q", dtype="float64", global_shape=(66, 64), edges=((*range(0, 64, 6), 66), (0, 64))
    )
    thirds = Decomposition(
        global_shape=(66, 64),
        patches=tuple((Patch(start=(i, 0), shape=(22, 64)),) for i in (0, 22, 44)),
    )
    mask = np.zeros(coarse.shape, dtype=bool)
    mask[[0, 3, 4, 7]] = True
    layout = (RankLayout(run="A", decomposition=thirds),)
    assert pattern(mask, coarse, layout, 5).pattern == "rank borders"


def test_a_block_in_which_whole_planes_agree_is_several_places():
    assert pattern(tiles((2, slice(0, 5)), (4, slice(0, 5)), (5, 2)), TILES).pattern == "scattered"
