"""A solver that nobody here wrote, recorded through its public interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import simckpt


def test_pyro_conserves_what_it_should_and_obeys_its_own_courant_number(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    pytest.importorskip("pyro")
    text = run_example("pyro_compressible", "--n", 32, "--t-end", 0.3)
    assert "simckpt show " in text
    with simckpt.open(tmp_path / "pyro.simckpt.h5") as bundle:
        series = bundle.series()
        assert series.step[0] == 0
        assert list(series.step[1:3]) == [5, 10]
        assert series.t[0] == 0
        assert np.all(np.diff(series.t) > 0)
        assert np.ptp(series["mass"]) < 1e-13 * series["mass"][0]
        assert np.ptp(series["energy"]) < 1e-13 * series["energy"][0]
        assert series["mass"][0] == pytest.approx(1.5, rel=0.01)
        # The first step is pyro's short one; later ones are at 0.8 of the limit.
        assert 0.6 < np.nanmax(series["courant"]) < 0.85
        assert bundle.fields == ("rho", "mx", "my", "E")


def test_the_record_of_pyro_is_that_of_its_own_arrays(
    run_example: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyro = pytest.importorskip("pyro")
    size = ("--n", 16, "--t-end", 0.05, "--every", 1)
    run_example("pyro_compressible", *size, "--problem", "acoustic_pulse")
    monkeypatch.chdir(tmp_path)  # pyro writes inputs.auto into the working directory
    alone = pyro.Pyro("compressible")
    alone.initialize_problem(
        "acoustic_pulse", inputs_dict={"mesh.nx": 16, "mesh.ny": 16, "driver.tmax": 0.05}
    )
    alone.run_sim()
    density = alone.get_var("density").v()
    with simckpt.open(tmp_path / "pyro.simckpt.h5") as bundle:
        series = bundle.series()
        assert series.step[-1] == alone.get_sim().n
        assert series.t[-1] == alone.get_sim().cc_data.t
        assert series["rho.max"][-1] == density.max()
        assert series["rho.min"][-1] == density.min()
