"""Tile digests are read from where they lie in the file, and are those that HDF5 reads."""

import os

import numpy as np
import pytest

from benchmarks.comparing import write
from simckpt import open as open_bundle
from simckpt.bundle import folded
from simckpt.bundle.hdf5 import Extents


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("extents") / "run", 700)


def test_digests_are_read_without_hdf5_and_are_the_same(path, monkeypatch):
    with open_bundle(path) as bundle:
        direct = bundle.digests("E").values
        assert bundle._recorded.folded._extents["tiles/E/digest"] is not None
    monkeypatch.setattr(folded, "WORTH", 1 << 60)
    with open_bundle(path) as bundle:
        assert np.array_equal(bundle.digests("E").values, direct)
        assert not bundle._recorded.folded._extents


def test_any_rows_are_those_asked_for(path):
    with open_bundle(path) as bundle:
        digests = bundle.digests("rho")
        whole = digests.values
        extents = bundle._recorded.folded._extents["tiles/rho/digest"]
        for start, count in ((0, 1), (127, 2), (128, 128), (5, 600), (699, 1), (3, 0)):
            assert np.array_equal(extents.read(start, count), whole[start : start + count])


def test_a_place_outside_the_file_is_refused(tmp_path):
    file = tmp_path / "short"
    file.write_bytes(bytes(100))
    handle = os.open(file, os.O_RDONLY)
    try:
        for place in (-8, 40):
            with pytest.raises(ValueError, match="not in the file"):
                Extents(handle, np.array([place]), 4, 2)
        with pytest.raises(ValueError, match="no rows"):
            Extents(handle, np.array([0]), 0, 2)
        sound = Extents(handle, np.array([0]), 4, 2)
        with pytest.raises(ValueError, match="not in the file"):
            sound.read(3, 2)
    finally:
        os.close(handle)
