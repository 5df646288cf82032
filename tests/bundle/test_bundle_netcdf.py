"""The folded file is netCDF-4: other tools read it."""

from __future__ import annotations

import shutil
import subprocess

import h5py
import numpy as np
import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter

netcdf4 = pytest.importorskip("netCDF4")
xarray = pytest.importorskip("xarray")


@pytest.fixture(scope="module")
def h5(tmp_path_factory, opened, perform, script):
    path = tmp_path_factory.mktemp("netcdf") / "run"
    with BundleWriter.create(path, opened) as writer:
        perform(writer, script)
    return path.with_name("run.simckpt.h5")


def test_xarray_shows_the_series_with_what_each_column_is(h5):
    with xarray.open_datatree(h5) as tree, open_bundle(h5) as bundle:
        series = bundle.series(effective=False)
        for name in ("mass", "rho.min", "energy"):
            assert np.array_equal(tree["series"][name].values, series[name], equal_nan=True)
        assert tree["series"]["mass"].dims == ("sample",)
        assert tree["series"]["mass"].attrs["kind"] == "conserved"
        assert tree["series"]["mass"].attrs["of"] == "rho"
        digests = bundle.digests("p/q", effective=False)
        assert np.array_equal(tree["tiles/p%2Fq"]["digest"].values, digests.values)
        assert tree["tiles/p%2Fq"]["digest"].dims == ("sample", "tile_0")
        assert tree["checkpoints"]["id"].values.tolist() == [c.id for c in bundle.checkpoints]
        assert tree["checkpoints"]["label"].values.tolist() == [c.label for c in bundle.checkpoints]
        assert tree["documents"]["json"].size == len(bundle.documents)
        assert tree.attrs["run_id"] == "r1"


def test_netcdf4_finds_no_unnamed_dimension(h5):
    with netcdf4.Dataset(h5) as root:
        groups = [root, *root.groups.values(), *root["tiles"].groups.values()]
        dimensions = [d for g in groups for d in g.dimensions]
    assert {"sample", "tile_0", "snapshot", "checkpoint", "byte"} <= set(dimensions)
    assert not [d for d in dimensions if "phony" in d]


def test_no_exotic_types_are_used(h5):
    kinds = set()
    with h5py.File(h5) as file:
        file.visititems(
            lambda _, item: kinds.add(item.dtype.str) if isinstance(item, h5py.Dataset) else None
        )
    assert kinds <= {"<i8", "<f8", "<u8", "|u1", ">f4", "|O", "|S64"}


@pytest.mark.skipif(shutil.which("ncdump") is None, reason="ncdump is not installed")
def test_ncdump_reads_it(h5):
    done = subprocess.run(["ncdump", "-h", str(h5)], capture_output=True, text=True, check=True)
    assert "group: checkpoints" in done.stdout


def test_ten_thousand_samples_of_five_fields_stay_under_50_mib(tmp_path, opened):
    from simckpt.model.series import (
        Column,
        FieldTiles,
        Sample,
        Segment,
        SegmentSchema,
        SeriesSchema,
    )

    schema = SeriesSchema(
        columns=tuple(Column(name=f"c{i}", kind="conserved") for i in range(25)),
        tiles=tuple(
            FieldTiles(field=f"f{i}", dtype="<f8", global_shape=(64,), edges=(tuple(range(65)),))
            for i in range(5)
        ),
    )
    rng = np.random.default_rng(0)
    with BundleWriter.create(tmp_path / "run", opened) as writer:
        writer.append(Segment(index=0, started=0.0, ranks=1))
        writer.append(SegmentSchema(segment=0, schema=writer.store(schema)))
        for step in range(10_000):
            writer.append(
                Sample(
                    step=step,
                    t=step * 0.1,
                    wall=1e9 + step,
                    values=rng.standard_normal(25).tobytes(),
                    digests=rng.bytes(8 * 320),
                )
            )
    assert (tmp_path / "run.simckpt.h5").stat().st_size < 50 << 20
