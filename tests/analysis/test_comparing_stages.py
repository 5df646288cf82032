"""Two stages that chose differently are told apart by the rule, and by the first other result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import simckpt
from simckpt.analysis import stage, transform
from simckpt.compare.comparison import compare


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
