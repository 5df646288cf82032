"""What was not measured is neither equal nor different: zeros for digests say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simckpt
from simckpt.compare.comparison import compare

pytestmark = pytest.mark.filterwarnings("ignore::simckpt.errors.SimckptWarning")


def record(path: Path, failing: range, shift: float = 0.0) -> None:
    with simckpt.run(bundle=path) as run:
        for step in range(12):
            u = np.arange(8.0) + step + shift * (step in failing)
            # A field of another type than before is not measured.
            given = u.astype("f4") if step in failing else u
            run.sample(
                step=step,
                t=float(step),
                fields={"u": given},
                grid=simckpt.Grid(8),
                conserved={"m": "u"},
            )


def verdict(tmp_path: Path, name: str = "ab") -> object:
    with simckpt.open(tmp_path / name[0]) as a, simckpt.open(tmp_path / name[1]) as b:
        return compare(a, b)


def test_runs_that_differ_only_where_neither_was_measured_are_not_called_the_same(
    tmp_path: Path,
) -> None:
    record(tmp_path / "a", range(3, 12))
    record(tmp_path / "b", range(3, 12), shift=1.0)
    found = verdict(tmp_path)
    assert found.verdict == "could-not-compare"
    told = [u for u in found.uncompared if u.what == "field"]
    assert told[0].reason == "was not measured at 9 of 12 matching samples"


def test_a_sample_that_failed_in_one_run_is_no_difference(tmp_path: Path) -> None:
    record(tmp_path / "a", range(0))
    record(tmp_path / "b", range(3, 6))
    found = verdict(tmp_path)
    assert found.verdict == "could-not-compare"
    assert found.first is None


def refined(path: Path, flip: bool) -> None:
    with simckpt.run(bundle=path) as run:
        for step in range(6):
            grids, fields = [simckpt.Grid((16, 16))], [np.ones((16, 16)) * step]
            if step >= 3:
                fine = np.arange(64.0).reshape(8, 8)
                where = np.ones((16, 16), bool)
                where[2:6, 2:6] = False
                level = simckpt.Grid((32, 32), 0.5, start=(4, 4), level=1)
                grids = [simckpt.Grid((16, 16), where=where), level]
                fields.append(fine[::-1].copy() if flip else fine)
            run.sample(step=step, t=float(step), fields={"u": fields}, grid=grids,
                       conserved={"m": "u"})  # fmt: skip


def test_a_level_without_digests_leaves_a_field_uncompared(tmp_path: Path) -> None:
    refined(tmp_path / "a", flip=False)
    refined(tmp_path / "b", flip=True)
    found = verdict(tmp_path)
    assert found.verdict == "could-not-compare"
    (told,) = (u for u in found.uncompared if u.what == "field")
    assert "without digests in A from step 3 and in B from step 3" in told.reason
