"""A fold under way: the run goes on, and readers see one bundle throughout."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from simckpt.bundle import BundleWriter, WriterOptions, bundle_paths, verify
from simckpt.bundle.files import LocalFiles

EAGER = {"fold_bytes": 2_000, "fold_share": 1e9}
"""A fold begins soon, and does a piece whenever it may."""


class Clock:
    """Time that passes when it is asked for."""

    def __init__(self, tick: float) -> None:
        self.now = 0.0
        self.tick = tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def grow(play: Any, acts: int, start: int = 0) -> None:
    for seed in range(start, start + acts):
        play.sample_act(seed)
        play.tiles_act(seed)
        play.checkpoint_act(seed)


def begun(path: Path, opened: Any, plays: Any, **options: Any) -> Any:
    play = plays(BundleWriter.create(path, opened, WriterOptions(**options)))
    play.segment_act(0)
    play.schema_act(0)
    return play


def folding(path: Path, opened: Any, plays: Any, **options: Any) -> Any:
    """A run that has begun to fold, with one piece of the work done at each record."""
    play = begun(path, opened, plays, fold_seconds=1e-9, **EAGER, **options)
    part = path.with_name(f"{path.name}.simckpt.h5.part")
    while not part.exists():
        grow(play, 1)
    grow(play, 3)
    return play


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_run_goes_on_while_its_journal_is_folded_and_readers_see_one_bundle(
    tmp_path, opened, plays, records_of
):
    straight = begun(tmp_path / "straight", opened, plays)
    folding = begun(tmp_path / "folding", opened, plays, fold_seconds=0.001, **EAGER)
    seen = set()
    for seed in range(150):
        grow(straight, 1, seed)
        grow(folding, 1, seed)
        now = tuple(name in names(tmp_path) for name in FILES)
        if now not in seen or seed % 25 == 0:
            seen.add(now)
            assert records_of(tmp_path / "folding") == records_of(tmp_path / "straight")
            assert verify(tmp_path / "folding") == ()
    assert {(False, False), (True, False)} <= seen
    assert any(h5 for _, h5 in seen)
    journal = tmp_path / "folding.simckpt.journal"
    assert journal.stat().st_size < (tmp_path / "straight.simckpt.journal").stat().st_size
    for play in (straight, folding):
        play.writer.close()
    assert records_of(tmp_path / "folding") == records_of(tmp_path / "straight")
    assert names(tmp_path) == {"straight.simckpt.h5", "folding.simckpt.h5"}


FILES = ("folding.simckpt.h5.part", "folding.simckpt.h5")


def test_a_fold_under_way_takes_its_share_of_the_time_and_no_more_in_one_go(
    tmp_path, opened, plays
):
    clock = Clock(tick=0.0)
    play = begun(tmp_path / "run", opened, plays, fold_bytes=2_000, clock=clock)
    grow(play, 20)
    assert names(tmp_path) == {"run.simckpt.journal"}, "no time has passed: no work is due"
    clock.now += 1e6
    clock.tick = 0.001
    before = clock.now
    play.sample_act(99)
    assert clock.now - before < 0.02, "much is due, and little of it is done in one go"
    for seed in range(400):
        grow(play, 1, seed)
    assert (tmp_path / "run.simckpt.h5").exists()
    play.writer.close()


def test_a_writer_that_closes_while_it_folds_leaves_one_whole_file(tmp_path, opened, plays):
    play = folding(tmp_path / "run", opened, plays)
    assert "run.simckpt.h5.part" in names(tmp_path)
    play.writer.close()
    assert names(tmp_path) == {"run.simckpt.h5"}
    assert verify(tmp_path / "run") == ()


def test_a_journal_that_is_removed_while_it_is_folded_is_put_back_whole(
    tmp_path, opened, plays, records_of
):
    play = folding(tmp_path / "run", opened, plays)
    before = records_of(tmp_path / "run")
    bundle_paths(tmp_path / "run").journal.unlink()
    grow(play, 1)
    assert records_of(tmp_path / "run")[: len(before)] == before
    grow(play, 200)
    play.writer.close()
    assert verify(tmp_path / "run") == ()


class NoRoom(LocalFiles):
    """Storage that is full while `full`."""

    full = False

    def write(self, handle: int, offset: int, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(handle, offset, data)


def test_a_fold_under_way_gives_its_space_back_when_the_journal_finds_none(tmp_path, opened, plays):
    files = NoRoom()
    play = folding(tmp_path / "run", opened, plays, files=files)
    assert "run.simckpt.h5.part" in names(tmp_path)
    files.full = True
    with pytest.raises(Exception, match="No space left"):
        grow(play, 1)
    assert names(tmp_path) == {"run.simckpt.journal"}
    files.full = False
    grow(play, 200)
    play.writer.close()
    assert verify(tmp_path / "run") == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_was_forked_while_a_fold_is_under_way_does_not_write_into_it(
    tmp_path, opened, plays
):
    play = folding(tmp_path / "run", opened, plays)
    part = tmp_path / "run.simckpt.h5.part"
    before = part.read_bytes()
    child = os.fork()
    if not child:
        try:
            import h5py

            h5py.h5.close()  # as HDF5 does by itself when a program ends
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert part.read_bytes() == before
    grow(play, 200)
    play.writer.close()
    assert verify(tmp_path / "run") == ()
    assert sys.modules["h5py"]
