"""Boxes that move while a run goes on, as a bundle and a comparison tell of them."""

from __future__ import annotations

import numpy as np

import simckpt
from simckpt.bundle import open_bundle
from simckpt.compare.where.divergence import layout


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


def test_the_first_move_is_told_once_and_ranks_are_not_named_after_it(tmp_path) -> None:
    path = tmp_path / "a.simckpt.h5"
    halves, thirds = [(0, 4), (4, 8)], [(0, 3), (3, 8)]
    _record(path, [halves, halves, thirds, halves, halves, halves])
    with open_bundle(path) as bundle:
        events = _told(bundle)
        told = {e.name: e for e in events}
        assert len(events) == len(told) == 2
        assert told["decomposition_changed"].step == 2
        assert told["level_without_digests"].step == 4
        assert told["level_without_digests"].facts == {"cells": 4}
        held = [layout(bundle, "A", row).decomposition is not None for row in range(6)]
    assert held == [True, True, False, False, False, False]


def test_boxes_that_stay_are_not_spoken_of(tmp_path) -> None:
    path = tmp_path / "a.simckpt.h5"
    _record(path, [[(0, 4), (4, 8)]] * 3)
    with open_bundle(path) as bundle:
        assert _told(bundle) == []
        assert layout(bundle, "A", 2).decomposition is not None
