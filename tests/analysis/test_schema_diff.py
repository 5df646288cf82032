"""The difference of two schemas names each column that is new, gone, or another."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simckpt.model.transform import DataColumn, SchemaChange, schema_diff

columns = st.lists(
    st.builds(
        DataColumn,
        name=st.sampled_from("abcd"),
        dtype=st.sampled_from(["float64", "int64"]),
        units=st.sampled_from(["", "m"]),
        dims=st.sampled_from([(), ("t",), ("t", "x")]),
        role=st.sampled_from(["data", "index"]),
    ),
    unique_by=lambda c: c.name,
)

FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_each_kind_of_change_is_named() -> None:
    before = [
        DataColumn(name="T", dtype="float64", units="K", dims=("t", "x")),
        DataColumn(name="gone", dtype="int64"),
    ]
    after = [
        DataColumn(name="T", dtype="float32", units="degC", dims=("t",)),
        DataColumn(name="new", dtype="bool", dims=("t",)),
    ]
    assert schema_diff(before, after) == (
        SchemaChange(column="T", what="dtype", old="float64", new="float32"),
        SchemaChange(column="T", what="units", old="K", new="degC"),
        SchemaChange(column="T", what="dims", old="t, x", new="t"),
        SchemaChange(column="gone", what="removed", old="int64"),
        SchemaChange(column="new", what="added", new="bool(t)"),
    )


@FEW
@given(columns, columns)
def test_no_change_means_equal_schemas_whatever_their_order(a, b) -> None:
    same = sorted(a, key=lambda c: c.name) == sorted(b, key=lambda c: c.name)
    assert (schema_diff(a, b) == ()) == same


@FEW
@given(columns, columns)
def test_the_way_back_swaps_old_and_new(a, b) -> None:
    back = {"added": "removed", "removed": "added"}
    forth = {(c.column, c.what, c.old, c.new) for c in schema_diff(a, b)}
    assert forth == {(c.column, back.get(c.what, c.what), c.new, c.old) for c in schema_diff(b, a)}
