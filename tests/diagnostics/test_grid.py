"""`Grid` refuses nonsense when it is built, and knows where its arrays lie."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt import Grid, SetupError


def test_the_short_forms_mean_what_they_say():
    grid = Grid(np.int64(8), spacing=2, ghost=3)
    assert grid.global_shape == (8,)
    assert grid.start == (0,)
    assert grid.ghost == ((3, 3),)
    assert grid.spacing == (2.0,)
    grid = Grid([8, 9], spacing=[0.5, 0.25], start=np.array([1, 2]), ghost=(1, (2, 0)))
    assert grid.ghost == ((1, 1), (2, 0))
    assert grid.spacing == (0.5, 0.25)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"global_shape": ()}, "Grid.global_shape"),
        ({"global_shape": (1, 2, 3, 4, 5)}, "Grid.global_shape"),
        ({"global_shape": (4, 0)}, "Grid.global_shape"),
        ({"global_shape": (4, 2.5)}, "Grid.global_shape"),
        ({"global_shape": True}, "Grid.global_shape"),
        ({"global_shape": (4, 4), "start": (0,)}, "Grid.start"),
        ({"global_shape": (4, 4), "start": (0, 5)}, "Grid.start"),
        ({"global_shape": (4, 4), "start": (0, -1)}, "Grid.start"),
        ({"global_shape": (4, 4), "spacing": (1.0,)}, "Grid.spacing"),
        ({"global_shape": (4, 4), "spacing": 0.0}, "Grid.spacing[0]"),
        ({"global_shape": (4, 4), "spacing": (1.0, np.nan)}, "Grid.spacing[1]"),
        ({"global_shape": (4, 4), "spacing": "wide"}, "Grid.spacing[0]"),
        ({"global_shape": (4, 4), "spacing": (1.0, np.ones((2, 2)))}, "Grid.spacing[1]"),
        ({"global_shape": (4, 4), "ghost": -1}, "Grid.ghost"),
        ({"global_shape": (4, 4), "ghost": (1, 1, 1)}, "Grid.ghost"),
        ({"global_shape": (4, 4), "ghost": (1, (1, 1, 1))}, "Grid.ghost"),
        ({"global_shape": (4, 4), "ghost": 1.5}, "Grid.ghost"),
        ({"global_shape": (4, 4), "volume": np.ones(4)}, "Grid.volume.shape"),
        ({"global_shape": (4, 4), "where": np.ones((4, 4))}, "Grid.where"),
        ({"global_shape": (4, 4), "level": -1}, "Grid.level"),
    ],
)
def test_nonsense_is_refused_with_the_name_of_the_argument(arguments, argument):
    with pytest.raises(SetupError) as caught:
        Grid(**arguments)
    assert caught.value.argument == argument


def test_a_box_is_the_array_without_its_ghost_layers():
    grid = Grid((100, 50), start=(20, 0), ghost=((2, 1), (0, 3)))
    assert grid.box((13, 53), "rho") == ((20, 0), (10, 50))
    array = np.arange(13 * 53).reshape(13, 53)
    inner = grid.interior(array)
    assert inner.shape == (10, 50)
    assert inner[0, 0] == array[2, 0]
    assert np.shares_memory(inner, array)


@pytest.mark.parametrize(
    ("shape", "part"),
    [
        ((13, 53, 2), "has 3 axes"),
        ((2, 53), "smaller along axis 0 than the ghost layers"),
        ((103, 53), "pass the end"),
    ],
)
def test_an_array_that_cannot_lie_in_the_grid_is_refused(shape, part):
    grid = Grid((100, 50), start=(20, 0), ghost=((2, 1), (0, 3)))
    with pytest.raises(SetupError, match=part) as caught:
        grid.box(shape, "rho")
    assert caught.value.argument == "fields['rho'].shape"


def test_widths_may_be_given_for_the_whole_axis_or_for_the_part():
    whole, part = np.linspace(1, 2, 10), np.linspace(1, 2, 4)
    assert np.array_equal(Grid(10, whole, start=3).local_widths(0, 4), whole[3:7])
    assert np.array_equal(Grid(10, part, start=3).local_widths(0, 4), part)
    with pytest.raises(SetupError, match="has 4 widths, but the axis has 10 cells, and 5 of them"):
        Grid(10, part, start=3).local_widths(0, 5)
    ghosts = np.linspace(1, 2, 13)
    with_ghosts = Grid(10, ghosts, start=3, ghost=((2, 1),))
    assert np.array_equal(with_ghosts.local_widths(0, 4), ghosts[5:9])
    assert np.array_equal(with_ghosts.widths_around(0, 4), ghosts[4:10])


def test_volumes_and_masks_may_carry_the_ghost_layers():
    grid = Grid((4, 4), ghost=1)
    inner, full = np.ones((4, 4)), np.ones((6, 6))
    assert grid.local_cells("Grid.volume", inner, (4, 4)) is inner
    assert grid.local_cells("Grid.volume", full, (4, 4)).shape == (4, 4)
    with pytest.raises(SetupError, match="neither the local shape"):
        grid.local_cells("Grid.volume", np.ones((5, 5)), (4, 4))
