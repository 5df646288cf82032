"""The writer: what it refuses, when it writes, and what it does when storage refuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simckpt.bundle import BundleWriter, CheckpointHeld, WriterOptions, open_bundle, verify
from simckpt.bundle.files import LocalFiles
from simckpt.errors import (
    BundleBusyError,
    BundleNotWritableError,
    NotABundleError,
    SetupError,
)
from simckpt.model.checkpoint import Checkpoint, Parts
from simckpt.model.intent import Intent
from simckpt.model.segment import Event, Segment, SegmentSchema
from simckpt.model.series import Sample, TileRow


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
        if "fold" in self.refuse:
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
    held = play.writer._appender.held
    assert held <= 4000
    assert play.writer.lost > 100
    disk.refuse.clear()
    play.checkpoint_act(1)
    with open_bundle(tmp_path / "run") as bundle:
        (event,) = bundle.events
        kept = bundle.series().step
        assert event.name == "samples_lost"
        assert event.facts["lost"] == play.writer.lost
        assert list(kept) == list(range(1, event.facts["first"]))
        assert event.facts["last"] == 200
    assert verify(tmp_path / "run") == ()
    play.writer.close()


def test_a_fold_that_fails_stops_neither_the_run_nor_its_checkpoints(tmp_path, opened, plays, disk):
    options = WriterOptions(files=disk, fold_bytes=100)
    play = plays(BundleWriter.create(tmp_path / "run", opened, options))
    disk.refuse.add("fold")
    play.segment_act(0)
    play.checkpoint_act(1)
    assert "quota" in play.writer.trouble
    assert not (tmp_path / "run.simckpt.h5").exists()
    play.checkpoint_act(2)
    with open_bundle(tmp_path / "run") as bundle:
        assert len(bundle.checkpoints) == 2
    with pytest.raises(BundleNotWritableError, match="quota"):
        play.writer.fold()
    disk.refuse.clear()
    play.writer.close()
    assert (tmp_path / "run.simckpt.h5").exists()


def test_a_close_that_storage_refuses_says_so_and_leaves_the_journal(tmp_path, play, disk):
    play.checkpoint_act(1)
    disk.refuse.add("fold")
    with pytest.raises(BundleNotWritableError, match="has room"):
        play.writer.close()
    with open_bundle(tmp_path / "run") as bundle:
        assert len(bundle.checkpoints) == 1


def test_records_reach_the_system_when_many_are_buffered_or_a_second_has_passed(
    tmp_path, opened, plays, disk
):
    clock = Clock()
    options = WriterOptions(files=disk, clock=clock, write_bytes=2000)
    play = plays(BundleWriter.create(tmp_path / "run", opened, options))
    play.segment_act(0)
    play.schema_act(0)
    journal = tmp_path / "run.simckpt.journal"
    play.writer.flush()
    size, syncs = journal.stat().st_size, disk.syncs
    play.sample_act(1)
    assert journal.stat().st_size == size
    clock.now = 1.5
    play.sample_act(2)
    assert journal.stat().st_size > size
    size = journal.stat().st_size
    for seed in range(20):
        play.sample_act(seed)
    assert journal.stat().st_size > size
    assert disk.syncs == syncs
    play.writer.close()


def test_flush_durability_does_not_wait_for_storage(tmp_path, opened, plays, disk):
    options = WriterOptions(files=disk, durability="flush")
    play = plays(BundleWriter.create(tmp_path / "run", opened, options))
    syncs = disk.syncs
    play.segment_act(0)
    play.checkpoint_act(1)
    assert disk.syncs == syncs
    with open_bundle(tmp_path / "run") as bundle:
        assert len(bundle.checkpoints) == 1
    play.writer.close()


def test_a_checkpoint_is_one_write_and_one_sync(tmp_path, opened, plays):
    calls = []

    class Counting(LocalFiles):
        def write(self, handle: int, offset: int, data: bytes) -> None:
            calls.append("write")
            super().write(handle, offset, data)

        def fsync(self, handle: int) -> None:
            calls.append("fsync")

        def sync_folder(self, folder: Path) -> None:
            calls.append("folder")

    play = plays(BundleWriter.create(tmp_path / "run", opened, WriterOptions(files=Counting())))
    play.segment_act(0)
    play.schema_act(0)
    play.sample_act(0)
    calls.clear()
    play.checkpoint_act(1)
    assert calls == ["write", "fsync"]
    play.writer.close()


def test_a_second_writer_is_told_who_holds_the_bundle(tmp_path, play):
    play.writer.flush()
    with pytest.raises(BundleBusyError, match=f"process {os.getpid()}"):
        BundleWriter.resume(tmp_path / "run")
    play.writer.fold()
    with pytest.raises(BundleBusyError):
        BundleWriter.resume(tmp_path / "run")
    play.writer.close()
    BundleWriter.resume(tmp_path / "run").close()


def test_a_lock_that_a_child_of_a_dead_run_still_holds_is_void(tmp_path):
    program = """
import os, sys, time
from simckpt.bundle import BundleWriter
from simckpt.model.journal import RunOpened
opened = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
writer = BundleWriter.create(sys.argv[1], opened)
child = os.fork()
if child == 0:
    os.close(1)
    time.sleep(30)
    os._exit(0)
print(child, flush=True)
os._exit(0)
"""
    path = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    child = int(done.stdout)
    try:
        BundleWriter.resume(path).close()
    finally:
        os.kill(child, 9)
    with open_bundle(path) as bundle:
        assert bundle.run_id == "r"


def test_a_place_that_is_taken_or_cannot_be_written_is_refused(tmp_path, opened, play):
    with pytest.raises(BundleBusyError):
        BundleWriter.create(tmp_path / "run", opened)
    play.writer.close()
    with pytest.raises(BundleNotWritableError, match=r"already.*another path"):
        BundleWriter.create(tmp_path / "run.simckpt.h5", opened)
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleNotWritableError, match="cannot be written"):
        BundleWriter.create(tmp_path / "file" / "run", opened)
    with pytest.raises(NotABundleError):
        BundleWriter.resume(tmp_path / "nothing")


def test_folders_on_the_way_are_made(tmp_path, opened):
    BundleWriter.create(tmp_path / "a" / "b" / "run", opened).close()
    assert (tmp_path / "a" / "b" / "run.simckpt.h5").exists()


def test_a_document_is_stored_once_also_over_a_resume(tmp_path, opened, records_of):
    goal = Intent(goal="x")
    with BundleWriter.create(tmp_path / "run", opened) as writer:
        assert writer.store(goal) == writer.store(goal)
    with BundleWriter.resume(tmp_path / "run") as writer:
        hash_ = writer.store(goal)
    assert len(records_of(tmp_path / "run")) == 2
    with open_bundle(tmp_path / "run") as bundle:
        assert bundle.document(hash_) == goal


def test_a_resumed_writer_knows_the_past(tmp_path, play):
    play.checkpoint_act(5)
    play.writer.close()
    with BundleWriter.resume(tmp_path / "run") as writer:
        assert writer.past.segments == 1
        assert writer.past.checkpoint == play.checkpoints[-1]
        assert writer.path == tmp_path / "run.simckpt.h5"


def test_an_unchanged_checkpoint_costs_less_than_4_kib(tmp_path, play):
    play.checkpoint_act(3)
    journal = tmp_path / "run.simckpt.journal"
    size = journal.stat().st_size
    play.checkpoint_act(3)
    assert journal.stat().st_size - size < 4096
    play.writer.close()


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (Segment(index=5, started=0.0, ranks=1), "the number 1"),
        (SegmentSchema(segment=0, schema="ab"), "store the series schema"),
        (SegmentSchema(segment=3, schema="ab"), "of segment 3"),
        (Sample(step=1, t=0.0, wall=0.0, values=b""), "2 columns"),
        (Sample(step=1 << 70, t=0.0, wall=0.0, values=bytes(16), digests=bytes(32)), "recorded"),
        (TileRow(step=1, field="u", minimum=b"", maximum=b"", mean=b""), "no tiles of 'u'"),
        (TileRow(step=1, field="rho", minimum=b"", maximum=b"", mean=b""), "size"),
        (
            Event(name="n", severity="note", step=1, wall=float("inf"), text=""),
            "cannot be recorded",
        ),
        (
            Event(name="n", severity="note", step=1, wall=0.0, text="", facts={"x": object()}),
            "cannot be recorded",
        ),
    ],
)
def test_a_record_that_could_not_be_read_is_refused_and_leaves_no_trace(
    tmp_path, play, record, problem, records_of
):
    play.writer.flush()
    before = records_of(tmp_path / "run")
    with pytest.raises(SetupError, match=problem):
        play.writer.append(record)
    play.writer.flush()
    assert records_of(tmp_path / "run") == before
    play.sample_act(3)
    play.checkpoint_act(3)
    assert verify(tmp_path / "run") == ()
    play.writer.close()


def test_a_checkpoint_goes_through_commit_only(play):
    checkpoint = Checkpoint(
        parents=(),
        segment=0,
        index=0,
        label="",
        reason="user",
        step=0,
        t=None,
        wall=0.0,
        parts=Parts(),
    )
    with pytest.raises(SetupError, match=r"commit\(\)"):
        play.writer.append(checkpoint)
    play.writer.close()


def test_numbers_of_numpy_are_recorded_as_numbers(tmp_path, play):
    play.writer.append(
        Sample(
            step=np.int64(3),
            t=np.float64(0.5),
            wall=1,
            values=np.zeros(2).tobytes(),
            digests=np.zeros(4, np.uint64).tobytes(),
            faults=np.int32(2),
        )
    )
    play.writer.close()
    with open_bundle(tmp_path / "run") as bundle:
        assert bundle.series().faults.tolist() == [2]


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(SetupError, match="fsync, flush"):
        WriterOptions(durability="maybe")
    with pytest.raises(SetupError, match="hold_bytes"):
        WriterOptions(hold_bytes=0)


def test_a_bundle_that_was_deleted_under_the_run_is_put_back(tmp_path, play):
    play.checkpoint_act(1)
    (tmp_path / "run.simckpt.journal").unlink()
    play.sample_act(2)
    play.checkpoint_act(3)
    with open_bundle(tmp_path / "run") as bundle:
        assert list(bundle.checkpoints) == play.checkpoints
        assert [e.name for e in bundle.events] == ["journal_put_back"]
    assert verify(tmp_path / "run") == ()
    with pytest.raises(BundleBusyError):
        BundleWriter.resume(tmp_path / "run")
    play.writer.close()
    assert verify(tmp_path / "run") == ()


def test_a_file_that_took_the_place_of_the_journal_is_not_touched(tmp_path, play):
    journal = tmp_path / "run.simckpt.journal"
    journal.unlink()
    journal.write_text("someone else's")
    with pytest.raises(CheckpointHeld, match="another file has taken the place"):
        play.checkpoint_act(1)
    assert journal.read_text() == "someone else's"
    journal.unlink()
    play.checkpoint_act(2)
    with open_bundle(tmp_path / "run") as bundle:
        assert [c.label for c in bundle.checkpoints] == ["at 0", "at 0"]
    play.writer.close()


def test_a_bundle_that_was_deleted_before_it_was_closed_is_put_back(tmp_path, play):
    play.sample_act(2)
    play.checkpoint_act(1)
    (tmp_path / "run.simckpt.journal").unlink()
    play.writer.close()
    with open_bundle(tmp_path / "run") as bundle:
        assert list(bundle.checkpoints) == play.checkpoints
    assert verify(tmp_path / "run") == ()


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
