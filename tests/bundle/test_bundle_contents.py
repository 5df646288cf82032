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


@pytest.mark.parametrize(
    ("one", "two"),
    [([[1, 2], [3]], [[1], [2, 3]]), ([[], [1]], [[1], []]), ([[1, 2]], [[1], [2]])],
)
def test_values_of_various_lengths_are_told_apart_by_where_they_are_cut(tmp_path, one, two):
    hashes = []
    for name, rows in (("a", one), ("b", two), ("c", one)):
        with h5py.File(tmp_path / name, "w") as file:
            table = file.create_dataset("x", (len(rows),), dtype=h5py.vlen_dtype("i4"))
            for i, row in enumerate(rows):
                table[i] = row
        hashes.append(content_hashes(tmp_path / name)["x"])
    assert hashes[0] == hashes[2] != hashes[1]


def test_references_count_by_what_they_lead_to(tmp_path):
    def told(target, rows):
        with h5py.File(tmp_path / "r", "w") as file:
            for name in "ab":
                file[name] = np.arange(6.0)
            file["x"] = np.array([file[target].ref, h5py.Reference()], dtype=h5py.ref_dtype)
            file["y"] = file["a"].regionref[:rows]
            file["a"].attrs["back"] = file["x"].ref
            file["a"].attrs["nothing"] = h5py.Empty("f8")
        return content_hashes(tmp_path / "r")

    first = told("a", 3)
    assert first == told("a", 3)
    for changed, name in ((told("b", 3), "x"), (told("a", 4), "y")):
        assert {n for n in first if first[n] != changed[n]} == {name}


def test_type_and_shape_of_an_attribute_are_part_of_the_contents(tmp_path):
    values = [0, 0.0, np.float32(0), np.int16([0, 0]), np.int32(0), np.zeros((1, 1)), "", b"0", [0]]
    values += [["a", "b"], [["a"], ["b"]], ["ab"], h5py.Empty("i8")]
    hashes = []
    for value in values:
        with h5py.File(tmp_path / "a", "w") as file:
            file["x"] = 1
            file["x"].attrs["n"] = value
        hashes.append(content_hashes(tmp_path / "a")["x"])
    assert len(set(hashes)) == len(values)


CLASSIC = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")


@pytest.fixture
def classic(tmp_path):
    library = pytest.importorskip("netCDF4")

    def make(layout, change=None, records=3, fields=("rho", "flag")):
        path = tmp_path / f"{layout}.nc"
        with library.Dataset(path, "w", format=layout) as file:
            file.title, file.history = "kh", str(path)
            file.createDimension("time", None)
            file.createDimension("x", 5)
            file.createVariable("x", "f8", ("x",))[:] = np.arange(5.0)
            for name, kind in zip(fields, ("f4", "i1"), strict=False):
                variable = file.createVariable(name, kind, ("time", "x"))
                variable.units = "kg m-3"
                variable.valid = np.array([0, 1], "i2")
                variable[:] = np.arange(records * 5).reshape(records, 5)
            file.createVariable("n", "i4")[...] = 7
            if change:
                change(file)
        return content_hashes(path)

    return make


@pytest.mark.parametrize("layout", CLASSIC)
@pytest.mark.parametrize("fields", [(), ("rho",), ("rho", "flag")])
def test_classic_netcdf_has_the_contents_of_the_same_data_as_hdf5(classic, layout, fields):
    told = classic(layout, fields=fields)
    assert set(told) == {"x", "n", *fields, "/"}
    assert told["/"] != classic(layout, lambda f: f.setncattr("title", "rt"), fields=fields)["/"]
    as_hdf5 = classic("NETCDF4", fields=fields)
    # The coordinate has further attributes of HDF5's own there.
    assert {n: h for n, h in told.items() if n != "/"} == {n: as_hdf5[n] for n in told if n != "/"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda f: f["rho"].__setitem__((2, 4), -1.0), "rho"),
        (lambda f: f["flag"].__setitem__((1, 0), -1), "flag"),
        (lambda f: f["rho"].setncattr("units", "g"), "rho"),
        (lambda f: f["x"].__setitem__(0, -1.0), "x"),
        (lambda f: f["n"].__setitem__(..., 8), "n"),
    ],
)
def test_a_change_of_a_classic_file_shows_in_its_variable(classic, change, name):
    before, after = classic(CLASSIC[1]), classic(CLASSIC[1], change)
    assert {n for n in before if before[n] != after[n]} == {name}


def test_a_classic_file_that_was_cut_has_never_the_contents_of_the_whole_one(classic, tmp_path):
    told = classic(CLASSIC[0])
    whole = (tmp_path / f"{CLASSIC[0]}.nc").read_bytes()
    found = []
    for length in range(4, len(whole) - 8, 7):
        (tmp_path / "cut.nc").write_bytes(whole[:length])
        try:
            found.append(content_hashes(tmp_path / "cut.nc"))
        except ValueError as problem:
            found.append(str(problem).partition(" (")[0])
    assert told not in found
    assert "it cannot be read as netCDF" in found
