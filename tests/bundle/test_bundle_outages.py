"""What a writer does when storage refuses, or its files are taken from under it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, CheckpointHeld, WriterOptions, verify
from simckpt.bundle.files import LocalFiles
from simckpt.errors import BundleNotWritableError


class FullDisk(LocalFiles):
    """Storage that can be told to refuse, after it kept a part of what it was given."""

    def __init__(self) -> None:
        self.refuse: set[str] = set()
        self.syncs = 0

    def write(self, handle: int, offset: int, data: bytes) -> None:
        if "write" in self.refuse:
            super().write(handle, offset, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(handle, offset, data)

    def fsync(self, handle: int) -> None:
        if "fsync" in self.refuse:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.syncs += 1

    def adopt(self, path: Path) -> int:
        if "h5" in self.refuse:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return super().adopt(path)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def disk():
    return FullDisk()


@pytest.fixture
def play(tmp_path, opened, plays, disk):
    options = WriterOptions(files=disk, hold_bytes=4000)
    play = plays(BundleWriter.create(tmp_path / "run", opened, options))
    play.segment_act(0)
    play.schema_act(0)
    return play


@pytest.mark.parametrize("refused", ["write", "fsync"])
def test_a_checkpoint_that_storage_refused_is_held_and_written_at_the_next(
    tmp_path, play, disk, refused, records_of
):
    play.checkpoint_act(1)
    before = records_of(tmp_path / "run")
    disk.refuse.add(refused)
    play.sample_act(2)
    with pytest.raises(CheckpointHeld, match="not on storage yet") as held:
        play.checkpoint_act(3)
    assert play.writer.trouble
    assert records_of(tmp_path / "run")[: len(before)] == before
    disk.refuse.clear()
    play.checkpoints.append(held.value.checkpoint)
    play.checkpoint_act(4)
    assert play.writer.trouble == ""
    with open_bundle(tmp_path / "run") as bundle:
        assert list(bundle.checkpoints) == play.checkpoints
        assert held.value.checkpoint in bundle.checkpoints
    assert verify(tmp_path / "run") == ()
    play.writer.close()


def test_while_storage_refuses_memory_is_bounded_and_the_bundle_says_what_was_lost(
    tmp_path, play, disk
):
    disk.refuse.add("write")
    for seed in range(200):
        play.sample_act(seed)
    held = len(play.writer._appender.frames)
    assert held <= 4000
    assert play.writer.losses > 100
    disk.refuse.clear()
    play.checkpoint_act(1)
    with open_bundle(tmp_path / "run") as bundle:
        (event,) = bundle.events
        kept = bundle.series().step
        assert event.name == "samples_lost"
        assert event.facts["lost"] == play.writer.losses
        assert list(kept) == list(range(1, event.facts["first"]))
        assert event.facts["last"] == 200
    assert verify(tmp_path / "run") == ()
    play.writer.close()


def test_a_close_that_storage_refuses_says_so_and_leaves_the_journal(tmp_path, play, disk):
    play.checkpoint_act(1)
    disk.refuse.add("h5")
    with pytest.raises(BundleNotWritableError, match="has room"):
        play.writer.close()
    with open_bundle(tmp_path / "run") as bundle:
        assert len(bundle.checkpoints) == 1


def test_while_storage_refuses_it_is_not_asked_at_every_sample(tmp_path, opened, plays):
    asked = []

    class Refusing(FullDisk):
        def truncate(self, handle: int, size: int) -> None:
            asked.append("truncate")
            super().truncate(handle, size)

    disk, clock = Refusing(), Clock()
    options = WriterOptions(files=disk, clock=clock, write_bytes=500, hold_bytes=3000)
    play = plays(BundleWriter.create(tmp_path / "run", opened, options))
    play.segment_act(0)
    play.schema_act(0)
    disk.refuse.add("write")
    for seed in range(300):
        clock.now += 0.01
        play.sample_act(seed)
    assert 1 <= len(asked) <= 4
    disk.refuse.clear()
    play.writer.close()
