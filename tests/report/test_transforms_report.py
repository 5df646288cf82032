"""The transforms of a stage are shown in order, with what they took and what they left."""

from __future__ import annotations

import io

from simckpt.model.transform import DataColumn, Dataset, SchemaChange, Transform, TransformManifest
from simckpt.report.overview import size_text, transforms_section
from simckpt.report.text import show


def printed(manifest: TransformManifest | None) -> str:
    out = io.StringIO()
    show(transforms_section(manifest), out)
    return out.getvalue()


def dataset(letter: str, **size) -> Dataset:
    return Dataset(id=letter * 64, library="pandas", **size)


def test_a_simulation_has_no_such_section() -> None:
    assert printed(None).strip() == ""


def test_each_transform_says_what_it_took_and_what_it_left() -> None:
    text = printed(
        TransformManifest(
            cohort="members 1 to 3",
            datasets=(dataset("a", rows=1000, columns=2), dataset("b", rows=7, columns=3)),
            transforms=(
                Transform(
                    index=0,
                    kind="filter",
                    selection="x > 2",
                    why="noise",
                    sources=("a" * 64,),
                    results=("b" * 64,),
                    changes=(
                        SchemaChange(column="y", what="added", new="int64"),
                        SchemaChange(column="x", what="units", old="", new="m"),
                    ),
                ),
            ),
            left_out=2,
        )
    )
    for shown in ("members 1 to 3", "1,000 rows x 2", "7 rows x 3", "x > 2 (noise)", "+y"):
        assert shown in text
    assert "units: none -> m" in " ".join(text.split())
    assert "Transforms (3)" in text
    assert "2 more transforms" in text
    assert max(map(len, text.splitlines())) <= 100


def test_sizes_are_told_by_what_a_dataset_has() -> None:
    column = DataColumn(name="x", dtype="f8")
    assert size_text(dataset("a", rows=1, columns=1)) == "1 row x 1"
    assert size_text(dataset("a", dims={"t": 4, "x": 3})) == "t 4, x 3"
    assert size_text(dataset("a", columns=1, schema=(column,))) == "lazy"
    assert size_text(dataset("a")) == "?"
