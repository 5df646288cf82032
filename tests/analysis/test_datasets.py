"""What is learnt of a dataset by looking: counts, schema, and an id that its contents give it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simckpt.analysis import identity
from simckpt.analysis.datasets import identify, is_dataset

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_what_holds_no_data_is_no_dataset() -> None:
    for thing in (
        1,
        "text",
        None,
        [1.0, 2.0],
        {},
        {"a": 1},
        np.float64(1),
        np.array(1.0),
        object(),
    ):
        assert not is_dataset(thing), thing


def test_an_array_has_its_dimensions_and_its_dtype() -> None:
    seen = identify(np.zeros((3, 4), np.float32))
    assert (seen.library, seen.identified) == ("numpy", "content")
    assert seen.dims == {"axis 0": 3, "axis 1": 4}
    assert [(c.name, c.dtype) for c in seen.schema] == [("values", "float32")]


def test_a_structured_array_and_a_dict_of_arrays_are_tables() -> None:
    table = np.zeros(3, [("x", "f8"), ("n", "i4")])
    columns = {"x": np.zeros(3), "n": np.zeros(3, np.int32)}
    for seen in (identify(table), identify(columns)):
        assert (seen.rows, seen.columns) == (3, 2)
        assert [(c.name, c.dtype) for c in seen.schema] == [("x", "float64"), ("n", "int32")]


@FEW
@given(arrays(np.float64, (4, 3), elements=st.floats(allow_nan=True)))
def test_equal_contents_have_one_id_in_any_memory_order(values) -> None:
    assert identify(values).id == identify(np.asfortranarray(values.copy())).id
    assert identify(values).id == identify(values.astype(">f8").astype("<f8")).id


@FEW
@given(arrays(np.int64, 6, elements=st.integers(-9, 9)), st.integers(0, 5))
def test_another_value_or_shape_is_another_id(values, at) -> None:
    other = values.copy()
    other[at] += 1
    ids = {identify(a).id for a in (values, other, values.reshape(2, 3), values.astype(float))}
    assert len(ids) == 4


def test_arrays_of_objects_are_told_by_their_values() -> None:
    one = np.array(["a", None, 2.5], object)
    assert identify(one).id == identify(np.array(["a", None, 2.5], object)).id
    assert identify(one).id != identify(np.array(["a", None, "2.5"], object)).id
    # Where one text ends and the next begins matters.
    assert identify(np.array(["ab", "c"], object)).id != identify(np.array(["a", "bc"], object)).id


def test_what_is_too_large_is_described_and_follows_from_its_origin(monkeypatch) -> None:
    monkeypatch.setattr(identity, "LARGEST", 100)
    big = np.zeros(100)
    seen = identify(big, ["half of b"])
    assert seen.identified == "derivation"
    assert "800 bytes" in seen.problem
    assert seen.dims == {"axis 0": 100}
    assert seen.id == identify(big + 1, ["half of b"]).id
    assert seen.id != identify(big, ["half of c"]).id


def test_hashing_gives_up_when_its_time_is_over(monkeypatch) -> None:
    monkeypatch.setattr(identity, "LONGEST", -1.0)
    assert "would take more" in identify(np.zeros(100)).problem


def test_an_object_that_raises_is_described_as_far_as_it_goes() -> None:
    class Broken(np.ndarray):
        @property
        def dtype(self):
            raise RuntimeError("no dtype")

    seen = identify(np.zeros((3, 2)).view(Broken))
    assert (seen.rows, seen.columns) == (3, 2)
    assert "no dtype" in seen.problem


class TestPandas:
    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        self.pd = pytest.importorskip("pandas")
        pytest.importorskip("narwhals")

    def frame(self, n=4):
        frame = self.pd.DataFrame({"x": np.arange(float(n)), "who": list("abcd")[:n]})
        frame.attrs["units"] = {"x": "m"}
        return frame

    def test_rows_columns_dtypes_and_units(self) -> None:
        seen = identify(self.frame())
        assert (seen.rows, seen.columns, seen.identified) == (4, 2, "content")
        assert [(c.name, c.dtype, c.units) for c in seen.schema] == [
            ("x", "Float64", "m"),
            ("who", "Object" if self.frame()["who"].dtype == object else "String", ""),
        ]
        assert identify(self.frame()["x"]).columns == 1

    def test_a_named_index_is_a_column_and_its_values_count(self) -> None:
        frame = self.frame().set_index("who")
        seen = identify(frame)
        assert [(c.name, c.role) for c in seen.schema] == [("who", "index"), ("x", "data")]
        assert seen.id != identify(frame.rename(index={"a": "z"})).id

    def test_what_a_filter_leaves_has_the_same_schema_and_another_id(self) -> None:
        frame = self.frame()
        rest = identify(frame[frame.x > 1])
        assert rest.rows == 2
        assert rest.schema == identify(frame).schema
        assert rest.id != identify(frame[frame.x < 2]).id

    def test_a_column_of_mixed_objects_stays_one_when_only_texts_are_left(self) -> None:
        frame = self.pd.DataFrame({"x": self.pd.Series(["a", 1, "b"], dtype="object")})
        rest = frame[frame.x != 1]
        assert identify(rest).schema == identify(frame).schema
        assert identify(rest["x"]).schema == identify(frame["x"]).schema
        assert identify(frame[:0]).schema == identify(frame).schema

    def test_equal_frames_have_one_id(self) -> None:
        assert identify(self.frame()).id == identify(self.frame()).id

    def test_without_narwhals_the_size_is_kept_and_the_mend_is_named(self, monkeypatch) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "narwhals", None)
        seen = identify(self.frame(), ["somewhere"])
        assert (seen.rows, seen.columns, seen.schema) == (4, 2, ())
        assert "simckpt[analysis]" in seen.problem


class TestPolars:
    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        self.pl = pytest.importorskip("polars")
        pytest.importorskip("narwhals")

    def test_a_frame_with_missing_values_and_lists(self) -> None:
        frame = self.pl.DataFrame({"n": [1, None, 3], "l": [[1], [], [2, 3]]})
        seen = identify(frame)
        assert (seen.rows, seen.columns, seen.identified) == (3, 2, "content")
        assert [c.dtype for c in seen.schema] == ["Int64", "List(Int64)"]
        assert seen.id == identify(frame.clone()).id
        filled = frame.with_columns(self.pl.col("n").fill_null(2))
        assert seen.id != identify(filled).id

    def test_a_missing_value_is_not_nan(self) -> None:
        missing = self.pl.DataFrame({"x": [1.0, None]})
        nan = self.pl.DataFrame({"x": [1.0, float("nan")]})
        assert identify(missing).id != identify(nan).id

    def test_a_lazy_frame_is_not_computed(self) -> None:
        def explode(_):
            raise AssertionError

        lazy = self.pl.LazyFrame({"x": [1, 2]}).map_batches(explode, schema={"x": self.pl.Int64})
        seen = identify(lazy, ["scan"])
        assert (seen.identified, seen.rows, seen.columns) == ("derivation", None, 1)
        assert "lazy" in seen.problem


def test_an_arrow_table_has_the_units_in_its_metadata() -> None:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("narwhals")
    schema = pa.schema([pa.field("x", pa.float64(), metadata={"units": "m/s"}), ("n", pa.int8())])
    table = pa.table({"x": [1.0, None], "n": [1, 2]}, schema=schema)
    seen = identify(table)
    assert (seen.library, seen.rows, seen.columns) == ("pyarrow", 2, 2)
    assert [(c.name, c.dtype, c.units) for c in seen.schema] == [
        ("x", "Float64", "m/s"),
        ("n", "Int8", ""),
    ]
    assert seen.id == identify(pa.concat_tables([table[:1], table[1:]])).id


class TestXarray:
    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        self.xr = pytest.importorskip("xarray")

    def field(self):
        return self.xr.Dataset(
            {"T": (("t", "x"), np.arange(12.0).reshape(4, 3), {"units": "K"})},
            coords={"t": [0.0, 1.0, 2.0, 3.0]},
        )

    def test_dimensions_units_and_roles(self) -> None:
        seen = identify(self.field())
        assert seen.dims == {"t": 4, "x": 3}
        assert [(c.name, c.units, c.dims, c.role) for c in seen.schema] == [
            ("T", "K", ("t", "x"), "data"),
            ("t", "", ("t",), "coordinate"),
        ]
        assert identify(self.field()["T"]).dims == {"t": 4, "x": 3}

    def test_a_tree_keeps_its_groups_apart(self) -> None:
        tree = self.xr.DataTree.from_dict(
            {"early": self.field(), "late": self.field()[["T"]].isel(t=[2, 3])}
        )
        seen = identify(tree)
        assert seen.dims == {"early/t": 4, "early/x": 3, "late/t": 2, "late/x": 3}
        assert "late/T" in {c.name for c in seen.schema}

    def test_a_file_has_the_id_of_its_contents_and_stays_unloaded(self, tmp_path) -> None:
        pytest.importorskip("netCDF4")
        path = tmp_path / "field.nc"
        self.field().to_netcdf(path)
        with self.xr.open_dataset(path) as lazy:
            seen = identify(lazy)
            assert seen.source == str(path)
            assert not lazy["T"].variable._in_memory
            assert seen.identified == "content"
            assert seen.id == identify(lazy.load()).id
            assert identify(lazy.isel(x=[0])).id != identify(lazy.isel(x=[1])).id

    def test_what_is_read_in_pieces_has_the_id_of_the_whole(self, monkeypatch) -> None:
        whole = identify(self.field()).id
        monkeypatch.setattr("simckpt.analysis.datasets.WINDOW", 8)
        monkeypatch.setattr(identity, "WINDOW", 8)
        assert identify(self.field()).id == whole


def test_looking_costs_less_than_its_limit() -> None:
    begun = time.monotonic()
    assert identify(np.zeros(1 << 20)).identified == "content"
    assert time.monotonic() - begun < identity.LONGEST
