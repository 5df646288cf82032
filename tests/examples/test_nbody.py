"""The star cluster: what leapfrog conserves, and that the record shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import simckpt


@pytest.fixture(scope="module")
def nbody(load_example: Callable[[str], ModuleType]) -> ModuleType:
    return load_example("nbody")


def test_forces_are_the_gradient_of_the_potential(nbody: ModuleType) -> None:
    x = np.array([[0.0, 0.0, 0.0], [0.3, -0.2, 0.1], [-0.5, 0.4, 0.2]])
    cluster = nbody.Cluster(x, np.zeros_like(x))
    h = 1e-6
    for axis in range(3):
        energies = []
        for sign in (1, -1):
            moved = x.copy()
            moved[1, axis] += sign * h
            energies.append(nbody.Cluster(moved, np.zeros_like(x)).potential.sum())
        force = -(energies[0] - energies[1]) / (2 * h)
        assert cluster.mass[1] * cluster.acceleration[1, axis] == pytest.approx(force, rel=1e-6)


def test_the_potential_counts_each_pair_once(nbody: ModuleType) -> None:
    cluster = nbody.Cluster(np.array([[0.0, 0, 0], [3.0, 4.0, 0]]), np.zeros((2, 3)))
    pair = -0.25 / np.sqrt(25 + nbody.SOFTENING**2)
    assert cluster.potential.sum() == pytest.approx(pair, rel=1e-14)


def test_the_cluster_begins_in_equilibrium_and_at_rest(nbody: ModuleType) -> None:
    cluster = nbody.plummer(2000, np.random.default_rng(5))
    kinetic = 0.5 * (cluster.mass * (cluster.v**2).sum(axis=1)).sum()
    assert -2 * kinetic / cluster.potential.sum() == pytest.approx(1, abs=0.1)
    assert np.abs(cluster.mass @ cluster.v).max() < 1e-15
    inner = np.median(np.linalg.norm(cluster.x, axis=1))
    assert inner == pytest.approx(1.305 * nbody.SCALE, rel=0.06)  # half-mass radius


def test_leapfrog_runs_back_to_where_it_came_from(nbody: ModuleType) -> None:
    cluster = nbody.plummer(20, np.random.default_rng(5))
    x = cluster.x.copy()
    advance = nbody.advance.__wrapped__
    for dt in (0.01, -0.01):
        for _ in range(50):
            advance(cluster, dt)
    assert np.allclose(cluster.x, x, atol=1e-12)


def test_halving_the_step_quarters_the_error(nbody: ModuleType) -> None:
    def end(dt: float) -> np.ndarray:
        cluster = nbody.plummer(20, np.random.default_rng(5))
        for _ in range(round(0.16 / dt)):
            nbody.advance.__wrapped__(cluster, dt)
        return cluster.x

    fine = end(0.00125)
    coarse, half = (np.abs(end(dt) - fine).max() for dt in (0.02, 0.01))
    assert coarse / half == pytest.approx(4, rel=0.15)


def test_the_record_shows_what_is_conserved(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    text = run_example("nbody", "--stars", 100, "--t-end", 2, "--seed", 3)
    assert "simckpt show " in text
    with simckpt.open(tmp_path / "nbody.simckpt.h5") as bundle:
        series = bundle.series()
        assert series.step[-1] == 200
        energy = series["total_energy"]
        assert np.allclose(energy, series["kinetic_energy"] + series["potential_energy"])
        assert np.ptp(energy) < 1e-3 * abs(energy[0])
        for axis in "xyz":
            assert np.abs(series[f"momentum_{axis}"]).max() < 1e-14
            assert np.ptp(series[f"angular_momentum_{axis}"]) < 1e-13
