"""Stability numbers, norms and stencils against NumPy, on any decomposition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simckpt import CFL, Diffusion, Divergence, Frequency, Grid, Norm, SetupError, TotalVariation
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

SHAPE, SPACING = (24, 36), (0.5, 0.3)


def periodic(ranks, fields, parts):
    """States whose ghost layers hold the periodic neighbours."""
    states = []
    for start, box in ranks.boxes(SHAPE, parts):
        local = {}
        for name, field in fields.items():
            wide = np.pad(field, 1, mode="wrap")
            local[name] = wide[tuple(slice(s.start, s.stop + 2) for s in box)].copy()
        states.append(State(Grid(SHAPE, SPACING, start, ghost=1), local, step=1, dt=0.25))
    return states


@pytest.fixture(scope="module")
def fields():
    rng = np.random.default_rng(4)
    return {"u": rng.normal(size=SHAPE), "v": rng.normal(size=SHAPE)}


@pytest.fixture(scope="module")
def reading(ranks, fields):
    declarations = Declarations(
        stability={
            "courant": CFL("abs(u)", "abs(v)"),
            "courant_max": CFL("abs(u)", "abs(v)", convention="max"),
            "diffusion": Diffusion("0.1 + u*u"),
            "gyration": Frequency("u - v"),
            "div": Divergence("u", "v"),
            "variation": TotalVariation("u"),
        },
        norms={kind: Norm("u - v", kind) for kind in ("L1", "L2", "Linf", "RMS")},
    )
    readings = [
        ranks.sample(declarations, periodic(ranks, fields, parts))
        for parts in ((1, 1), (2, 3), (4, 1))
    ]
    assert len({ranks.bits_of(r) for r in readings}) == 1
    return readings[0]


def test_courant_numbers_of_both_conventions(reading, fields):
    rates = abs(fields["u"]) / 0.5, abs(fields["v"]) / 0.3
    assert reading["courant"] == 0.25 * (rates[0] + rates[1]).max()
    assert reading["courant_max"] == 0.25 * max(rates[0].max(), rates[1].max())


def test_the_diffusion_number(reading, fields):
    nu = 0.1 + fields["u"] * fields["u"]
    assert reading["diffusion"] == 0.25 * (nu / (0.5 * 0.5) + nu / (0.3 * 0.3)).max()


def test_a_frequency_of_the_users_own(reading, fields):
    assert reading["gyration"] == 0.25 * abs(fields["u"] - fields["v"]).max()


def test_the_divergence_by_central_differences(reading, ranks, fields):
    u, v = fields["u"], fields["v"]
    div = (np.roll(u, -1, 0) - np.roll(u, 1, 0)) / 1.0
    div = div + (np.roll(v, -1, 1) - np.roll(v, 1, 1)) / 0.6
    assert reading["div.max"] == abs(div).max()
    assert reading["div.local"] == pytest.approx(abs(div).mean(), rel=1e-14)
    assert reading["div.mean"] == float(ranks.exact_sum(div) / div.size)


def test_every_face_counts_once_in_the_total_variation(reading, fields):
    u = fields["u"]
    jumps = abs(np.roll(u, -1, 0) - u).sum() * 0.3 + abs(np.roll(u, -1, 1) - u).sum() * 0.5
    assert reading["variation"] == pytest.approx(jumps, rel=1e-13)


def test_norms(reading, fields):
    d = fields["u"] - fields["v"]
    volume = 0.5 * 0.3
    assert reading["L1"] == pytest.approx(abs(d).sum() * volume, rel=1e-13)
    assert reading["L2"] == pytest.approx(math.sqrt((d * d).sum() * volume), rel=1e-13)
    assert reading["RMS"] == pytest.approx(math.sqrt((d * d).mean()), rel=1e-13)
    assert reading["Linf"] == abs(d).max()


def test_a_nan_makes_what_reads_it_nan(ranks, fields):
    u = fields["u"].copy()
    u[3, 4] = np.nan
    declarations = Declarations(
        stability={"courant": CFL("abs(u)"), "div": Divergence("u", "v")},
        norms={"rms": Norm("u", "RMS"), "other": Norm("v", "RMS")},
    )
    reading = ranks.sample(declarations, periodic(ranks, {"u": u, "v": fields["v"]}, (2, 1)))
    assert all(math.isnan(reading[n]) for n in ("courant", "div.max", "div.mean", "rms"))
    assert math.isfinite(reading["other"])


@pytest.mark.parametrize(
    ("diagnostic", "part"),
    [
        (Divergence("u"), "one component for each of 2 axes"),
        (Divergence("w", "u"), "'w' is neither a field"),
        (TotalVariation("u"), "needs a ghost layer"),
    ],
)
def test_stencils_that_cannot_be_had_are_refused(ranks, fields, diagnostic, part):
    with pytest.raises(SetupError, match=part):
        ranks.agree(Declarations(stability={"d": diagnostic}), [State(Grid(SHAPE), fields)])


@pytest.mark.parametrize(
    "build",
    [
        lambda: CFL(),
        lambda: CFL("abs(u"),
        lambda: CFL("u", convention="mean"),
        lambda: Norm("u", "L3"),
        lambda: Diffusion("u["),
        lambda: Frequency(""),
        lambda: Divergence("u", "v["),
        lambda: TotalVariation("u["),
    ],
)
def test_nonsense_is_refused(build):
    with pytest.raises(SetupError):
        build()
