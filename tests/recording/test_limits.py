"""The limits of stability numbers: declared once, told by every reader."""

from __future__ import annotations

import numpy as np
import pytest

import simckpt
from simckpt.compare.health import health
from simckpt.report.two_runs import health_rows


def told(path, limit):
    """The Courant numbers 0.1, 0.2, ... 0.8 of a field on cells of width 1."""
    with simckpt.run(bundle=path) as run:
        for step in range(1, 9):
            run.sample(
                grid=simckpt.Grid((4,)),
                fields={"u": np.ones(4)},
                stability={"courant": simckpt.CFL("u", limit=limit)},
                step=step,
                dt=step / 10,
            )
    with simckpt.open(path) as bundle:
        found = health(bundle)
    return found.sound, health_rows(found)["courant, largest"]


@pytest.mark.parametrize(
    ("limit", "sound", "text"),
    [
        (None, True, "0.8 at step 8"),
        (1, True, "0.8 at step 8, 20 % below its limit 1"),
        (0.8, True, "0.8 at step 8, 0 % below its limit 0.8"),
        (0.55, False, "0.8 at step 8, past its limit 0.55 from step 6 on"),
    ],
)
def test_the_margin_to_a_limit_is_told_and_the_step_that_passed_it(tmp_path, limit, sound, text):
    assert told(tmp_path / "run", limit) == (sound, text)


@pytest.mark.parametrize("kind", [simckpt.CFL, simckpt.Diffusion, simckpt.Frequency])
@pytest.mark.parametrize("limit", [0, -1.0, float("inf"), float("nan"), "1", True])
def test_a_limit_is_a_positive_number(kind, limit):
    with pytest.raises(simckpt.SetupError, match=r"limit.*is not a positive number.*limit=1"):
        kind("u", limit=limit)
    assert kind("u", limit=2).text() != kind("u").text()
