"""A driver that gives the same arrays again is not taken at its word: what they hold may change."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from simckpt import CFL, Grid, TotalVariation
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

DECLARED = Declarations(
    conserved={"m": "f", "p": "f*g"},
    stability={"c": CFL("g"), "tv": TotalVariation("f")},
    extrema=["f"],
)


def probe_of(state):
    probe = RankSampler(DECLARED)
    probe.agree([probe.local_spec(state)])
    return probe


def reading(probe, state):
    found = probe.finish(*probe.measure(state))
    assert probe.faults == []
    return found


def fresh(state):
    return reading(probe_of(state), state)


@pytest.fixture
def state():
    rng = np.random.default_rng(1)
    fields = {"f": rng.normal(size=(34, 70)), "g": rng.normal(size=(34, 70)).astype("f4")}
    return State(Grid((32, 68), 0.5, ghost=1), fields, dt=0.1)


def test_what_changed_in_place_is_read(state, ranks):
    probe = probe_of(state)
    for factor in (1.0, 1e200, 1e-200, -1.0):
        state.fields["f"][...] = state.fields["f"] * factor
        assert ranks.bits_of(reading(probe, state)) == ranks.bits_of(fresh(state))
        # A grid that is made anew at each sample is the same one.
        again = State(Grid((32, 68), 0.5, ghost=1), state.fields, dt=0.1)
        assert ranks.bits_of(reading(probe, again)) == ranks.bits_of(fresh(state))


@pytest.mark.parametrize("what", ["array", "view", "order", "grid", "shape", "dtype"])
def test_what_is_another_one_is_looked_at_anew(state, ranks, what):
    probe = probe_of(state)
    reading(probe, state)
    f, g = state.fields["f"], state.fields["g"]
    grid, fields = state.grid, {"f": f, "g": g}
    if what == "array":
        fields["f"] = f * 2
    elif what == "view":
        fields["f"] = f[::-1]
    elif what == "order":
        fields["f"] = np.asfortranarray(f)
    elif what == "grid":
        grid = Grid((32, 68), 0.25, ghost=1)
    elif what == "shape":
        again = np.random.default_rng(2).normal(size=(34, 70))
        fields["f"] = again
        reading(probe, State(grid, fields, dt=0.1))
        again.shape = (70, 34)
        faulty = probe.finish(*probe.measure(State(grid, fields, dt=0.1)))
        assert np.isnan(faulty["m"])
        assert "fields['f'].shape" in str(probe.faults[0])
        return
    else:
        fields["g"] = g.astype("f8")
        faulty = probe.finish(*probe.measure(State(grid, fields, dt=0.1)))
        assert np.isnan(faulty["p"])
        assert np.isfinite(faulty["m"])
        return
    now = State(grid, fields, dt=0.1)
    assert ranks.bits_of(reading(probe, now)) == ranks.bits_of(fresh(now))


def test_widths_that_change_in_place_are_read(ranks):
    widths = np.full(8, 0.5)
    state = State(Grid(8, (widths,)), {"f": np.ones(8)})
    declared = Declarations(conserved={"m": "f"})
    probe = RankSampler(declared)
    probe.agree([probe.local_spec(state)])
    for width in (0.5, 2.0):
        widths[:] = width
        assert reading(probe, state)["m"] == 8 * width


def test_nothing_of_the_drivers_is_held(state):
    f = np.random.default_rng(3).normal(size=(34, 70))
    probe = probe_of(state)
    reading(probe, State(state.grid, {"f": f, "g": state.fields["g"]}, dt=0.1))
    gone = weakref.ref(f)
    del f
    assert gone() is None


def test_an_array_that_is_resized_in_place_is_looked_at_anew():
    f = np.ones(10)
    declared = Declarations(conserved={"m": "f"})
    probe = RankSampler(declared)
    state = State(Grid(10), {"f": f})
    probe.agree([probe.local_spec(state)])
    assert reading(probe, state)["m"] == 10
    # Fails where anybody else refers to the array.
    del state
    f.resize(20)
    f[:] = 2
    f.resize(10)
    assert reading(probe, State(Grid(10), {"f": f}))["m"] == 20
