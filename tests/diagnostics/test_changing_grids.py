"""Grids may change from sample to sample: what can be measured stays right, the rest is named."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from simckpt import (
    CFL,
    Cells,
    Conserved,
    Diffusion,
    Divergence,
    Frequency,
    Grid,
    Norm,
    SetupError,
    TotalVariation,
)
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

ALL = Declarations(
    conserved={"m": "f", "n": Conserved("f", weight="one")},
    stability={"c": CFL("f"), "d": Diffusion("f"), "div": Divergence("f")},
    norms={"rms": Norm("f", "RMS"), "l2": Norm("f")},
    budget={"b": "f"},
)


def states(spacing, ranks=1, ghost=1, **more):
    """Eight cells of the value 3, on so many ranks."""
    size = 8 // ranks
    return [
        State(
            Grid(8, spacing, start=r * size, ghost=ghost),
            {"f": np.full(size + 2 * ghost, 3.0)},
            dt=0.25,
            **more,
        )
        for r in range(ranks)
    ]


@pytest.mark.parametrize("ranks_", [1, 4])
def test_cells_may_grow_and_shrink_together(ranks, ranks_):
    probes = ranks.agree(ALL, states(0.5, ranks_))
    for dx in (0.5, 0.25, 3.0, 0.5, 1 / 3):
        reading = probes.sample(states(dx, ranks_))
        assert reading.problems == ()
        assert reading["m"] == float(24 * Fraction(dx))
        assert reading["n"] == 24.0
        assert reading["c"] == 0.25 * (3.0 / dx)
        assert reading["d"] == 0.25 * (3.0 / (dx * dx))
        assert reading["rms"] == 3.0
        assert reading["b"] == reading["m"]


def test_cells_with_ids_may_grow_together(ranks):
    def mesh(volume):
        return [State(Cells(np.arange(8), 8, volume), {"f": np.full(8, 3.0)})]

    probes = ranks.agree(Declarations(conserved={"m": "f"}), mesh(0.5))
    assert probes.sample(mesh(0.125))["m"] == 3.0
    reading = probes.sample(mesh(np.full(8, 0.5) + np.arange(8)))
    assert math.isnan(reading["m"])
    assert "of one volume in the first sample" in reading.problems[0]


def test_widths_that_cease_to_be_equal_are_named_and_no_integral_is_made_up(ranks):
    probes = ranks.agree(ALL, states(0.5, 2))
    reading = probes.sample(states((np.geomspace(1, 2, 8),), 2))
    assert all(math.isnan(reading[name]) for name in ("m", "rms", "l2", "div.max", "b"))
    assert any(p.startswith("m: cells were of one volume") for p in reading.problems)
    assert "one width" in str(probes.probes[0].faults[0])
    # What needs no volume, or takes each cell's own width, is right.
    assert reading["n"] == 24.0
    assert reading["c"] == 0.25 * 3.0
    assert probes.sample(states(0.5, 2)).problems == ()


@pytest.mark.parametrize("first", ["array", "list"])
def test_widths_that_were_given_cell_by_cell_may_change_in_any_way(ranks, first):
    def given(widths):
        (state,) = states((widths,))
        if first == "array":
            return [state]
        return [State([state.grid], {"f": [state.fields["f"]]}, dt=0.25)]

    start = np.geomspace(0.1, 1.0, 8) if first == "array" else np.full(8, 0.5)
    probes = ranks.agree(ALL, given(start))
    for widths in (start, np.linspace(1.0, 2.0, 8)):
        reading = probes.sample(given(widths))
        if first == "array":
            assert reading.problems == ()
        assert reading["m"] == float(3 * sum(map(Fraction, widths.tolist())))
        assert reading["c"] == 0.25 * (3.0 / widths.min())


STENCILS = Declarations(
    conserved={"m": "f"}, stability={"tv": TotalVariation("f"), "div": Divergence("f")}
)


def test_a_box_that_lost_its_ghost_layers_is_never_read_past_its_end(ranks):
    base = np.zeros(64)
    base[:8] = np.arange(8.0)
    base[8] = 1e9
    probes = ranks.agree(STENCILS, [State(Grid(8, 0.5, ghost=1), {"f": np.arange(10.0)})])
    reading = probes.sample([State(Grid(8, 0.5), {"f": base[:8]})])
    assert math.isnan(reading["tv"])
    assert math.isnan(reading["div.max"])
    assert reading["m"] == 14.0
    faults = [str(fault) for fault in probes.probes[0].faults]
    assert sorted(f.split()[0] for f in faults) == ["div", "tv"]
    assert "no ghost layer on both sides of axis 0" in faults[0]


def test_a_refined_box_without_ghost_layers_is_named(ranks):
    coarse = Grid(8, 1.0, ghost=1)
    probes = ranks.agree(STENCILS, [State([coarse], {"f": [np.arange(10.0)]})])
    refined = State([coarse, Grid(16, 0.5, start=4, level=1)], {"f": [np.arange(10.0), np.ones(4)]})
    reading = probes.sample([refined])
    assert math.isnan(reading["tv"])
    assert reading["m"] == 36.0 + 2.0


def unrefined_and_refined():
    first = State([Grid(8)], {"f": [np.full(8, 2.0)]})
    covered = np.arange(8) < 4
    second = State(
        [Grid(8, where=covered), Grid(16, 0.5, start=8, level=1)],
        {"f": [np.full(8, 2.0), np.full(8, 3.0)]},
    )
    return first, second


def test_a_grid_may_begin_unrefined_and_without_a_mask(ranks):
    first, second = unrefined_and_refined()
    probes = ranks.agree(Declarations(conserved={"m": "f"}), [first])
    assert probes.sample([first])["m"] == 16.0
    reading = probes.sample([second])
    assert reading.problems == ()
    assert reading["m"] == 8.0 + 12.0
    assert probes.sample([first])["m"] == 16.0


def test_a_level_that_no_list_had_announced_is_named(ranks):
    whole = State(Grid(8), {"f": np.ones(8)})
    probes = ranks.agree(Declarations(conserved={"m": "f"}), [whole])
    reading = probes.sample([State(Grid(8, level=1), whole.fields)])
    assert math.isnan(reading["m"])
    assert "Grid.level = 1: was not there" in str(probes.probes[0].faults[0])


def test_stencils_mind_a_mask_that_comes_later(ranks):
    f = np.array([0.0, 1.0, 3.0, 6.0, 1e300, 1e300, 0.0, 0.0, 0.0, 0.0])
    probes = ranks.agree(STENCILS, [State([Grid(8, ghost=1)], {"f": [f]})])
    where = np.array([True] * 4 + [False] * 6)
    reading = probes.sample([State([Grid(8, ghost=1, where=where)], {"f": [f]})])
    assert reading["tv"] == 2.0 + 3.0
    assert reading["div.max"] == 2.5
    alone = ranks.agree(STENCILS, [State(Grid(8, ghost=1), {"f": f})])
    reading = alone.sample([State(Grid(8, ghost=1, where=where), {"f": f})])
    assert math.isnan(reading["tv"])
    assert "mask" in str(alone.probes[0].faults[0])


def test_a_volume_that_turns_negative_makes_no_integral(ranks):
    declared = Declarations(conserved={"m": "f", "n": Conserved("f", weight="one")})
    volume = np.ones(8)
    state = State(Grid(8, volume=volume), {"f": np.ones(8)})
    probes = ranks.agree(declared, [state])
    volume[3] = -1e-3
    reading = probes.sample([state])
    assert math.isnan(reading["m"])
    assert reading["n"] == 8.0


@pytest.mark.parametrize("wrong", ["a", "b"])
def test_the_field_that_changed_its_shape_is_the_one_that_is_named(ranks, wrong):
    declared = Declarations(conserved={"A": "a", "B": "b"})
    good = State(Grid(8), {"a": np.ones(8), "b": np.ones(8)})
    probes = ranks.agree(declared, [good])
    probes.sample([good])
    bad = State(Grid(8), dict(good.fields) | {wrong: np.ones(7)})
    reading = probes.sample([bad])
    other = {"a": "b", "b": "a"}[wrong]
    assert math.isnan(reading[wrong.upper()])
    assert reading[other.upper()] == 8.0
    assert [fault.diagnostic for fault in probes.probes[0].faults] == [wrong]


def test_times_that_differ_between_ranks_are_named(ranks):
    both = states(0.5, 2)
    odd = [both[0], State(both[1].grid, both[1].fields, t=1.0, dt=2.0)]
    even = [State(s.grid, s.fields, t=1.0 + 1e-13 * r, dt=0.25) for r, s in enumerate(both)]
    probes = ranks.agree(ALL, both)
    assert probes.sample(even).problems == ()
    (problem,) = probes.sample(odd).problems
    assert problem == ("dt differs between the ranks, from 0.25 on rank 0 to 2 on rank 1")
    late = [State(s.grid, s.fields, t=1.0 + r, dt=0.25) for r, s in enumerate(both)]
    reading = probes.sample(late)
    assert reading.problems == ("t differs between the ranks, from 1 on rank 0 to 2 on rank 1",)
    assert math.isnan(reading["m"])


def test_samples_of_one_step_that_are_not_the_same_one_add_up_to_nothing(ranks):
    both = states(0.5, 2)
    probes = ranks.agree(ALL, both)
    odd = [both[0], State(both[1].grid, both[1].fields, dt=0.25, visit=1)]
    reading = probes.sample(odd)
    assert reading.problems == ("the ranks were at different samples of one step",)
    assert not reading.aligned
    assert math.isnan(reading["m"])


def test_steps_back_in_time_are_as_long_as_steps_forth(ranks):
    declared = Declarations(
        stability={"c": CFL("f"), "d": Diffusion("f"), "w": Frequency("f", limit=1)}
    )
    f = np.array([1.0, 3.0])
    back, forth = (ranks.sample(declared, [State(Grid(2), {"f": f}, dt=d)]) for d in (-1.0, 1.0))
    assert [back[n] for n in "cdw"] == [forth[n] for n in "cdw"] == [3.0, 3.0, 3.0]


HUGE = np.array([1.7e308, -1.7e308, 1.2e308, 5.0])


@pytest.mark.parametrize(
    "grid",
    [
        Grid(4, 2.0),
        [Grid(4, 2.0)],
        Grid(4, volume=np.full(4, 2.0)),
        Grid(4, (np.array([2.0, 2.0, 2.0, 2.0]),)),
        Grid(4, volume=np.array([2.0, 2.0, 2.0, 1e3])),
    ],
    ids=["number", "list", "volumes", "widths", "unequal"],
)
def test_no_product_of_value_and_volume_overflows(ranks, grid):
    f = [HUGE] if isinstance(grid, list) else HUGE
    reading = ranks.sample(Declarations(conserved={"m": "f"}), [State(grid, {"f": f})])
    assert reading["m"] == math.inf
    f = [HUGE[:4] * [1, 1, 0.25, 1]] if isinstance(grid, list) else HUGE * [1, 1, 0.25, 1]
    reading = ranks.sample(Declarations(conserved={"m": "f"}), [State(grid, {"f": f})])
    assert reading["m"] == 6e307


@pytest.mark.parametrize("spacing", [1e200, 1e-200])
def test_widths_whose_product_is_no_volume_are_refused(spacing):
    probe = RankSampler(Declarations(conserved={"m": "f"}))
    offer = probe.local_spec(State(Grid((4, 4), spacing), {"f": np.ones((4, 4))}))
    with pytest.raises(SetupError, match=r"Grid.spacing.*volume"):
        probe.agree([offer])


def test_a_root_is_taken_of_sums_past_the_largest_float64(ranks):
    declared = Declarations(norms={"l2": Norm("f"), "rms": Norm("f", "RMS")})
    reading = ranks.sample(declared, [State(Grid(4), {"f": np.full(4, 1e154)})])
    assert reading["l2"] == pytest.approx(2e154, rel=1e-15)
    assert reading["rms"] == pytest.approx(1e154, rel=1e-15)
