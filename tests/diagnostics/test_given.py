"""Numbers may be Python's or NumPy's; what is none is refused with the argument's name."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest

from simckpt import CFL, Cells, Components, Diffusion, Frequency, Growth, Particles, SetupError
from simckpt.diagnostics.arguments import real_number, whole_number


@pytest.mark.parametrize(
    "limit", [0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2), np.array(0.5)]
)
def test_a_limit_is_any_positive_number(limit):
    for made in (CFL("u", limit=limit), Diffusion("u", limit), Frequency("u", limit)):
        assert made.limit == 0.5
        assert type(made.limit) is float
    assert CFL("u", limit=np.int64(1)) == CFL("u", limit=1)


@pytest.mark.parametrize(
    "limit", [10**400, -(10**400), True, np.True_, np.nan, np.inf, 0, -1.0, "1", 1j, [1.0]]
)
def test_a_limit_that_is_no_positive_number_is_refused(limit):
    with pytest.raises(SetupError, match=r"CFL.limit.*not a positive number"):
        CFL("u", limit=limit)


@pytest.mark.parametrize("window", [np.int64(3), np.uint8(3), 3])
def test_a_window_is_any_whole_number(window):
    assert Growth("e", window) == Growth("e", 3)
    assert type(Growth("e", window).window) is int


@pytest.mark.parametrize("window", [1, 2.0, True, np.True_, None, "3", -(10**400)])
def test_a_window_that_is_none_is_refused(window):
    with pytest.raises(SetupError, match=r"Growth.window"):
        Growth("e", window)


@pytest.mark.parametrize(
    "axis", [2, [2], (2,), np.int64(2), np.array([2]), np.array(2), range(2, 3)]
)
def test_an_axis_is_any_whole_number_or_any_sequence_of_them(axis):
    parts = dict(Components(np.zeros((4, 5, 3)), axis).parts("B"))
    assert {name: part.shape for name, part in parts.items()} == dict.fromkeys(
        ("B_0", "B_1", "B_2"), (4, 5)
    )


@pytest.mark.parametrize("axis", [True, np.False_, 1.0, None, "0", [0.0], [True]])
def test_an_axis_that_is_none_is_refused(axis):
    with pytest.raises(SetupError, match=r"Components.axis.*whole numbers"):
        Components(np.zeros((4, 5, 3)), axis)


def test_names_that_are_no_sequence_are_refused():
    with pytest.raises(SetupError, match=r"Components.names.*no sequence"):
        Components(np.zeros((2, 5)), 0, 5)


@pytest.mark.parametrize("volume", [0.5, np.float32(0.5), Fraction(1, 2), np.array(0.5)])
def test_the_volume_of_all_cells_is_any_number(volume):
    assert Cells(np.arange(3), 3, volume).volume == 0.5


@pytest.mark.parametrize(
    "volume", [None, "x", True, 1j, [[1.0], [1.0, 2.0]], ["a", "b", "c"], object(), np.ones(2)]
)
def test_a_volume_that_is_none_is_refused(volume):
    with pytest.raises(SetupError, match=r"Cells.volume"):
        Cells(np.arange(3), 3, volume)


def test_ids_that_are_no_array_are_refused():
    for ids in ([[1], [1, 2]], None, "abc"):
        with pytest.raises(SetupError, match=r"Cells.ids"):
            Cells(ids, 3)
    assert Cells([0, 1], np.uint8(2)).total == 2


def test_the_number_of_particles_is_any_whole_number_and_their_mass_any_number():
    particles = Particles(np.arange(2), mass=np.float32(0.5), total=np.int64(3))
    assert (particles.mass, particles.total) == (0.5, 3)
    assert Particles(np.arange(2), mass=np.ones(2)).total is None
    assert Particles(np.arange(2), mass=np.array(2)).mass == 2.0
    for total in (True, 2.0, "2", 1):
        with pytest.raises(SetupError, match=r"Particles.total"):
            Particles(np.arange(2), total=total)
    for mass in (None, "x", True, np.ones(3)):
        with pytest.raises(SetupError, match=r"Particles.mass"):
            Particles(np.arange(2), mass=mass)


def test_truth_values_are_no_numbers():
    for value in (True, np.True_):
        assert whole_number(value) is None
        assert real_number(value) is None
    assert real_number(10**400) == np.inf
    assert real_number(-(10**400)) == -np.inf


def test_a_value_that_cannot_be_shown_does_not_hide_the_error() -> None:
    for value in (10**5000, _Mute()):
        error = SetupError("argument", value, "is nonsense")
        for told in (error, pickle.loads(pickle.dumps(error))):
            assert "that cannot be printed>: is nonsense." in str(told)


class _Mute:
    def __repr__(self) -> str:
        raise RuntimeError
