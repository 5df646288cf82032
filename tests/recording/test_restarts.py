"""A restarted driver's bundle says by itself whether the restart was exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import simckpt
from simckpt.compare.restart_check import Restart, restarts


class Wave:
    """A nonlinear map of a line of cells."""

    def __init__(self) -> None:
        self.u = np.sin(np.arange(40.0))
        self.memory = 0.0

    def advance(self) -> None:
        self.memory = 0.5 * self.memory + 0.1
        self.u = 3.7 * self.u * (1 - self.u) * 0.25 + 0.1 * np.roll(self.u, 1) + self.memory


def drive(path: Path, wave: Wave, start: int, stop: int) -> None:
    with simckpt.run(path, if_exists="continue" if start else "rename", start_step=start):
        step = simckpt.step(
            grid=simckpt.Grid((40,)), fields=lambda w: {"u": w.u}, conserved={"sum": "u"}
        )(Wave.advance)
        for _ in range(start, stop):
            step(wave)


def judged(path: Path, saved, loaded) -> Restart:
    """A run of 8 steps that goes on from what was `saved` at step 5."""
    wave = Wave()
    for _ in range(5):
        wave.advance()
    kept = saved(wave)
    drive(path, Wave(), 0, 8)
    drive(path, loaded(kept), 5, 10)
    with simckpt.open(path) as bundle:
        assert list(bundle.series().step) == list(range(11))
        (found,) = restarts(bundle)
    return found


def restored(u, memory) -> Wave:
    wave = Wave()
    wave.u, wave.memory = u.astype(float), memory
    return wave


def test_an_exact_restart_repeats_every_bit(tmp_path: Path) -> None:
    found = judged(tmp_path / "exact", lambda w: (w.u.copy(), w.memory), lambda k: restored(*k))
    assert (found.verdict, found.first_step, found.last_step) == ("bit-for-bit", 5, 8)


def test_a_restart_file_in_single_precision_is_found_at_its_own_step(tmp_path: Path) -> None:
    found = judged(
        tmp_path / "single", lambda w: (w.u.astype("f4"), w.memory), lambda k: restored(*k)
    )
    assert (found.diverges_at, found.in_state, found.fields) == (5, True, ("u",))


def test_a_forgotten_variable_is_found_at_the_next_step(tmp_path: Path) -> None:
    found = judged(tmp_path / "forgot", lambda w: w.u.copy(), lambda u: restored(u, 0.0))
    assert (found.diverges_at, found.in_state) == (6, False)
    assert "sum" in found.quantities


def told(path: Path) -> list[tuple[str, int, str]]:
    with simckpt.open(path) as bundle:
        return [(e.name, e.step, e.text) for e in bundle.events if e.name.startswith("restart_")]


def test_the_run_itself_says_that_it_repeats_the_overlap(tmp_path: Path) -> None:
    judged(tmp_path / "x", lambda w: (w.u.copy(), w.memory), lambda k: restored(*k))
    text = "the restart repeats 4 samples of the earlier attempt bit for bit, from step 5 to 8"
    assert told(tmp_path / "x") == [("restart_repeats", 8, text)]


def test_the_run_itself_says_where_it_does_not(tmp_path: Path) -> None:
    judged(tmp_path / "x", lambda w: w.u.copy(), lambda u: restored(u, 0.0))
    ((name, step, text),) = told(tmp_path / "x")
    assert (name, step) == ("restart_differs", 6)
    assert "u is different at step 6; 1 before repeats it" in text


def test_a_restart_without_overlap_says_nothing(tmp_path: Path) -> None:
    drive(tmp_path / "x", Wave(), 0, 4)
    drive(tmp_path / "x", Wave(), 5, 8)
    assert told(tmp_path / "x") == []
