"""A solver that nobody here wrote, recorded through its public interface."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import simckpt


def test_the_record_shows_pyros_conservation_and_its_courant_number(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    pytest.importorskip("pyro", exc_type=ImportError)
    text = run_example("pyro_compressible", "--n", 32, "--t-end", 0.3)
    assert "simckpt show " in text
    with simckpt.open(tmp_path / "pyro.simckpt.h5") as bundle:
        series = bundle.series()
        assert series.step[0] == 0
        assert list(series.step[1:3]) == [5, 10]
        assert series.t[0] == 0
        assert np.all(np.diff(series.t) > 0)
        # Periodic, and yet the exact integrals move by some 1e-9: that is pyro itself, as a
        # plain math.fsum over its arrays confirms.
        assert 1e-12 < np.ptp(series["mass"]) < 1e-8
        assert 1e-12 < np.ptp(series["energy"]) < 1e-7
        assert series["mass"][0] == pytest.approx(1.5, rel=0.01)
        # The first step is pyro's short one; later ones are at 0.8 of the limit.
        assert 0.6 < np.nanmax(series["courant"]) < 0.85
        assert bundle.fields == ("rho", "mx", "my", "E")


PYRO_ALONE = """
import json, math
from pyro import Pyro
pyro = Pyro("compressible")
size = {"mesh.nx": 16, "mesh.ny": 16, "driver.tmax": 0.05}
pyro.initialize_problem("acoustic_pulse", inputs_dict=size)
pyro.run_sim()
density = pyro.get_var("density").v()
sim = pyro.get_sim()
mass = math.fsum(density.ravel()) / 256
print(json.dumps([sim.n, sim.cc_data.t, density.min(), density.max(), mass]))
"""


def test_pyro_runs_the_same_without_being_recorded(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    pytest.importorskip("pyro", exc_type=ImportError)
    size = ("--n", 16, "--t-end", 0.05, "--every", 1)
    run_example("pyro_compressible", *size, "--problem", "acoustic_pulse")
    alone = subprocess.run(
        [sys.executable, "-c", PYRO_ALONE],
        cwd=tmp_path,  # pyro writes inputs.auto into the working directory
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    n, t, least, largest, mass = json.loads(alone.stdout.splitlines()[-1])
    with simckpt.open(tmp_path / "pyro.simckpt.h5") as bundle:
        series = bundle.series()
        assert series.step[-1] == n
        assert series.t[-1] == t
        assert series["rho.min"][-1] == least
        assert series["rho.max"][-1] == largest
        assert series["mass"][-1] == mass
