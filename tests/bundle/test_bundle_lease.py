"""One writer a bundle, whatever the file system knows of locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, bundle_paths
from simckpt.bundle import appender as lease
from simckpt.bundle.framing import Origin, decode_header, encode_header
from simckpt.errors import BundleBusyError


@pytest.fixture
def play(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.schema_act(0)
    return play


def test_a_second_writer_is_told_who_holds_the_bundle(tmp_path, play):
    play.writer.flush()
    with pytest.raises(BundleBusyError, match=f"process {os.getpid()}"):
        BundleWriter.resume(tmp_path / "run")
    play.restart()
    with pytest.raises(BundleBusyError):
        BundleWriter.resume(tmp_path / "run")
    play.writer.close()
    BundleWriter.resume(tmp_path / "run").close()


def test_a_lock_that_a_child_of_a_dead_run_still_holds_is_void(tmp_path):
    program = """
import os, sys, time
from simckpt.bundle import BundleWriter
from simckpt.model.series import RunOpened
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


def on_the_lease_of(origin: Origin, path: Path) -> None:
    """The journal as another host, or a process that ended, would have left it."""
    data = path.read_bytes()
    header = decode_header(data)
    path.write_bytes(encode_header(origin, header.first, header.link) + data[header.size :])


@pytest.fixture
def abandoned(tmp_path, play):
    """A bundle whose writer is gone, and its journal."""
    play.checkpoint_act(1)
    play.kill()
    return bundle_paths(tmp_path / "run")


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(handle, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)


def test_where_files_cannot_be_locked_the_lease_tells_who_lives(abandoned, no_locks):
    mine = lease.own_lease("r1")
    on_the_lease_of(mine, abandoned.journal)
    with pytest.raises(BundleBusyError, match=f"process {os.getpid()}"):
        BundleWriter.resume(abandoned.h5)
    on_the_lease_of(Origin(run_id="r1", host=mine.host, pid=mine.pid, born="1"), abandoned.journal)
    BundleWriter.resume(abandoned.h5).close()


@pytest.mark.parametrize("locks", ["here", "nowhere"])
def test_a_journal_that_another_host_is_writing_is_left_alone(abandoned, request, locks):
    if locks == "nowhere":
        request.getfixturevalue("no_locks")
    on_the_lease_of(Origin(run_id="r1", host="elsewhere", pid=1, born="1"), abandoned.journal)
    stop = threading.Event()

    def write() -> None:
        with abandoned.journal.open("ab") as journal:
            while not stop.wait(0.02):
                journal.write(b"x")
                journal.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(BundleBusyError, match="process 1 on elsewhere"):
            BundleWriter.resume(abandoned.h5)
    finally:
        stop.set()
        writer.join()


def test_a_journal_that_another_host_left_is_continued(abandoned, monkeypatch):
    monkeypatch.setattr(lease, "WATCH", 0.1)
    on_the_lease_of(Origin(run_id="r1", host="elsewhere", pid=1, born="1"), abandoned.journal)
    BundleWriter.resume(abandoned.h5).close()
    with open_bundle(abandoned.h5) as bundle:
        assert len(bundle.checkpoints) == 1


def test_an_old_journal_of_another_host_is_not_watched(abandoned, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
    on_the_lease_of(Origin(run_id="r1", host="elsewhere", pid=1, born="1"), abandoned.journal)
    os.utime(abandoned.journal, (1.0, 1.0))
    BundleWriter.resume(abandoned.h5).close()


def test_a_writer_whose_bundle_was_taken_over_writes_no_more_and_says_so(
    abandoned, play, tmp_path, monkeypatch
):
    """As happens where no lock is seen, and the first run writes so seldom that it seems dead."""
    from simckpt.bundle import CheckpointHeld

    first = type(play)(BundleWriter.resume(abandoned.h5), segment=0)
    first.checkpoint_act(2)
    on_the_lease_of(
        Origin(run_id="r1", host="", pid=0, born=""), abandoned.journal
    )  # as a new file, without a lock
    copied = abandoned.journal.read_bytes()
    abandoned.journal.unlink()
    abandoned.journal.write_bytes(copied)
    monkeypatch.setattr(lease.socket, "gethostname", lambda: "elsewhere")
    with BundleWriter.resume(abandoned.h5) as second:
        with pytest.raises(CheckpointHeld, match="another run has taken the place"):
            first.checkpoint_act(3)
        assert second.earlier.checkpoint is not None
