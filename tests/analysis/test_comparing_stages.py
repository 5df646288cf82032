"""Two stages that chose differently are told apart by the rule, and by the first other result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from msgspec import structs

import simckpt
from simckpt.analysis import stage, transform
from simckpt.cli.main import verbs
from simckpt.compare.comparison import compare
from simckpt.compare.stages import compare_manifests
from simckpt.model.transform import DataColumn, Dataset, Transform, TransformManifest


def differences(tmp_path: Path) -> dict[str, tuple[object, object]]:
    """What two stages with other limits recorded differently of their transforms."""
    for name, least in (("a", 1), ("b", 2)):
        with stage(tmp_path / name, cohort="all"):
            data = transform("open").into(np.arange(4))
            transform("filter", data, selection=f"x > {least}").into(data[data > least])
    with simckpt.open(tmp_path / "a") as a, simckpt.open(tmp_path / "b") as b:
        found = compare(a, b).differences
    return {d.path: (d.a, d.b) for d in found if d.part == "transforms"}


def test_the_rule_and_the_first_other_result_are_named(tmp_path: Path) -> None:
    found = differences(tmp_path)
    assert found["2 filter.selection"] == ("x > 1", "x > 2")
    a, b = found["2 filter.result"]
    assert str(a).endswith("axis 0 2")
    assert str(b).endswith("axis 0 1")
    assert set(found) == {"2 filter.selection", "2 filter.result"}


def recorded(path: Path, least: int, start: int = 0, **more: str) -> Path:
    with stage(path, cohort="all"):
        data = transform("open").into(np.arange(start, start + 4))
        kept = transform("filter", data, selection=f"x > {least}", **more).into(data[data > least])
        transform("scale", kept).into(kept * 2)
    return path


def test_two_stages_with_the_same_data_are_the_same_whatever_their_rule_says(
    tmp_path: Path,
) -> None:
    a, b = recorded(tmp_path / "a", 1), recorded(tmp_path / "b", 1, why="noise")
    with simckpt.open(a) as one, simckpt.open(b) as two:
        found = compare(one, two)
    assert (found.verdict, found.exit_status) == ("same", 0)
    assert found.headline == "The same data after each of 3 transforms"


def test_stages_part_at_the_rule_and_not_where_that_shows_later(tmp_path: Path) -> None:
    a, b = recorded(tmp_path / "a", 1), recorded(tmp_path / "b", 2)
    with simckpt.open(a) as one, simckpt.open(b) as two:
        found = compare(one, two)
    assert (found.verdict, found.classification.kind) == ("different", "data")
    assert found.headline == (
        "The stages diverge at transform 2 'filter': selection 'x > 1' against 'x > 2'"
    )
    assert found.stages is not None
    assert [p.results for p in found.stages.transforms] == ["same", "different", "different"]
    assert found.explanation.causes[0].difference.path == "2 filter.selection"


def test_stages_of_other_data_say_so(tmp_path: Path) -> None:
    a, b = recorded(tmp_path / "a", 1), recorded(tmp_path / "b", 1, start=1)
    with simckpt.open(a) as one, simckpt.open(b) as two:
        found = compare(one, two)
    assert found.headline == (
        "Transform 1 'open' left other data of the same: axis 0 4 against axis 0 4"
    )


def made(*steps: tuple[str, str, int], content: bool = True) -> TransformManifest:
    """Transforms as (kind, id of the result, rows), each from the one before."""
    how: Any = "content" if content else "derivation"
    datasets = tuple(
        Dataset(id=i, library="pandas", rows=n, columns=1, identified=how) for _, i, n in steps
    )
    ids = [""] + [i for _, i, _ in steps]
    return TransformManifest(
        datasets=datasets,
        transforms=tuple(
            Transform(index=k, kind=kind, sources=tuple(filter(None, [ids[k]])), results=(i,))
            for k, (kind, i, _) in enumerate(steps)
        ),
    )


def test_a_step_of_one_stage_alone_is_where_they_part() -> None:
    a = made(("open", "d0", 9), ("drop", "d1", 8), ("mean", "d2", 1))
    b = made(("open", "d0", 9), ("mean", "d3", 1))
    found = compare_manifests(a, b)
    assert (found.verdict, found.headline) == ("different", "Transform 2 'drop' is only in A")
    assert [(p.a, p.b) for p in found.transforms] == [(1, 1), (2, None), (3, 2)]


def test_equal_ids_of_lazy_data_prove_nothing_and_other_sizes_do() -> None:
    a = made(("open", "d0", 9), ("filter", "d1", 4), content=False)
    assert compare_manifests(a, a).verdict == "could-not-compare"
    b = made(("open", "d0", 9), ("filter", "d1", 5), content=False)
    found = compare_manifests(a, b)
    assert (found.verdict, found.first) == ("different", 1)
    assert compare_manifests(made(), made()).verdict == "could-not-compare"


def test_the_columns_that_differ_are_named() -> None:
    a, b = made(("open", "d0", 9)), made(("open", "e0", 9))
    column = DataColumn(name="T", dtype="float64", units="K")
    a = structs.replace(a, datasets=(structs.replace(a.datasets[0], schema=(column,)),))
    other = structs.replace(column, units="degC")
    b = structs.replace(b, datasets=(structs.replace(b.datasets[0], schema=(other,)),))
    assert compare_manifests(a, b).transforms[0].differences == ("T units: K against degC",)


def test_the_command_line_shows_the_transforms_side_by_side(tmp_path: Path) -> None:
    recorded(tmp_path / "a", 1)
    recorded(tmp_path / "b", 2)
    result = CliRunner().invoke(verbs, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert result.exit_code == 1
    assert "2 filter" in result.output
    assert "DIFFERENT" in result.output
    assert "axis 0 2" in result.output
