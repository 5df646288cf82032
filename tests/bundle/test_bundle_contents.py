"""Hashes of contents: the same values give the same hashes, and nothing else does."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from simckpt.bundle.contents import content_hashes


@pytest.fixture
def make(tmp_path):
    names = iter("abcdefgh")

    def make(change=None, **how):
        path = tmp_path / next(names)
        with h5py.File(path, "w") as file:
            file.attrs["history"] = f"made as {path}"
            file.attrs["solver"] = "HLLC"
            group = file.create_group("out")
            data = np.arange(6000.0).reshape(60, 100)
            group.create_dataset("rho", data=data, **how)
            group["rho"].attrs["units"] = "kg m-3"
            group["rho"].attrs["creation_date"] = str(path)
            file["names"] = ["a", "bc"]
            if change:
                change(file)
        return content_hashes(path)

    return make


def test_chunks_compression_and_dates_do_not_matter(make):
    plain = make()
    assert plain == make(chunks=(7, 30), compression="gzip", shuffle=True)
    assert set(plain) == {"/", "names", "out/rho"}


def test_byte_order_does_not_matter(tmp_path):
    for order in "<>":
        with h5py.File(tmp_path / order, "w") as file:
            file["x"] = np.arange(5, dtype=f"{order}i4")
    assert content_hashes(tmp_path / "<") == content_hashes(tmp_path / ">")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda f: f["out/rho"].__setitem__((3, 4), -1.0), "out/rho"),
        (lambda f: f["out/rho"].attrs.__setitem__("units", "g"), "out/rho"),
        (lambda f: f["names"].__setitem__(1, "bd"), "names"),
        (lambda f: f.attrs.__setitem__("solver", "Roe"), "/"),
    ],
)
def test_a_change_shows_in_the_variable_it_was_made_in(make, change, name):
    before, after = make(), make(change)
    assert {n for n in before if before[n] != after[n]} == {name}


def test_shape_and_type_are_part_of_the_contents(tmp_path):
    hashes = set()
    for i, data in enumerate(
        [np.zeros(4), np.zeros((2, 2)), np.zeros(4, "f4"), np.zeros(4, "i8"), np.float64(0)]
    ):
        with h5py.File(tmp_path / str(i), "w") as file:
            file["x"] = data
        hashes.add(content_hashes(tmp_path / str(i))["x"])
    assert len(hashes) == 5


def test_links_out_of_the_file_and_circles_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "a", "w") as file:
        file["x"] = 1
        file["out"] = h5py.ExternalLink("/etc/passwd", "/")
        file["soft"] = h5py.SoftLink("/x")
        group = file.create_group("g")
        group["self"] = group
        group["up"] = file["/"]
    assert set(content_hashes(tmp_path / "a")) == {"x"}


def test_other_files_have_no_contents(tmp_path):
    (tmp_path / "a").write_text("text")
    assert content_hashes(tmp_path / "a") is None


def test_compound_and_ragged_values_are_hashed(tmp_path):
    hashes = []
    for i, value in enumerate((1, 2)):
        with h5py.File(tmp_path / str(i), "w") as file:
            file["pair"] = np.array([(1, 2.5), (value, 3.5)], dtype=[("n", ">i4"), ("x", "<f8")])
            ragged = file.create_dataset("ragged", (2,), h5py.vlen_dtype(np.int32))
            ragged[0], ragged[1] = [1, 2], [value]
            file["nothing"] = h5py.Empty("f8")
        hashes.append(content_hashes(tmp_path / str(i)))
    assert hashes[0]["pair"] != hashes[1]["pair"]
    assert hashes[0]["ragged"] != hashes[1]["ragged"]
    assert hashes[0]["nothing"] == hashes[1]["nothing"]
