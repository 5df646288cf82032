"""Boxes that move while a run goes on, as a bundle and a comparison tell of them."""

from __future__ import annotations

import numpy as np
import pytest

import simckpt
from simckpt import open as open_bundle
from simckpt.compare.fields import layout
from simckpt.recording import moving_boxes as moving

HALVES, THIRDS = [(0, 4), (4, 8)], [(0, 3), (3, 8)]


def _record(path, boxes) -> None:
    """Eight cells in the boxes that are given for each step; from step 4 on refined as well."""
    fine = np.ones(4)
    with simckpt.run(bundle=path) as run:
        for step, cuts in enumerate(boxes):
            grids = [simckpt.Grid(8, start=a, level=0) for a, _ in cuts]
            arrays = [np.ones(b - a) for a, b in cuts]
            if step >= 4:
                grids.append(simckpt.Grid(16, spacing=0.5, start=2, level=1))
                arrays.append(fine)
            run.sample(grid=grids, fields={"rho": arrays}, conserved={"mass": "rho"}, step=step)


def _told(bundle) -> list:
    return [event for event in bundle.events if event.name != "capture"]


def _cuts(bundle, row) -> list[tuple[int, int]] | None:
    held = layout(bundle, "A", row).decomposition
    if held is None:
        return None
    return [
        (p.start[0], p.start[0] + p.shape[0])
        for patches in held.patches
        for p in patches
        if p.level == 0
    ]


def test_each_move_is_told_with_where_the_boxes_lie_from_there_on(tmp_path) -> None:
    path = tmp_path / "a.simckpt.h5"
    steps = [HALVES, HALVES, THIRDS, THIRDS, HALVES, HALVES]
    _record(path, steps)
    with open_bundle(path) as bundle:
        events = _told(bundle)
        moves = [(e.step, e.facts["boxes"]) for e in events if e.name == "decomposition_changed"]
        assert moves == [(2, 2), (4, 3)]
        (unseen,) = (e for e in events if e.name == "level_without_digests")
        assert unseen.step == 4
        assert unseen.facts == {"cells": 4}
        assert len(events) == 3
        assert [_cuts(bundle, row) for row in range(6)] == steps


def test_boxes_that_stay_are_not_spoken_of(tmp_path) -> None:
    path = tmp_path / "a.simckpt.h5"
    _record(path, [HALVES] * 3)
    with open_bundle(path) as bundle:
        assert _told(bundle) == []
        assert layout(bundle, "A", 2).decomposition is not None


def test_moves_without_end_are_recorded_up_to_a_bound(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(moving, "MOST_BOXES", 3)
    path = tmp_path / "a.simckpt.h5"
    _record(path, [HALVES, THIRDS, HALVES, THIRDS])
    with open_bundle(path) as bundle:
        assert [_cuts(bundle, row) for row in range(4)] == [HALVES, THIRDS, HALVES, None]
        assert "not recorded" in _told(bundle)[-1].text


def test_refined_boxes_that_come_to_overlap_are_named(tmp_path) -> None:
    path = tmp_path / "a.simckpt.h5"
    with simckpt.run(bundle=path) as run:
        for step, starts in enumerate([(0, 4), (2, 6), (2, 4), (2, 6)]):
            grids = [simckpt.Grid(8)] + [
                simckpt.Grid(16, spacing=0.5, start=start, level=1) for start in starts
            ]
            arrays = [np.ones(8), np.ones(4), np.ones(4)]
            run.sample(grid=grids, fields={"rho": arrays}, conserved={"mass": "rho"}, step=step)
    with open_bundle(path) as bundle:
        (twice,) = (e for e in _told(bundle) if e.name == "cells_held_twice")
        assert twice.step == 2
        assert "ranks 0 and 0 both hold the cell (4,) of level 1" in twice.text


PROGRAM = """
import sys
import numpy as np
from mpi4py import MPI
import simckpt

rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
cells = 600
with simckpt.run(bundle=sys.argv[1]) as run:
    for step in range(8):
        # A rank has many boxes; in steps 3 to 5 they begin so many cells further on.
        shift = rank * (cells // size) + (step if 2 < step < 6 else 0)
        mine = [(shift + i) % cells for i in range(cells // size)]
        grids = [simckpt.Grid(cells, start=i) for i in mine]
        arrays = [np.full(1, float(i)) for i in mine]
        run.sample(grid=grids, fields={"rho": arrays}, conserved={"m": "rho"}, step=step)
        MPI.COMM_WORLD.Barrier()
"""


@pytest.mark.mpi
def test_ranks_tell_where_their_boxes_have_gone(mpiexec, tmp_path) -> None:
    path = tmp_path / "a.simckpt.h5"
    mpiexec(PROGRAM, str(path), ranks=3, timeout=60).check()
    with open_bundle(path) as bundle:
        moves = [e.step for e in _told(bundle) if e.name == "decomposition_changed"]
        assert moves == [3, 4, 5, 6]
        for row, step in enumerate(bundle.series().step.tolist()):
            held = layout(bundle, "A", row).decomposition
            assert held is not None
            shift = step if 2 < step < 6 else 0
            for rank, patches in enumerate(held.patches):
                assert len(patches) == 200
                assert patches[0].start == (rank * 200 + shift,)
