"""Ranks of a real program that ask for different things, or lose cells on the way."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import simckpt

pytestmark = pytest.mark.mpi

DIFFERENT = """
import sys
import numpy as np
from mpi4py import MPI
import simckpt as S
from verdict import tell

rank, ranks = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
last = rank == ranks - 1
told = {}
for case, kw in {
    "more": dict(conserved={"m": "q"} if last else {"m": "q", "e": "q*q"}),
    "other": dict(conserved={"m": "q*q" if last else "q"}),
    "convention": dict(stability={"c": S.CFL("q", convention="max" if last else "sum")}),
    "many": dict(conserved={f"m{i}": "q" for i in range(60 if last else 1)}),
    "every": dict(conserved={"m": "q"}, every=1 + last),
    "spacing": dict(conserved={"m": "q"}),
}.items():
    if case not in sys.argv[2:]:
        continue
    q = np.full((6, 5), 3.0)
    spacing = 0.25 if case == "spacing" and last else 0.5
    @S.step(grid=S.Grid((6 * ranks, 5), spacing, (6 * rank, 0)), fields={"q": q}, **kw)
    def advance():
        pass
    try:
        with S.run(sys.argv[1] + case, abort_on_error=False):
            advance()
    except S.SetupError as error:
        told[case] = str(error)
tell(rank, told=told)
"""


@pytest.mark.parametrize(
    ("ranks", "cases"), [(2, ["more", "convention", "spacing"]), (3, ["other", "many", "every"])]
)
def test_ranks_that_ask_for_different_things_all_raise_the_same(
    mpiexec, tmp_path: Path, ranks: int, cases: list[str]
) -> None:
    done = mpiexec(DIFFERENT, str(tmp_path / "x"), *cases, ranks=ranks, timeout=120).check()
    told = [done.verdicts[rank]["told"] for rank in range(ranks)]
    last = ranks - 1
    begins = {
        "more": "conserved['e'] = 'integral of q*q': is declared on rank 0, and not on rank 1.",
        "convention": "stability['c'] = 'Courant number, max over axes of q': is what rank 1",
        "spacing": "Grid.spacing[0] = 0.25: on rank 1 is not what rank 0 says, 0.5.",
        "other": "conserved['m'] = 'integral of q*q': is what rank 2 declares, and rank 0",
        "many": "conserved['m1'] = 'integral of q': is declared on rank 2, and not on ranks 0, 1.",
        "every": "every = '2 steps': is what rank 2 declares, and rank 0 '1 steps'.",
    }
    assert sorted(told[last]) == sorted(cases)
    assert all(texts == told[0] for texts in told)
    for case, text in told[0].items():
        assert text.startswith(begins[case])


MOVED = """
import sys
import numpy as np
from mpi4py import MPI
import simckpt as S
from verdict import tell

rank, ranks = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
with S.run(sys.argv[1]) as run:
    for step in range(4):
        place = (rank + step) % ranks
        start = 6 * place
        ids = np.arange(4) + 4 * place
        if step == 2 and place:  # one row, and one particle, of the place before
            start -= 1
            ids[0] -= 1
        run.sample(
            grid=S.Grid((6 * ranks, 5), start=(start, 0)),
            fields={"q": np.full((6, 5), 3.0)},
            particles=S.Particles(ids, velocity=np.ones((4, 2))),
            conserved={"m": "q"},
            step=step,
        )
tell(rank, done=True)
"""


@pytest.mark.filterwarnings("ignore::simckpt.SimckptWarning")
@pytest.mark.parametrize("ranks", [2, 3])
def test_cells_and_particles_may_move_and_one_held_twice_is_a_fault(
    mpiexec, tmp_path: Path, ranks: int
) -> None:
    mpiexec(MOVED, str(tmp_path / "x"), ranks=ranks, timeout=120).check()
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        assert list(series.faults) == [0, 0, 2, 0]
        assert [math.isnan(m) for m in series["m"]] == [False, False, True, False]
        texts = {event.text for event in bundle.events if event.name == "sample_incomplete"}
        assert texts == {
            "some cells are held twice, and others by no rank",
            "some ids of particles are held twice, and others by no rank",
        }
