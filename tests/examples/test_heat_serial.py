"""The smallest example: its physics, and what it leaves behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import simckpt


def test_the_rod_decays_as_theory_says_and_its_heat_stays(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    text = run_example("heat_serial")
    measured, theory = map(float, re.findall(r"\d+\.\d+", text)[:2])
    assert measured == pytest.approx(theory, rel=1e-3)
    assert "simckpt show heat.simckpt.h5" in text

    with simckpt.open(tmp_path / "heat.simckpt.h5") as bundle:
        series = bundle.series()
        assert list(series.step[:3]) == [0, 100, 200]
        assert series.t[0] == 0
        assert series["heat"] == pytest.approx(1, rel=1e-13)
        excess = series["T.max"] - 1
        rate = -np.polyfit(series.t, np.log(excess), 1)[0]
        assert rate == pytest.approx(np.pi**2, rel=1e-3)
        assert [s.segment.ranks for s in bundle.segments] == [1]
        assert bundle.checkpoints[-1].reason == "final"


def test_it_runs_where_mpi_is_not_installed(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    # A module of that name that refuses to be imported, as a missing one would.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['mpi4py'] = None\nsys.modules['mpi4py.MPI'] = None\n"
    )
    assert "decay rate" in run_example("heat_serial", also_on_path=tmp_path)
