"""Mistakes are the same clear error on every rank; faults later on leave the rest intact."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from simckpt import CFL, Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

MASS = Declarations(conserved={"mass": "rho"})


def refused(ranks, declarations, states):
    """The error, which must be the same on each rank."""
    probes = [RankSampler(declarations, rank) for rank in range(len(states))]
    offers = [p.local_spec(s) for p, s in zip(probes, states, strict=True)]
    offers = pickle.loads(pickle.dumps(offers))
    texts = set()
    for probe in probes:
        with pytest.raises(SetupError) as caught:
            probe.agree(offers)
        texts.add(str(caught.value))
    (text,) = texts
    return text


def test_an_unknown_field_is_named_with_the_fields_there_are(ranks):
    states = ranks.decomposed({"rho": np.ones((8, 8))}, (2, 1))
    text = refused(ranks, Declarations(conserved={"mass": "rho*uu"}), states)
    assert "conserved['mass'] = 'rho*uu'" in text
    assert "'uu' is neither a field nor a derived quantity" in text
    assert "Choices: rho." in text


def test_an_array_that_does_not_fit_its_grid_is_named_with_shapes_and_ghosts(ranks):
    states = [
        State(Grid((16, 8), start=(0, 0), ghost=2), {"rho": np.ones((12, 12))}),
        State(Grid((16, 8), start=(8, 0), ghost=1), {"rho": np.ones((12, 10))}),
    ]
    text = refused(ranks, MASS, states)
    assert "fields['rho'].shape = (12, 10)" in text
    assert "global_shape=(16, 8), start=(8, 0), ghost=((1, 1), (1, 1))" in text
    assert "along axis 0 its 10 cells" in text
    assert "on rank 1" in text


def test_missing_cells_are_found_over_all_ranks(ranks):
    states = ranks.decomposed({"rho": np.ones((9, 8))}, (3, 2))
    del states[3]
    text = refused(ranks, MASS, states)
    assert "all ranks together hold 60 of 72 cells; no rank holds (3, 4)" in text


def test_overlapping_boxes_name_the_two_ranks_and_a_cell(ranks):
    states = [
        State(Grid((8, 8), start=(0, 0)), {"rho": np.ones((5, 8))}),
        State(Grid((8, 8), start=(4, 0)), {"rho": np.ones((4, 8))}),
    ]
    text = refused(ranks, MASS, states)
    assert "ranks 0 and 1 both hold the cell (4, 0)" in text
    assert "ghost layers are not part of the box" in text


def test_ranks_with_different_fields_types_or_shapes_are_named(ranks):
    def state(start, **arrays):
        return State(Grid(8, start=start), arrays)

    a, b = np.ones(4), np.ones(4, "f4")
    assert "differs from rank 0 in p" in refused(
        ranks, MASS, [state(0, rho=a), state(4, rho=a, p=a)]
    )
    assert "fields['rho'].dtype = 'f4'" in refused(ranks, MASS, [state(0, rho=a), state(4, rho=b)])
    other = State(Grid(9, start=4), {"rho": a})
    assert "Grid.global_shape = (9,): on rank 1" in refused(ranks, MASS, [state(0, rho=a), other])


@pytest.mark.parametrize(
    ("state", "part"),
    [
        (State(None, {"rho": np.ones(3)}), "there are fields"),
        (State(Grid(3), {"rho": [1.0, 2.0, 3.0]}), "is not an array"),
        (State(Grid(3), {"rho": np.array(["a", "b", "c"])}), "no type of number"),
        (State(Grid(3), {"rho": np.ones((3, 2))}), "each component as a field"),
        (State(Grid(3), {"not a name": np.ones(3)}), "is not a name"),
        (State(Grid(3), {"rho": np.ma.masked_array(np.ones(3))}), "Grid.where"),
        (State([Grid(3)], {"rho": np.ones(3)}), "list of 1 arrays"),
        (State(Grid(3), {"rho": np.ones(3), "u": np.ones(2)}), "has (2,) cells"),
    ],
)
def test_wrong_states_are_told_as_such(ranks, state, part):
    assert part in refused(ranks, Declarations(), [state])


def test_an_error_on_one_rank_reaches_all(ranks):
    states = ranks.decomposed({"rho": np.ones(8)}, (2,))
    bad = State(Grid(8, start=4), {"rho": "no array"})
    assert "is not an array (on rank 1)" in refused(ranks, MASS, [states[0], bad])


def test_a_courant_number_needs_one_speed_an_axis(ranks):
    states = ranks.decomposed({"u": np.ones((4, 4, 4))}, (1, 1, 1))
    text = refused(ranks, Declarations(stability={"courant": CFL("u", "u")}), states)
    assert "has 2 speeds for a grid of 3 axes" in text


FIELDS = {"rho": np.arange(64.0).reshape(8, 8), "p": np.ones((8, 8))}
BOTH = Declarations(
    conserved={"mass": "rho", "work": "p*rho", "pressure": "p"}, stability={"courant": CFL("p")}
)


def broken(states, rank, **changes):
    states = list(states)
    old = states[rank]
    fields = {k: v for k, v in {**old.fields, **changes}.items() if v is not None}
    states[rank] = State(old.grid, fields, step=old.step, dt=old.dt)
    return states


@pytest.mark.parametrize(
    "bad",
    [np.ones((4, 7)), np.ones((4, 8), "f4"), None, "text", np.ones((3, 8, 2))],
    ids=["shape", "type", "gone", "no array", "axes"],
)
def test_a_field_that_changes_on_one_rank_spoils_only_what_needs_it(ranks, bad):
    states = ranks.decomposed(FIELDS, (2, 1), step=5, dt=0.5)
    agreed = ranks.agree(BOTH, states)
    reading = agreed.sample(broken(states, 1, p=bad))
    assert reading["mass"] == FIELDS["rho"].sum()
    assert reading["rho.max"] == 63
    assert all(math.isnan(reading[name]) for name in ("work", "pressure", "courant", "p.max"))
    assert reading.faults == 4
    assert "p failed on 1 rank" in reading.problems
    assert [fault.diagnostic for fault in agreed.probes[1].faults] == ["p"]
    sound = agreed.sample(states)
    assert sound.faults == 0
    assert sound["work"] == FIELDS["rho"].sum()


def test_a_fault_of_the_instrument_fails_the_rank_and_never_raises(ranks, monkeypatch):
    states = ranks.decomposed(FIELDS, (2, 1), step=5, dt=0.5)
    agreed = ranks.agree(BOTH, states)
    monkeypatch.setattr(
        "simckpt.diagnostics.local_sweep.KernelRunner.run",
        lambda *a: (_ for _ in ()).throw(KeyError(1)),
    )
    reading = agreed.sample(states)
    assert math.isnan(reading["mass"])
    assert reading.failed["mass"] == 2
    assert "KeyError" in str(agreed.probes[0].faults[0])


def test_a_rank_that_stays_away_or_lags_is_reported_and_no_number_is_trusted(ranks):
    states = ranks.decomposed(FIELDS, (2, 1), step=5, dt=0.5)
    agreed = ranks.agree(BOTH, states)
    here = agreed.probes[0].measure(states[0])
    away = agreed.finish([here, agreed.probes[1].blank()])
    assert away.problems == ("1 rank of 2 had no state to sample",)
    assert math.isnan(away["mass"])
    assert not away.digests.any()
    late = State(states[1].grid, states[1].fields, step=6, dt=0.5)
    reading = agreed.finish([here, agreed.probes[1].measure(late)])
    assert reading.problems == (
        "the ranks were at different steps, from 5 on rank 0 to 6 on rank 1",
    )
    assert not reading.aligned
    assert reading.faults == 1
    assert math.isnan(reading["mass"])


def test_a_part_that_is_no_longer_given_is_noticed(ranks):
    states = ranks.decomposed(FIELDS, (2, 1), step=5, dt=0.5)
    agreed = ranks.agree(BOTH, states)
    reading = agreed.sample([states[0], State(step=5, dt=0.5)])
    assert reading.problems == ("rho was given 32 of 64 values", "p was given 32 of 64 values")
    assert math.isnan(reading["mass"])
    shifted = State(Grid((8, 8), start=(4, 0)), {k: v[:3] for k, v in states[1].fields.items()},
                    step=5, dt=0.5)  # fmt: skip
    reading = agreed.sample([states[0], shifted])
    assert "rho was given 56 of 64 values" in reading.problems
    assert math.isnan(reading["rho.max"])


def test_particles_that_are_lost_are_noticed(ranks):
    from simckpt import Particles

    def state(ids):
        return State(particles=Particles(ids, velocity=np.ones((ids.size, 1))))

    agreed = ranks.agree(Declarations(), [state(np.arange(5)), state(np.arange(5, 9))])
    lost = agreed.sample([state(np.arange(5)), state(np.arange(5, 8))])
    assert lost.problems == (
        "particles.vx was given 8 of 9 values; give Particles(total=...) where they come and go",
    )
    assert math.isnan(lost["kinetic_energy"])
    moved = agreed.sample([state(np.arange(7)), state(np.arange(7, 9))])
    assert moved["kinetic_energy"] == 4.5
    strange = agreed.sample([state(np.arange(5)), state(np.arange(5, 9) + 50)])
    assert math.isnan(strange["kinetic_energy"])
    assert "goes beyond 0 ... 8" in str(agreed.probes[1].faults[0])


def test_a_clock_that_is_no_number_does_not_raise(ranks):
    states = ranks.decomposed(FIELDS, (1, 1), dt=0.5)
    agreed = ranks.agree(BOTH, states)
    odd = State(states[0].grid, states[0].fields, step=3, t="noon", dt=None)
    reading = agreed.sample([odd])
    assert math.isnan(reading.t)
    assert math.isnan(reading["courant"])
    assert reading["mass"] == FIELDS["rho"].sum()


def test_the_number_of_kept_faults_is_bounded(ranks):
    states = ranks.decomposed(FIELDS, (1, 1))
    agreed = ranks.agree(BOTH, states)
    for _ in range(150):
        agreed.sample(broken(states, 0, p=None))
    assert len(agreed.probes[0].faults) == 100


def test_not_finite_cells_are_counted_located_and_kept_out_of_extrema(ranks):
    rho = FIELDS["rho"].copy()
    rho[6, 3] = np.nan
    rho[5, 7] = np.inf
    states = ranks.decomposed({"rho": rho, "p": FIELDS["p"]}, (2, 2), dt=0.5)
    reading = ranks.sample(BOTH, states)
    assert math.isnan(reading["mass"])
    assert (reading["rho.nan"], reading["rho.posinf"], reading["rho.neginf"]) == (1, 1, 0)
    assert reading["rho.max"] == 63
    assert reading.origins == {"rho": (5, 7)}
    assert reading["pressure"] == 64
    rho[6, 3] = 0
    states = ranks.decomposed({"rho": rho, "p": FIELDS["p"]}, (2, 2), dt=0.5)
    assert ranks.sample(BOTH, states)["mass"] == math.inf


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("parts", [(1, 1), (2, 2)])
def test_the_origin_is_first_in_c_order_whatever_the_memory_order(ranks, parts, order):
    rng = np.random.default_rng(12)
    for _ in range(20):
        rho = rng.normal(size=(20, 30))
        rho[rng.random((20, 30)) < 0.01] = rng.choice([np.nan, np.inf, -np.inf])
        bad = np.argwhere(~np.isfinite(rho))
        states = ranks.decomposed({"rho": rho}, parts, order=order, ghost=1)
        expected = {"rho": tuple(bad[0].tolist())} if bad.size else {}
        assert ranks.sample(Declarations(), states).origins == expected


def test_a_field_without_a_finite_value_has_no_extrema(ranks):
    states = ranks.decomposed({"rho": np.full((8, 8), np.nan), "p": FIELDS["p"]}, (2, 1), dt=0.5)
    reading = ranks.sample(BOTH, states)
    assert math.isnan(reading["rho.min"])
    assert math.isnan(reading["rho.max"])
    assert np.isnan(reading.tiles["rho"].mean).all()


def test_a_field_may_outgrow_its_first_sample_by_far(ranks):
    first = ranks.decomposed({"rho": np.zeros((64, 256)), "p": np.ones((64, 256))}, (2, 1))
    agreed = ranks.agree(BOTH, first)
    rng = np.random.default_rng(1)
    for size in (1e-12, 1.0, 1e5, 1e20):
        rho = rng.normal(size=(64, 256)) * size
        reading = agreed.sample(ranks.decomposed({"rho": rho, "p": rho}, (2, 1)))
        assert reading["mass"] == float(ranks.exact_sum(rho))
        if size > 1e12:  # past the room of the means: said so, not wrong
            continue
        tile = reading.schema.tiles[0].bounds(0)
        inside = rho[tuple(slice(*b) for b in tile)]
        assert abs(reading.tiles["rho"].mean[0] - inside.mean()) <= 1e-10 * size


def test_a_probe_says_so_when_it_has_not_agreed_yet():
    from simckpt.errors import InstrumentError

    with pytest.raises(InstrumentError, match="not agreed"):
        RankSampler(MASS).blank()
