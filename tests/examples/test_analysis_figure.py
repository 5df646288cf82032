"""A figure leads back to the run whose output it was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import simckpt
from simckpt.bundle.contents import content_hashes

pytest.importorskip("netCDF4")
pytest.importorskip("xarray")

SMALL = ("--n", 24, "--t-end", 0.8, "--every", 5)


def test_the_figure_is_linked_to_the_run_by_checkpoint_and_by_the_hash_of_its_data(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    run_example("kelvin_helmholtz", *SMALL, "--output", "kh.nc", "--bundle", "kh")
    text = run_example("analysis_figure", "kh.nc", "--run", "kh")
    assert "growth rate" in text
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    with simckpt.open(tmp_path / "kh") as run, simckpt.open(tmp_path / "growth.png") as figure:
        first, last = figure.checkpoints[0], figure.checkpoints[-1]
        assert first.parents == (run.checkpoints[-1].id,)
        manifest = figure.document(last.parts.manifest)
        (output,) = run.document(run.checkpoints[-1].parts.artifacts).entries
        assert manifest.inputs[0].hash == output.hash
        assert figure.document(last.parts.artifacts).entries[0].path == "growth.png"
        made = figure.document(last.parts.transforms)
    assert [t.kind for t in made.transforms] == ["derive", "reduce", "select", "select", "regrid"]
    fields = made.dataset(made.transforms[0].sources[0])
    assert fields.source.endswith("kh.nc")
    assert (fields.dims["x"], fields.dims["y"]) == (24, 24)
    rolls = made.dataset(made.transforms[1].results[0])
    late = made.dataset(made.transforms[2].results[0])
    assert rolls.dims["time"] > late.dims["time"] > 1
    assert made.transforms[2].selection == "0.4 <= t <= 1.0"
    assert made.dataset(made.transforms[-1].results[0]).dims == {"x": 12, "y": 12}


@pytest.mark.mpi
def test_the_output_is_the_same_on_any_number_of_ranks(
    run_example: Callable[..., str], tmp_path: Path
) -> None:
    short = (*SMALL, "--steps", 10)
    run_example("kelvin_helmholtz", *short, "--output", "a.nc", "--bundle", "a")
    run_example("kelvin_helmholtz", *short, "--output", "b.nc", "--bundle", "b", ranks=3)
    contents = content_hashes(tmp_path / "a.nc")
    assert contents == content_hashes(tmp_path / "b.nc")
    assert contents is not None
    assert {"rho", "my", "time", "x", "y"} <= set(contents)
