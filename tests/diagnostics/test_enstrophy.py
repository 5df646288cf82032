"""Enstrophy against flows whose vorticity is known, over ranks, widths and masks."""

from __future__ import annotations

import numpy as np
import pytest

import simckpt
from simckpt import SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

PLANE = Declarations(stability={"enstrophy": simckpt.Enstrophy("u", "v")})
SPACE = Declarations(stability={"enstrophy": simckpt.Enstrophy("u", "v", "w")})


def periodic(ranks, fields, parts, spacing, mask=None):
    """The states of all ranks, their ghost layers filled from the opposite side."""
    shape = fields["u"].shape
    states = []
    for start, box in ranks.boxes(shape, parts):
        wide = tuple(slice(s.start, s.stop + 2) for s in box)
        local = {name: np.pad(f, 1, mode="wrap")[wide].copy() for name, f in fields.items()}
        where = None if mask is None else np.pad(mask, 1, mode="wrap")[wide].copy()
        states.append(State(simckpt.Grid(shape, spacing, start, 1, where=where), local))
    return states


def points(*cells):
    axes = [(np.arange(n) + 0.5) * 2 * np.pi / n for n in cells]
    return np.meshgrid(*axes, indexing="ij"), [2 * np.pi / n for n in cells]


@pytest.fixture(scope="module")
def vortices():
    """Taylor and Green's: the vorticity is ``2 sin(x) sin(y)``."""
    (x, y), spacing = points(24, 36)
    return {"u": np.sin(x) * np.cos(y), "v": -np.cos(x) * np.sin(y)}, spacing


def test_vortices_in_the_plane_have_their_enstrophy_with_the_same_bits_on_all_ranks(
    ranks, vortices
):
    fields, spacing = vortices
    # A central difference of a sine is its derivative times sin(h)/h.
    factor = sum(np.sin(h) / h for h in spacing)
    readings = [
        ranks.sample(PLANE, periodic(ranks, fields, parts, spacing))
        for parts in ((1, 1), (2, 3), (4, 1))
    ]
    assert readings[0]["enstrophy"] == pytest.approx(factor**2 * np.pi**2 / 2, rel=1e-13)
    assert len({ranks.bits_of(reading) for reading in readings}) == 1


def test_a_flow_in_space_that_is_its_own_curl_has_its_energy_for_enstrophy(ranks):
    (x, y, z), spacing = points(16, 16, 16)
    a, b, c = 1.0, 0.7, 0.4
    fields = {
        "u": a * np.sin(z) + c * np.cos(y),
        "v": b * np.sin(x) + a * np.cos(z),
        "w": c * np.sin(y) + b * np.cos(x),
    }
    factor = np.sin(spacing[0]) / spacing[0]
    energy = 0.5 * (a**2 + b**2 + c**2) * (2 * np.pi) ** 3
    for parts in ((1, 1, 1), (2, 1, 2)):
        reading = ranks.sample(SPACE, periodic(ranks, fields, parts, spacing))
        assert reading["enstrophy"] == pytest.approx(factor**2 * energy, rel=1e-13)


def test_solid_rotation_is_exact_on_cells_of_any_widths(ranks):
    rng = np.random.default_rng(3)
    widths = [rng.uniform(0.5, 2.0, n) for n in (7, 9)]
    # Ghost cells are as wide as the last cells.
    x, y = (np.cumsum(w) - w / 2 for w in (np.pad(w, 1, mode="edge") for w in widths))
    u, v = np.broadcast_arrays(-y, x[:, None])
    state = State(simckpt.Grid((7, 9), widths, ghost=1), {"u": u.copy(), "v": v.copy()})
    area = widths[0].sum() * widths[1].sum()
    assert ranks.sample(PLANE, [state])["enstrophy"] == pytest.approx(2 * area, rel=1e-12)


def test_cells_beside_a_masked_one_are_left_out(ranks, vortices):
    fields, spacing = vortices
    mask = np.random.default_rng(5).random(fields["u"].shape) > 0.1
    curl = np.zeros(mask.shape)
    counts = mask.copy()
    for sign, name, axis in ((1, "v", 0), (-1, "u", 1)):
        rise = np.roll(fields[name], -1, axis) - np.roll(fields[name], 1, axis)
        curl += sign * rise / (2 * spacing[axis])
        counts &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    expected = 0.5 * (curl[counts] ** 2).sum() * spacing[0] * spacing[1]
    for parts in ((1, 1), (3, 2)):
        reading = ranks.sample(PLANE, periodic(ranks, fields, parts, spacing, mask))
        assert reading["enstrophy"] == pytest.approx(expected, rel=1e-12)


def test_what_has_no_vorticity_is_refused(ranks):
    for components in ((), ("u",), ("u", "v", "w", "p")):
        with pytest.raises(SetupError, match="not a velocity in the plane or in space"):
            simckpt.Enstrophy(*components)
    with pytest.raises(SetupError, match="Enstrophy component 1"):
        simckpt.Enstrophy("u", "v +")
    fields = {name: np.zeros((4, 4)) for name in "uvw"}
    for grid, declared, problem in (
        (simckpt.Grid((4, 4)), PLANE, "needs a ghost layer"),
        (simckpt.Grid((2, 2), ghost=1), SPACE, "one component for each of 2 axes"),
        (None, PLANE, "needs a grid"),
    ):
        state = State(grid, fields) if grid else State(particles=simckpt.Particles(np.arange(2)))
        with pytest.raises(SetupError, match=rf"stability\['enstrophy'\].*{problem}"):
            ranks.agree(declared, [state])
