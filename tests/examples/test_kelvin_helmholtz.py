"""The solver is right by itself, and its record on any number of ranks is one and the same."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import simckpt


@pytest.fixture(scope="module")
def kh(load_example: Callable[[str], ModuleType]) -> ModuleType:
    return load_example("kelvin_helmholtz")


def interior(kh: ModuleType, array: np.ndarray) -> np.ndarray:
    return array[:, kh.GHOST : -kh.GHOST, kh.GHOST : -kh.GHOST]


def evolved(kh: ModuleType, flow: object, t_end: float) -> None:
    while flow.t < t_end:
        kh.advance(flow, min(flow.stable_dt(0.4), t_end - flow.t))


def density_wave_error(kh: ModuleType, n: int, limiter: str) -> float:
    """L1 error of a density wave that has moved once through the box along its diagonal."""
    x = (np.arange(n) + 0.5) / n
    w = np.ones((4, n, n))
    w[0] += 0.2 * np.sin(2 * np.pi * (x[:, None] + x))
    flow = kh.Flow(kh.Domain(n), w, limiter)
    evolved(kh, flow, 0.5)
    assert np.allclose(interior(kh, flow.W)[1:], 1, atol=1e-9)  # a wave of the density alone
    return float(np.abs(interior(kh, flow.U)[0] - w[0]).mean())


def test_a_smooth_wave_converges_at_second_order(kh: ModuleType) -> None:
    coarse, fine = (density_wave_error(kh, n, "mc") for n in (48, 96))
    assert np.log2(coarse / fine) > 1.8


def test_minmod_smears_a_smooth_wave_more_than_mc(kh: ModuleType) -> None:
    assert density_wave_error(kh, 32, "minmod") > 2 * density_wave_error(kh, 32, "mc")


def test_hllc_keeps_a_contact_at_rest(kh: ModuleType) -> None:
    w = np.zeros((4, 16, 16))
    w[0], w[3] = 1.0, 1.0
    w[0, 4:12] = 5.0
    flow = kh.Flow(kh.Domain(16), w)
    before = flow.U.copy()
    for _ in range(10):
        kh.advance(flow, 0.005)
    assert np.allclose(flow.U, before, rtol=1e-14, atol=1e-14)


def test_a_shock_tube_has_the_exact_states_of_its_star_region(kh: ModuleType) -> None:
    # Sod's tube with gamma = 5/3; the box is periodic, so two tubes stand back to back.
    n = 128
    w = np.zeros((4, n, n))
    w[0], w[3] = 0.125, 0.1
    w[:, n // 4 : 3 * n // 4] = np.array([1.0, 0.0, 0.0, 1.0])[:, None, None]
    flow = kh.Flow(kh.Domain(n), w)
    evolved(kh, flow, 0.08)
    kh.primitives(flow.U, flow.W)
    _, u, v, p = interior(kh, flow.W)[..., 0]
    p_star, u_star = sod_star(kh.GAMMA)
    behind_shock = 3 * n // 4 + round(n * 0.08 * u_star / 2)
    assert p[behind_shock] == pytest.approx(p_star, rel=0.01)
    assert u[behind_shock] == pytest.approx(u_star, rel=0.01)
    assert np.abs(v).max() == 0


def sod_star(gamma: float) -> tuple[float, float]:
    """Pressure and speed between the rarefaction and the shock (Toro 2009, section 4.2)."""

    def speeds(p: float) -> tuple[float, float]:
        behind_rarefaction = 2 * np.sqrt(gamma) / (gamma - 1) * (1 - p ** ((gamma - 1) / 2 / gamma))
        a, b = 2 / (gamma + 1) / 0.125, (gamma - 1) / (gamma + 1) * 0.1
        return behind_rarefaction, (p - 0.1) * np.sqrt(a / (p + b))

    low, high = 0.1, 1.0
    for _ in range(60):
        p = 0.5 * (low + high)
        u_rarefaction, u_shock = speeds(p)
        low, high = (p, high) if u_rarefaction > u_shock else (low, p)
    return p, u_shock


@pytest.mark.parametrize("limiter", ["minmod", "mc"])
def test_what_is_conserved_stays_and_density_and_pressure_stay_positive(
    kh: ModuleType, limiter: str
) -> None:
    domain = kh.Domain(48)
    flow = kh.Flow(domain, kh.kelvin_helmholtz(domain, seed=1), limiter)
    before = interior(kh, flow.U).sum(axis=(1, 2))
    evolved(kh, flow, 1.0)
    after = interior(kh, flow.U).sum(axis=(1, 2))
    assert np.abs(after - before).max() < 1e-12 * before[3]
    kh.primitives(flow.U, flow.W)
    assert 0.9 < flow.W[0].min() < flow.W[0].max() < 2.1
    assert flow.W[3].min() > 2


def test_the_rolls_grow_at_the_rate_of_the_instability(kh: ModuleType) -> None:
    domain = kh.Domain(64)
    flow = kh.Flow(domain, kh.kelvin_helmholtz(domain), "mc")
    amplitudes = []
    for t in (0.5, 1.0):
        evolved(kh, flow, t)
        amplitudes.append(np.abs(flow.my / flow.rho).max())
    rate = np.log(amplitudes[1] / amplitudes[0]) / 0.5
    # A sheet without thickness grows at 4 pi sqrt(2) / 3 = 5.9; a shear layer of 0.025 and 64
    # cells slow it down to about half of that.
    assert 2.3 < rate < 3.5


def test_a_flow_that_was_saved_goes_on_with_the_same_bits(kh: ModuleType, tmp_path: Path) -> None:
    domain = kh.Domain(24)
    flow = kh.Flow(domain, kh.kelvin_helmholtz(domain, seed=1))
    evolved(kh, flow, 0.02)
    kh.save(flow, tmp_path / "state.npz")
    again = kh.Flow(domain, kh.kelvin_helmholtz(domain))
    kh.load(again, tmp_path / "state.npz")
    assert (again.t, again.step) == (flow.t, flow.step)
    for one in (flow, again):
        evolved(kh, one, 0.04)
    assert again.U.tobytes() == flow.U.tobytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.npz"]


def test_output_of_a_run_that_goes_on_is_that_of_one_run(kh: ModuleType, tmp_path: Path) -> None:
    netcdf = pytest.importorskip("netCDF4")
    domain = kh.Domain(8)
    flow = kh.Flow(domain, kh.kelvin_helmholtz(domain))
    for times, again in (((0.0, 0.1, 0.2), False), ((0.1, 0.2, 0.3), True)):
        output = kh.Output(tmp_path / "kh.nc", domain, again=again)
        for flow.t in times:
            output.write(flow)
    with netcdf.Dataset(tmp_path / "kh.nc") as file:
        assert file["time"][:].tolist() == [0.0, 0.1, 0.2, 0.3]
        assert file["rho"].shape == (4, 8, 8)


def test_the_initial_condition_is_that_of_the_benchmark(kh: ModuleType) -> None:
    # Formula (1) of McNally et al. at the middle of the box, of its lower edge, and of a ramp.
    w = kh.kelvin_helmholtz(kh.Domain(200))
    assert w[0, 0, 100] == pytest.approx(2, abs=1e-4)
    assert w[0, 0, 0] == pytest.approx(1, abs=1e-4)
    y = 0.2525  # cell 50
    assert w[0, 0, 50] == pytest.approx(2 - 0.5 * np.exp(-(y - 0.25) / 0.025), rel=1e-12)
    assert w[1, 0, 50] == pytest.approx(-0.5 + 0.5 * np.exp(-(y - 0.25) / 0.025), rel=1e-12)
    assert w[2, 24, 0] == pytest.approx(0.01 * np.sin(4 * np.pi * 24.5 / 200), rel=1e-12)
    assert np.all(w[3] == 2.5)


def test_two_seeds_start_from_two_states(kh: ModuleType) -> None:
    one, two = (kh.kelvin_helmholtz(kh.Domain(16), seed) for seed in (1, 2))
    assert not np.array_equal(one[2], two[2])
    assert np.array_equal(one[[0, 1, 3]], two[[0, 1, 3]])


SMALL = ("--n", 33, "--t-end", 0.2, "--every", 5, "--seed", 4)


@pytest.mark.mpi
def test_the_bits_are_those_of_one_process_on_any_number_of_ranks(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    run_example("kelvin_helmholtz", *SMALL, "--bundle", "serial")
    for ranks in (1, 2, 3, 4):  # 33 cells are not a multiple of 2 or 4
        run_example("kelvin_helmholtz", *SMALL, "--bundle", f"on-{ranks}", ranks=ranks)
        with (
            simckpt.open(tmp_path / "serial") as serial,
            simckpt.open(tmp_path / f"on-{ranks}") as parallel,
        ):
            assert [s.segment.ranks for s in parallel.segments] == [ranks]
            assert serial.fields == parallel.fields == ("rho", "mx", "my", "E")
            for field in serial.fields:
                a, b = serial.digests(field), parallel.digests(field)
                assert len(a.step) > 10
                assert np.array_equal(a.step, b.step), (ranks, field)
                assert np.array_equal(a.values, b.values), (ranks, field)
            for column in ("mass", "energy", "x_momentum", "rho.max", "courant"):
                a, b = serial.series()[column], parallel.series()[column]
                assert np.array_equal(a, b, equal_nan=True), (ranks, column)


def test_the_record_holds_the_conserved_integrals_and_the_courant_number(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    text = run_example("kelvin_helmholtz", *SMALL, "--bundle", "kh.simckpt.h5")
    assert "simckpt show kh.simckpt.h5" in text
    with simckpt.open(tmp_path / "kh.simckpt.h5") as bundle:
        series = bundle.series()
        assert series.step[0] == 0
        assert 0.15 < series.t[-1] <= 0.2
        assert series["mass"] == pytest.approx(1.5, abs=1e-2)
        assert np.ptp(series["energy"]) < 1e-13 * series["energy"][0]
        assert np.nanmax(series["courant"]) == pytest.approx(0.4, rel=0.02)
        assert bundle.checkpoints[-1].reason == "final"
        assert bundle.checkpoints[-1].step >= series.step[-1]


def test_at_most_fifteen_lines_of_the_driver_are_simckpts(kh: ModuleType) -> None:
    source = inspect.getsource(kh)
    lines = {i for i, line in enumerate(source.splitlines(), 1) if re.search(r"\bsimckpt\b", line)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("simckpt."):
            lines |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    assert 10 < len(lines) <= 15
