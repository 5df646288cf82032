"""Stencils against NumPy: of expressions, on cells of many widths, and beside cells left out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simckpt import CFL, Diffusion, Divergence, Grid, SetupError
from simckpt import TotalVariation as Variation
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

SHAPE, SPACING = (24, 36), (0.5, 0.3)
STENCILS = Declarations(
    derived={"w": "v/rho"},
    stability={"div": Divergence("u/rho", "w"), "tv": Variation("u"), "tv_w": Variation("w*w")},
)
NAMES = ("div.max", "div.local", "div.mean", "tv", "tv_w")


def states(ranks, fields, parts, mask=None, ghosted=True):
    """States whose ghost layers, and those of the mask, hold the periodic neighbours."""
    made = []
    for start, box in ranks.boxes(SHAPE, parts):
        wide = tuple(slice(s.start, s.stop + 2) for s in box)
        local = {name: np.pad(f, 1, mode="wrap")[wide].copy() for name, f in fields.items()}
        where = mask
        if mask is not None:
            where = np.pad(mask, 1, mode="wrap")[wide].copy() if ghosted else mask[box]
        made.append(State(Grid(SHAPE, SPACING, start, 1, where=where), local, step=1, dt=0.25))
    return made


@pytest.fixture(scope="module")
def fields():
    rng = np.random.default_rng(4)
    u, v = rng.normal(size=(2, *SHAPE))
    return {"u": u, "v": v, "rho": 1.0 + rng.random(SHAPE)}


@pytest.fixture(scope="module")
def mask():
    """A coast with bays and islands that also crosses the periodic edges."""
    return np.random.default_rng(5).random(SHAPE) > 0.2


def twin(fields, mask):
    """The same in NumPy, cell by cell."""
    u, rho = fields["u"], fields["rho"]
    w = fields["v"] / rho
    jumps = {"tv": 0.0, "tv_w": 0.0}
    for name, f in (("tv", u), ("tv_w", w * w)):
        for axis, area in ((0, 0.3), (1, 0.5)):
            both = mask & np.roll(mask, -1, axis)
            jumps[name] += (abs(np.roll(f, -1, axis) - f) * area)[both].sum()
    a = u / rho
    div = (np.roll(a, -1, 0) - np.roll(a, 1, 0)) / 1.0
    div = div + (np.roll(w, -1, 1) - np.roll(w, 1, 1)) / 0.6
    whole = mask.copy()
    for axis in range(2):
        whole &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    return jumps | {
        "div.max": abs(div[whole]).max(),
        "div.local": abs(div[whole]).mean(),
        "div.mean": math.fsum(div[whole]) / whole.sum(),
    }


def test_stencils_of_expressions_and_derived_quantities_are_numpys(ranks, fields):
    expected = twin(fields, np.ones(SHAPE, bool))
    readings = [
        ranks.sample(STENCILS, states(ranks, fields, parts)) for parts in ((1, 1), (2, 3), (4, 1))
    ]
    assert len({ranks.bits_of(r) for r in readings}) == 1
    for name in NAMES:
        assert readings[0][name] == pytest.approx(expected[name], rel=1e-12), name


def test_what_lies_under_a_mask_is_not_read(ranks, fields, mask):
    holes = {name: np.where(mask, f, np.nan) for name, f in fields.items()}
    expected = twin(fields, mask)
    readings = [
        ranks.sample(STENCILS, states(ranks, holes, parts, mask))
        for parts in ((1, 1), (2, 3), (4, 1))
    ]
    assert len({ranks.bits_of(r) for r in readings}) == 1
    for name in NAMES:
        assert readings[0][name] == pytest.approx(expected[name], rel=1e-12), name


def test_a_mirrored_state_has_the_same_variation(ranks, fields, mask):
    both = []
    for turn in (lambda f: f, lambda f: f[::-1, ::-1]):
        turned = {name: np.where(turn(mask), turn(f), np.nan) for name, f in fields.items()}
        both.append(ranks.sample(STENCILS, states(ranks, turned, (1, 1), turn(mask)))["tv"])
    assert both[0] == both[1]


def test_a_mask_without_ghost_layers_serves_a_single_box_alone(ranks, fields, mask):
    mask = mask.copy()
    mask[[0, -1]] = True
    mask[:, [0, -1]] = True
    holes = {name: np.where(mask, f, np.nan) for name, f in fields.items()}
    reading = ranks.sample(STENCILS, states(ranks, holes, (1, 1), mask, ghosted=False))
    for name, value in twin(fields, mask).items():
        assert reading[name] == pytest.approx(value, rel=1e-12), name
    with pytest.raises(
        SetupError, match=r"which ghost cells count.*Give Grid.where with the ghost"
    ):
        ranks.agree(STENCILS, states(ranks, holes, (2, 1), mask, ghosted=False))


def test_where_no_cell_is_left_there_is_no_divergence(ranks, fields):
    mask = np.indices(SHAPE).sum(axis=0) % 2 == 0
    reading = ranks.sample(STENCILS, states(ranks, fields, (2, 1), mask))
    assert all(math.isnan(reading[name]) for name in ("div.max", "div.local", "div.mean"))
    assert reading["tv"] == 0.0


def test_the_total_variation_of_cells_of_many_widths_has_their_faces(ranks, fields):
    widths = np.linspace(1.0, 2.0, SHAPE[0])
    u = fields["u"]
    grid = Grid(SHAPE, (widths, 0.3), ghost=1)
    state = State(grid, {"u": np.pad(u, 1, mode="wrap")})
    reading = ranks.sample(Declarations(stability={"tv": Variation("u")}), [state])
    across = abs(np.roll(u, -1, 0) - u).sum() * 0.3
    along = (abs(np.roll(u, -1, 1) - u) * widths[:, np.newaxis]).sum()
    assert reading["tv"] == pytest.approx(across + along, rel=1e-12)


def stretched(ranks, fields, parts, widths):
    """States of boxes on a grid of unequal widths along axis 0, periodic."""
    made = []
    for start, box in ranks.boxes(SHAPE, parts):
        wide = tuple(slice(s.start, s.stop + 2) for s in box)
        local = {name: np.pad(f, 1, mode="wrap")[wide].copy() for name, f in fields.items()}
        made.append(State(Grid(SHAPE, (widths, 0.3), start, 1), local, dt=0.25))
    return made


@pytest.mark.parametrize("ends", ["as wide as the last cells", "given"])
def test_a_divergence_on_unequal_widths_takes_the_values_at_the_faces(ranks, fields, ends):
    inner = np.geomspace(0.1, 2.0, SHAPE[0])
    around = np.pad(inner, 1, mode="wrap" if ends == "given" else "edge")
    u = np.pad(fields["u"] / fields["rho"], ((1, 1), (0, 0)), mode="wrap")
    w = fields["v"] / fields["rho"]
    dx = around[:, np.newaxis]
    faces = (dx[1:] * u[:-1] + dx[:-1] * u[1:]) / (dx[1:] + dx[:-1])
    div = np.diff(faces, axis=0) / inner[:, np.newaxis]
    div = div + (np.roll(w, -1, 1) - np.roll(w, 1, 1)) / 0.6
    volume = (inner * 0.3)[:, np.newaxis]
    given = around if ends == "given" else inner
    readings = [
        ranks.sample(STENCILS, stretched(ranks, fields, parts, given))
        for parts in ((1, 1), (2, 3), (4, 1))
    ]
    assert len({ranks.bits_of(r) for r in readings}) == 1
    whole = (volume * np.ones(SHAPE)).sum()
    assert readings[0]["div.max"] == pytest.approx(abs(div).max(), rel=1e-12)
    assert readings[0]["div.local"] == pytest.approx((abs(div) * volume).sum() / whole, rel=1e-12)
    assert readings[0]["div.mean"] == pytest.approx((div * volume).sum() / whole, abs=1e-12)


def test_the_divergence_of_a_linear_field_is_its_slope_whatever_the_widths(ranks):
    around = np.random.default_rng(7).uniform(0.1, 1.0, 26)
    x = 3.0 * (np.cumsum(around) - around / 2)
    state = State(Grid(24, (around,), ghost=1), {"u": x}, dt=0.5)
    declared = Declarations(stability={"div": Divergence("u")})
    reading = ranks.sample(declared, [state])
    assert reading["div.max"] == pytest.approx(3.0, rel=1e-12)
    assert reading["div.mean"] == pytest.approx(3.0, rel=1e-12)


def test_a_divergence_needs_the_widths_beside_a_box(ranks):
    states = [
        State(Grid(8, (np.arange(1.0, 5.0) + start,), start, 1), {"u": np.ones(6)})
        for start in (0, 4)
    ]
    declared = Declarations(stability={"div": Divergence("u")})
    with pytest.raises(SetupError, match=r"Grid.spacing\[0\].*widths of all cells of the axis"):
        ranks.agree(declared, states)


def test_an_array_of_equal_widths_is_one_width(ranks, fields):
    given = {name: np.pad(f, 1, mode="wrap") for name, f in fields.items()}
    readings = [
        ranks.sample(STENCILS, [State(Grid(SHAPE, spacing, ghost=1), given)])
        for spacing in (SPACING, (np.full(24, 0.5), np.full(36, 0.3)))
    ]
    assert len({ranks.bits_of(r) for r in readings}) == 1


@pytest.mark.parametrize(
    "diagnostic", [CFL("u"), Diffusion("rho"), Divergence("u", "v"), Variation("u")]
)
def test_volumes_alone_say_nothing_of_widths(ranks, fields, diagnostic):
    given = {name: np.pad(f, 1, mode="wrap") for name, f in fields.items()}
    declared = Declarations(stability={"x": diagnostic})
    volume = np.full(SHAPE, 0.15)
    with pytest.raises(SetupError, match=r"stability\['x'\].*Grid.spacing.*Give both"):
        ranks.agree(declared, [State(Grid(SHAPE, ghost=1, volume=volume), given)])
    told = State(Grid(SHAPE, SPACING, ghost=1, volume=volume), given, dt=0.1)
    alone = State(Grid(SHAPE, SPACING, ghost=1), given, dt=0.1)
    a, b = (ranks.sample(declared, [state]) for state in (told, alone))
    assert a.values == pytest.approx(b.values, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_volume_that_is_none_is_refused_unless_it_is_left_out(ranks, fields, bad):
    volume = np.ones(SHAPE)
    volume[3, 4] = bad
    declared = Declarations(conserved={"m": "rho"})
    given = {"rho": fields["rho"]}
    with pytest.raises(SetupError, match=f"Grid.volume = {bad}"):
        ranks.agree(declared, [State(Grid(SHAPE, volume=volume), given)])
    where = np.ones(SHAPE, bool)
    where[3, 4] = False
    reading = ranks.sample(declared, [State(Grid(SHAPE, volume=volume, where=where), given)])
    assert reading["m"] == math.fsum(fields["rho"][where])
