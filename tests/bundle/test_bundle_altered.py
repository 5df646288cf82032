"""A journal that something else removes, replaces or writes to while the run goes on."""

from __future__ import annotations

import os

import pytest

from simckpt import BundleError
from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, CheckpointHeld, WriterOptions, verify
from simckpt.bundle.files import LocalFiles
from simckpt.errors import BundleBusyError


@pytest.fixture
def play(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "run", opened, WriterOptions(write_seconds=0.0)))
    play.segment_act(0)
    play.schema_act(0)
    play.document_act(1)
    for seed in range(4):
        play.sample_act(seed)
    play.checkpoint_act(5)
    for seed in range(6, 9):
        play.sample_act(seed)
    play.checkpoint_act(9)
    return play


def overwritten(journal, data, at=0):
    with journal.open("r+b") as file:
        file.seek(at)
        file.write(data)


def replaced(journal, text="someone else's"):
    journal.unlink()
    journal.write_text(text)


WAYS = {
    "removed": lambda journal: journal.unlink(),
    "replaced": replaced,
    "emptied": lambda journal: os.truncate(journal, 0),
    "cut": lambda journal: os.truncate(journal, journal.stat().st_size - 700),
    "cut within its header": lambda journal: os.truncate(journal, 30),
    "longer": lambda journal: overwritten(journal, b"x" * 50, journal.stat().st_size),
    "another text": lambda journal: journal.write_text("not a journal\n"),
    "zeros of the same size": lambda journal: overwritten(journal, bytes(journal.stat().st_size)),
    "another header": lambda journal: overwritten(journal, b"SIMCKPTJ" + bytes(40)),
}
"""What may be done to a journal."""

HARMLESS = ("removed", "replaced", "longer", "another header")
"""After which all of it can still be read by the run."""


@pytest.mark.parametrize("how", list(WAYS))
@pytest.mark.parametrize("restarted", [False, True])
def test_the_run_goes_on_in_a_new_journal_and_says_what_is_lost(tmp_path, play, how, restarted):
    if restarted:
        play.restart()
        play.segment_act(0)
        play.schema_act(0)
        play.sample_act(20)
        play.document_act(20)
        play.checkpoint_act(21)
    journal = tmp_path / "run.simckpt.journal"
    WAYS[how](journal)
    play.sample_act(30)
    play.checkpoint_act(31)
    (text,) = play.writer.mishaps
    with open_bundle(tmp_path / "run") as bundle:
        assert bundle.checkpoints[-1] == play.checkpoints[-1]
        assert [e.text for e in bundle.events if e.name == "journal_renewed"] == [text]
        if how in HARMLESS:
            assert list(bundle.checkpoints) == play.checkpoints
            assert "nothing is lost" in text
    with pytest.raises(BundleBusyError):
        BundleWriter.resume(tmp_path / "run")
    play.document_act(1)
    play.sample_act(32)
    play.checkpoint_act(33)
    play.writer.close()
    assert verify(tmp_path / "run") == ()
    with open_bundle(tmp_path / "run") as bundle:
        assert tuple(bundle.checkpoints[-2:]) == tuple(play.checkpoints[-2:])
        if restarted:
            assert tuple(bundle.checkpoints[:2]) == tuple(play.checkpoints[:2])
        assert bundle.series().step[-2:].tolist() == [play.step - 1, play.step]
    assert len(play.writer.mishaps) == 1


def test_what_was_in_the_place_of_the_journal_is_not_lost(tmp_path, play):
    replaced(tmp_path / "run.simckpt.journal")
    play.checkpoint_act(1)
    assert (tmp_path / "run.simckpt.journal.damaged1").read_text() == "someone else's"
    assert "run.simckpt.journal.damaged1" in play.writer.mishaps[0]
    play.writer.close()


def test_a_journal_that_is_removed_before_the_close_loses_nothing(tmp_path, play):
    (tmp_path / "run.simckpt.journal").unlink()
    play.writer.close()
    with open_bundle(tmp_path / "run") as bundle:
        assert list(bundle.checkpoints) == play.checkpoints
    assert verify(tmp_path / "run") == ()


def test_a_checkpoint_is_held_while_no_new_journal_can_be_made(tmp_path, play):
    journal = tmp_path / "run.simckpt.journal"
    journal.unlink()
    journal.mkdir()
    with pytest.raises(CheckpointHeld, match="is a folder") as held:
        play.checkpoint_act(1)
    play.checkpoints.append(held.value.checkpoint)
    journal.rmdir()
    play.checkpoint_act(2)
    with open_bundle(tmp_path / "run") as bundle:
        assert list(bundle.checkpoints) == play.checkpoints
    play.writer.close()


def test_checkpoints_that_storage_held_are_those_of_the_records_before_them(
    tmp_path, opened, plays
):
    class Refusing(LocalFiles):
        refuse = False

        def fsync(self, handle):
            if self.refuse:
                raise OSError(5, "no")

    files = Refusing()
    play = plays(BundleWriter.create(tmp_path / "run", opened, WriterOptions(files=files)))
    play.segment_act(0)
    play.checkpoint_act(0)
    files.refuse = True
    with pytest.raises(CheckpointHeld) as held:
        play.checkpoint_act(1)
    play.checkpoints.append(held.value.checkpoint)
    files.refuse = False
    os.truncate(tmp_path / "run.simckpt.journal", 0)
    play.checkpoint_act(2)
    play.writer.close()
    assert verify(tmp_path / "run") == ()
    with open_bundle(tmp_path / "run") as bundle:
        late, last = bundle.checkpoints
    assert late.wall == held.value.checkpoint.wall
    assert last.parents == (late.id,)


def test_an_untouched_journal_is_never_renewed(tmp_path, play):
    for seed in range(40, 60):
        play.sample_act(seed)
        play.checkpoint_act(seed)
    play.writer.close()
    assert play.writer.mishaps == []


def test_a_forked_child_cannot_touch_the_bundle(tmp_path, play):
    child = os.fork()
    if not child:
        status = 1
        try:
            play.sample_act(50)
        except BundleError:
            status = 0
        try:
            play.writer.flush()
            status = 2
        except BundleError:
            play.writer.close()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    play.checkpoint_act(51)
    play.writer.close()
    assert verify(tmp_path / "run") == ()
    with open_bundle(tmp_path / "run") as bundle:
        assert tuple(bundle.checkpoints) == tuple(play.checkpoints)
