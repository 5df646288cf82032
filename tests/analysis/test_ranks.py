"""A stage on many ranks describes the data of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import simckpt
from simckpt.analysis.stage import merge_ranks
from simckpt.model.transform import Dataset, StagePart, Transform, TransformManifest

OWN = TransformManifest(
    datasets=(
        Dataset(id="a0", library="pandas", rows=4, columns=2),
        Dataset(id="b", library="numpy", dims={"axis 0": 3}),
    ),
    transforms=(Transform(index=0, kind="join", sources=("a0",), results=("b",)),),
    ranks=2,
)


def part(first: str, rows: int, second: str, length: int, kind: str = "join") -> StagePart:
    data = ((first, rows, {}), (second, None, {"axis 0": length}))
    return StagePart(transforms=((kind, data),))


def test_what_each_rank_holds_a_part_of_is_as_large_as_the_parts_together() -> None:
    whole = merge_ranks(OWN, [part("a0", 4, "b", 3), part("a1", 5, "b", 3)])
    data, alike = whole.datasets
    assert (data.rows, data.columns, data.parts) == (9, 2, 2)
    assert (alike.id, alike.parts) == ("b", 1), "all ranks hold it alike"
    assert whole.transforms[0].sources == (data.id,)
    again = merge_ranks(OWN, [part("a0", 4, "b", 3), part("a1", 5, "b", 3)])
    swapped = merge_ranks(OWN, [part("a0", 4, "b", 3), part("a2", 5, "b", 3)])
    assert again == whole
    assert swapped.datasets[0].id != data.id


def test_ranks_that_did_other_things_are_told_and_rank_0_stands() -> None:
    whole = merge_ranks(OWN, [part("a0", 4, "b", 3), part("a1", 5, "b", 3, kind="filter")])
    assert whole.problem == "the ranks did not make the same transforms: these are rank 0's"
    assert whole.datasets == OWN.datasets
    assert merge_ranks(OWN, [part("a0", 4, "b", 3), None]).problem


PROGRAM = """
import numpy as np
from mpi4py import MPI
from simckpt.analysis import stage, transform
comm = MPI.COMM_WORLD
with stage("x") as run:
    table = {"id": np.arange(4) + 4 * comm.rank, "v": np.ones(4)}
    members = transform("open").into(np.arange(7))
    kept = {name: column[table["id"] % 3 == 0] for name, column in table.items()}
    transform("filter", table, members, selection="every third").into(kept)
    run.checkpoint("half way")
"""


@pytest.mark.mpi
def test_a_stage_on_three_ranks_counts_the_rows_of_all(mpiexec, tmp_path: Path) -> None:
    mpiexec(PROGRAM, ranks=3, timeout=60).check()
    with simckpt.open(tmp_path / "x") as bundle:
        manifests = [bundle.document(c.parts.transforms) for c in bundle.checkpoints]
        assert "rank 0's parts" in manifests[1].problem
        last = manifests[-1]
        assert (last.ranks, last.problem) == (3, "")
        members = last.dataset(last.transforms[0].results[0])
        assert (members.dims, members.parts) == ({"axis 0": 7}, 1)
        source = last.dataset(last.transforms[1].sources[0])
        kept = last.dataset(last.transforms[1].results[0])
        assert (source.rows, source.parts) == (12, 3)
        assert (kept.rows, kept.parts) == (4, 3)
        assert bundle.checkpoints[-1].cost.captures > 0
