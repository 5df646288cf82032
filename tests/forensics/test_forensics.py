"""The cheap cases of the fault catalogue, from the programs to their scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.forensics.ablation import TILES, Without
from benchmarks.forensics.catalogue import CASES
from benchmarks.forensics.judging import Judge
from benchmarks.forensics.making import Workshop
from benchmarks.forensics.truth import Account, truth

CHEAP = {
    case.name: case
    for case in CASES
    if case.name
    in {
        "rod: one bit",
        "rod: one end held",
        "plate: package version",
        "same: rod, a comment in the code",
        "same: plate, another package",
    }
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    workshop = Workshop(tmp_path_factory.mktemp("forensics"))
    workshop.prepare()
    programs = [p for case in CHEAP.values() for p in (case.a, case.b)]
    assert [problem for _, problem in workshop.make(programs, 2) if problem] == []
    return Judge(workshop)


@pytest.mark.parametrize("name", [name for name in CHEAP if not CHEAP[name].same])
def test_one_change_is_found_placed_and_explained_in_a_real_run(judge: Judge, name: str) -> None:
    told = judge.score(CHEAP[name])
    assert (told.found, told.step, told.place, told.kind, told.first) == (True,) * 5, told


@pytest.mark.parametrize("name", [name for name in CHEAP if CHEAP[name].same])
def test_what_cannot_matter_raises_no_alarm(judge: Judge, name: str) -> None:
    assert judge.score(CHEAP[name]).false_alarm is False


def test_without_its_digests_a_bundle_does_not_tell_the_place(judge: Judge) -> None:
    told = judge.score(CHEAP["rod: one bit"], lambda run: Without(run, TILES))
    assert told.found
    assert told.step
    assert not told.place or told.told_kind != "local event"


def test_names_of_cases_are_distinct_and_both_halves_ask_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    changed = [case for case in CASES if not case.same]
    assert len(changed) >= 40
    assert len(CASES) - len(changed) >= 15
    halves = [sum(case.half == half for case in changed) for half in ("development", "held out")]
    assert abs(halves[0] - halves[1]) <= 0.1 * len(changed)


def test_every_case_changes_something_and_says_what() -> None:
    for case in CASES:
        assert case.a != case.b, case.name
        assert bool(case.kinds) == bool(case.causes), case.name
        changed = [
            f.name
            for f in dataclasses.fields(case.a)
            if getattr(case.a, f.name) != getattr(case.b, f.name)
        ]
        assert changed, case.name


def witnessed(folder: Path, value: float, ranks: int) -> Account:
    """Two steps of a field of 8 x 2 cells on some ranks; cell (5, 1) has `value` at step 1."""
    folder.mkdir()
    whole = np.zeros((2, 8, 2))
    whole[1, 5, 1] = value
    for rank in range(ranks):
        first, last = rank * 8 // ranks, (rank + 1) * 8 // ranks
        np.savez(
            folder / f"0-{rank}.npz",
            steps=[0, 1],
            start=[first, 0],
            global_shape=[8, 2],
            **{"field.x": whole[:, first:last]},
        )
    return Account(folder)


def test_the_truth_is_the_first_bit_on_any_number_of_ranks(tmp_path: Path) -> None:
    one, two = witnessed(tmp_path / "a", 0.0, 1), witnessed(tmp_path / "b", -0.0, 4)
    found = truth(one, two, [0, 1])
    assert found.step == 1
    assert np.argwhere(found.cells["x"]).tolist() == [[5, 1]]
    assert two.spread(1).ranks(((4, 6), (0, 2))) == (2,)
    assert truth(one, witnessed(tmp_path / "c", 0.0, 2), [0, 1]).step is None
