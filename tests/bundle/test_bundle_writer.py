"""The writer: what it refuses, when it writes, and what it knows of the past."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simckpt import Intent, SetupError
from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, WriterOptions, verify
from simckpt.bundle.files import LocalFiles
from simckpt.errors import BundleBusyError, BundleNotWritableError, NotABundleError
from simckpt.model.series import Checkpoint, Event, Parts, Sample, Segment, SegmentSchema, TileRow


class CountingDisk(LocalFiles):
    """Storage that counts how often it is waited for."""

    syncs = 0

    def fsync(self, handle: int) -> None:
        self.syncs += 1


@pytest.fixture
def disk():
    return CountingDisk()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def play(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.schema_act(0)
    return play


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
        assert writer.earlier.segments == 1
        assert writer.earlier.checkpoint == play.checkpoints[-1]
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
