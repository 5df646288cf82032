"""Names and places of columns and tiles, and the words of the format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt.bundle.files import bundle_paths
from simckpt.bundle.layout import OWN_VARIABLES, Layout
from simckpt.bundle.records import Kind, faults_of
from simckpt.model.series import Column, FieldTiles, SeriesSchema


def columns(*names: str) -> SeriesSchema:
    return SeriesSchema(columns=tuple(Column(name=n, kind="scalar") for n in names))


@given(st.lists(st.lists(st.text(max_size=6), unique=True, max_size=5), max_size=4))
def test_variable_names_are_unique_and_fit_for_netcdf_and_stay(names):
    schemas = [columns(*n) for n in names]
    layout = Layout(schemas)
    found = list(layout.variables.values())
    assert len({*found, *OWN_VARIABLES}) == len(found) + len(OWN_VARIABLES)
    for name in found:
        assert name[0].isalnum() or name[0] == "_"
        assert "/" not in name
        assert name == name.rstrip(" ")
        assert all(ord(c) > 31 for c in name)
    for n in range(len(schemas)):
        former = Layout(schemas[:n])
        assert former.variables.items() <= layout.variables.items()


def test_ordinary_names_are_kept():
    layout = Layout([columns("mass", "rho.min", "dt", "step")])
    assert list(layout.variables.values()) == ["mass", "rho.min", "dt", "step~2"]


def test_a_field_shares_one_group_as_long_as_its_tiles_are_the_same(schemas):
    layout = Layout([schemas[0], schemas[1], schemas[2], schemas[0]])
    assert [g.name for g in layout.groups] == ["rho", "p%2Fq", "rho~2"]
    assert [[cut.group for cut in cuts] for cuts in layout.slices] == [[0], [0, 1], [2], [0]]
    assert layout.group_of(2, "rho") == 2
    assert layout.groups_of("rho") == (0, 2)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (columns("a", "a"), "two columns are named 'a'"),
        (
            SeriesSchema(
                columns=(),
                tiles=(FieldTiles(field="f", dtype="<f8", global_shape=(2,), edges=((2, 0),)),),
            ),
            "edges",
        ),
        (
            SeriesSchema(
                columns=(),
                tiles=(FieldTiles(field="f", dtype="<f8", global_shape=(2,), edges=((),)),),
            ),
            "edges",
        ),
        (columns("a"), ""),
    ],
)
def test_a_schema_that_makes_no_sense_is_named(schema, problem):
    assert problem in faults_of(schema)
    assert bool(faults_of(schema)) == bool(problem)


def test_every_kind_of_record_has_a_number():
    assert {kind.name: int(kind) for kind in Kind} == {
        "RUN": 1, "DOCUMENT": 2, "SEGMENT": 3, "SCHEMA": 4, "SAMPLE": 5, "TILES": 6, "EVENT": 7,
        "CHECKPOINT": 8, "SEGMENT_END": 9,
    }  # fmt: skip


def test_paths_of_one_bundle(tmp_path):
    for given_ in ("a/b", "a/b.h5", "a/b.simckpt.h5", "a/b.simckpt.journal", "a/b.simckpt"):
        paths = bundle_paths(given_)
        assert str(paths.h5) == "a/b.simckpt.h5"
        assert str(paths.journal) == "a/b.simckpt.journal"
    assert str(bundle_paths("a/b.c").h5) == "a/b.c.simckpt.h5"
    assert not bundle_paths(tmp_path / "x").exists()
