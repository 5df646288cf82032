"""The same bits on any number of ranks, for any decomposition and memory order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simckpt import CFL, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

DECLARATIONS = Declarations(
    conserved={"a_total": "a", "energy": "0.5*b*b/(1.5 + abs(b))", "c_total": "c", "i_total": "i"},
    stability={"courant": CFL("abs(b)"), "courant_max": CFL("abs(b) + s", convention="max")},
    derived={"s": "sqrt(abs(a/a) + b*b)"},
)

CASES = {
    (1000,): [(1,), (2,), (3,), (4,), (7,)],
    (61, 300): [(1, 1), (2, 1), (1, 3), (2, 2), (7, 1), (1, 7)],
    (17, 19, 130): [(1, 1, 1), (2, 1, 1), (1, 3, 1), (2, 2, 1), (1, 1, 7)],
    (5, 6, 7, 40): [(1, 1, 1, 1), (2, 1, 2, 1)],
}


def fields(shape):
    rng = np.random.default_rng(len(shape))
    wide = rng.normal(size=shape) * 10.0 ** rng.integers(-290, 290, size=shape)
    b = rng.normal(size=shape)
    return {
        "a": wide,
        "b": b,
        "c": b.astype("f4"),
        "i": rng.integers(-9, 9, size=shape).astype("i2"),
        "z": (b + 1j * b**2).astype("c16"),
    }


@pytest.mark.parametrize("shape", CASES, ids=str)
def test_every_bit_is_the_same_for_every_decomposition(ranks, shape):
    whole = fields(shape)
    seen = set()
    for parts in CASES[shape]:
        for order, ghost in (("C", 0), ("F", 2)):
            states = ranks.decomposed(
                whole, parts, order=order, ghost=ghost, spacing=0.1, step=3, dt=0.5
            )
            seen.add(ranks.bits_of(ranks.sample(DECLARATIONS, states)))
    assert len(seen) == 1


@pytest.mark.parametrize("shape", CASES, ids=str)
def test_the_values_are_those_of_exact_arithmetic_and_numpy(ranks, shape):
    whole = fields(shape)
    states = ranks.decomposed(whole, CASES[shape][-1], ghost=1, spacing=0.1, step=3, dt=0.5)
    reading = ranks.sample(DECLARATIONS, states)
    volume = 1.0
    for _ in shape:
        volume *= 0.1
    a, b = whole["a"], whole["b"]
    terms = {
        "a_total": a,
        "energy": 0.5 * b * b / (1.5 + abs(b)),
        "c_total": whole["c"],
        "i_total": whole["i"],
    }
    for name, term in terms.items():
        assert reading[name] == float(ranks.exact_sum(term) * Fraction(volume)), name
    rate = abs(b) / 0.1
    summed = rate
    for _ in shape[1:]:
        summed = summed + rate
    assert reading["courant"] == 0.5 * summed.max()
    assert reading["courant_max"] == 0.5 * ((abs(b) + np.sqrt(1.0 + b * b)) / 0.1).max()
    for name in "abci":
        assert reading[f"{name}.min"] == float(whole[name].min())
        assert reading[f"{name}.max"] == float(whole[name].max())
    assert reading["z_im.max"] == (b**2).max()
    assert reading["dt"] == 0.5
    assert reading.step == 3


@pytest.mark.parametrize("shape", CASES, ids=str)
def test_tile_statistics_are_those_of_the_tiles(ranks, shape):
    whole = fields(shape)
    states = ranks.decomposed(whole, CASES[shape][1], ghost=1)
    reading = ranks.sample(DECLARATIONS, states)
    for tiles in reading.schema.tiles:
        if tiles.field not in ("a", "b", "c", "i"):
            continue
        statistics = reading.tiles[tiles.field]
        scale = float(abs(whole[tiles.field]).max())
        for tile in range(tiles.size):
            inside = whole[tiles.field][tuple(slice(*bound) for bound in tiles.bounds(tile))]
            assert statistics.minimum[tile] == inside.min()
            assert statistics.maximum[tile] == inside.max()
            mean = ranks.exact_sum(inside) / inside.size
            assert abs(statistics.mean[tile] - float(mean)) <= 1e-10 * scale


@settings(deadline=None, max_examples=25)
@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    data=st.data(),
    seed=st.integers(0, 2**31),
)
def test_any_cut_of_any_small_grid_gives_the_same_bits(ranks, shape, data, seed):
    parts = [data.draw(st.integers(1, min(n, 3))) for n in shape]
    exponents = np.random.default_rng(seed).integers(-1000, 1000, size=shape)
    values = np.ldexp(np.random.default_rng(seed).normal(size=shape), exponents)
    declarations = Declarations(conserved={"total": "f"})
    one = ranks.sample(declarations, [State(Grid(shape), {"f": values})])
    many = ranks.sample(declarations, ranks.decomposed({"f": values}, parts, order="F", ghost=1))
    assert ranks.bits_of(one) == ranks.bits_of(many)
    assert one["total"] == float(ranks.exact_sum(values))


def test_the_order_in_which_messages_arrive_does_not_matter(ranks):
    states = ranks.decomposed(fields((61, 300)), (7, 1), step=1, dt=0.1)
    agreed = ranks.agree(DECLARATIONS, states)
    messages = [p.measure(s) for p, s in zip(agreed.probes, states, strict=True)]
    forward = agreed.finish(messages)
    backward = agreed.finish(messages[::-1])
    assert ranks.bits_of(forward) == ranks.bits_of(backward)


def test_threads_do_not_change_a_bit(ranks, monkeypatch):
    states = ranks.decomposed(fields((61, 300)), (1, 1), step=1, dt=0.1)
    one = ranks.sample(DECLARATIONS, states)
    monkeypatch.setenv("SIMCKPT_THREADS", "3")
    assert ranks.bits_of(ranks.sample(DECLARATIONS, states)) == ranks.bits_of(one)


def test_a_rank_without_cells_takes_part(ranks):
    whole = fields((61, 300))
    states = ranks.decomposed(whole, (2, 1), dt=0.1)
    nothing = {name: np.empty((0, 300), array.dtype) for name, array in whole.items()}
    empty = State(Grid((61, 300), start=(61, 0)), nothing, dt=0.1)
    bare = State(dt=0.1)
    reading = ranks.sample(DECLARATIONS, [states[0], empty, states[1], bare])
    alone = ranks.sample(DECLARATIONS, ranks.decomposed(whole, (1, 1), dt=0.1))
    assert ranks.bits_of(reading) == ranks.bits_of(alone)
    assert reading.ranks == 4
    assert reading.problems == ()


@pytest.mark.parametrize(
    "spacing",
    [
        (0.3, np.linspace(0.1, 0.9, 37)),
        (np.linspace(0.1, 0.9, 23), 0.3),
        (np.linspace(0.1, 0.9, 23), np.geomspace(1e-3, 1e3, 37)),
    ],
    ids=["second", "first", "both"],
)
def test_cells_of_different_width_have_exact_integrals(ranks, spacing):
    rng = np.random.default_rng(8)
    values = rng.normal(size=(23, 37)) * 10.0 ** rng.integers(-30, 30, size=(23, 37))
    declarations = Declarations(conserved={"total": "f"}, stability={"courant": CFL("abs(f)")})
    seen = set()
    for parts in ((1, 1), (2, 3)):
        states = ranks.decomposed({"f": values}, parts, ghost=1, spacing=spacing, dt=0.5)
        reading = ranks.sample(declarations, states)
        seen.add(ranks.bits_of(reading))
    x, y = (np.broadcast_to(s, n) for s, n in zip(spacing, values.shape, strict=True))
    volume = x[:, None] * y[None, :]
    pairs = zip(values.ravel().tolist(), volume.ravel().tolist(), strict=True)
    exact = sum((Fraction(f) * Fraction(v) for f, v in pairs), Fraction(0))
    assert len(seen) == 1
    assert reading["total"] == float(exact)
    assert reading["courant"] == 0.5 * (abs(values) / x[:, None] + abs(values) / y[None, :]).max()


def test_volumes_of_single_cells_are_weights(ranks):
    rng = np.random.default_rng(8)
    values, volume = rng.normal(size=(9, 11)), rng.uniform(0.5, 2, size=(9, 11))
    declarations = Declarations(conserved={"total": "f"})
    state = State(Grid((9, 11), volume=volume), {"f": values})
    pairs = zip(values.ravel().tolist(), volume.ravel().tolist(), strict=True)
    exact = sum((Fraction(f) * Fraction(v) for f, v in pairs), Fraction(0))
    assert ranks.sample(declarations, [state])["total"] == float(exact)


def test_masked_cells_are_left_out_of_everything(ranks):
    rng = np.random.default_rng(8)
    values = rng.normal(size=(40, 50))
    where = rng.random((40, 50)) < 0.7
    values[~where] = np.nan
    declarations = Declarations(conserved={"total": "f", "squares": "f*f"})
    reading = ranks.sample(declarations, [State(Grid((40, 50), where=where), {"f": values})])
    inside = values[where]
    assert reading["total"] == float(ranks.exact_sum(inside))
    assert reading["squares"] == float(ranks.exact_sum(inside * inside))
    assert reading["f.nan"] == 0
    assert reading["f.max"] == inside.max()
    other = np.where(where, values, 5.0)
    again = ranks.sample(declarations, [State(Grid((40, 50), where=where), {"f": other})])
    assert ranks.bits_of(again) == ranks.bits_of(reading)


def test_several_boxes_on_a_rank_are_one_grid(ranks):
    whole = fields((61, 300))
    pieces = ranks.decomposed(whole, (2, 3), ghost=1, dt=0.1)
    one = State([p.grid for p in pieces], {n: [p.fields[n] for p in pieces] for n in whole}, dt=0.1)
    alone = ranks.sample(DECLARATIONS, ranks.decomposed(whole, (1, 1), dt=0.1))
    assert ranks.bits_of(ranks.sample(DECLARATIONS, [one])) == ranks.bits_of(alone)


def test_refined_levels_have_their_own_columns_and_share_the_integral(ranks):
    coarse, fine = np.full((8, 8), 2.0), np.full((4, 4), 3.0)
    covered = np.ones((8, 8), bool)
    covered[2:4, 2:4] = False
    grids = [
        Grid((8, 8), spacing=1.0, where=covered),
        Grid((16, 16), spacing=0.5, start=(4, 4), level=1),
    ]
    reading = ranks.sample(
        Declarations(conserved={"mass": "rho"}), [State(grids, {"rho": [coarse, fine]})]
    )
    assert reading["mass"] == 2.0 * 60 + 3.0 * 0.25 * 16
    assert reading["rho.max"] == 2.0
    assert reading["rho@1.max"] == 3.0


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1.0, 1e4, 1e9, 1e200])
@pytest.mark.parametrize("began", ["as zero", "as one"])
def test_means_keep_their_bits_when_a_field_leaves_the_scale_of_its_first_sample(
    ranks, began, scale
):
    shape = (24, 3000)
    first = np.full(shape, 0.0 if began == "as zero" else 1.0)
    rng = np.random.default_rng(9)
    values = rng.normal(size=shape) * scale * 10.0 ** rng.integers(-40, 3, size=shape)
    values[5, 2000] = np.inf
    values[20, 100] = np.nan
    declarations = Declarations(conserved={"total": "f", "sine": "f/(1 + f*f)"})
    seen = set()
    for parts, order in (((1, 1), "C"), ((1, 1), "F"), ((3, 1), "C"), ((2, 7), "C")):
        agreed = ranks.agree(declarations, ranks.decomposed({"f": first}, parts, order=order))
        reading = agreed.sample(ranks.decomposed({"f": values}, parts, order=order, ghost=1))
        assert reading.origins == {"f": (5, 2000)}
        seen.add(ranks.bits_of(reading))
    assert len(seen) == 1
    if began == "as one" and 1e-15 < scale < 1e9:
        tiles = reading.schema.tiles[0]
        inside = values[tuple(slice(*b) for b in tiles.bounds(0))]
        inside = inside[np.isfinite(inside)]
        mean = float(ranks.exact_sum(inside) / inside.size)
        assert abs(reading.tiles["f"].mean[0] - mean) <= 1e-10 * abs(inside).max()
