"""A rank that ends the job leaves its last words beside the journal, and readers hear them."""

from __future__ import annotations

import os

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, bundle_paths, verify
from simckpt.bundle.abort_notice import LARGEST, notice_files, write_notice
from simckpt.model.series import Event


def said(rank: int = 2, wall: float = 50.0, text: str = "ValueError: no") -> Event:
    return Event(
        name="rank_raised", severity="error", step=7, wall=wall, text=text, rank=rank,
        facts={"traceback": "line\n  line"},
    )  # fmt: skip


@pytest.fixture
def killed(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(3)
    play.schema_act(0)
    play.sample_act(1)
    play.checkpoint_act(2)
    play.kill()
    return tmp_path / "run"


def test_last_words_are_events_and_say_how_the_segment_ended(killed):
    write_notice(killed, said())
    with open_bundle(killed) as bundle:
        assert bundle.events[-1] == said()
        (segment,) = bundle.segments
        assert segment.ending == "exception"
        assert segment.end.why == "rank 2: ValueError: no"
        assert segment.end.step == 7
    assert verify(killed) == ()


def test_the_next_writer_records_them_once_and_removes_the_file(killed):
    write_notice(killed, said(2))
    write_notice(killed, said(11, 49.0))
    BundleWriter.resume(killed).close()
    assert notice_files(bundle_paths(killed)) == ()
    BundleWriter.resume(killed).close()
    with open_bundle(killed) as bundle:
        assert list(bundle.events) == [said(2), said(11, 49.0)]
        assert bundle.segments[0].end.why == "rank 11: ValueError: no"
    assert verify(killed) == ()


def test_words_that_were_recorded_but_not_removed_are_not_repeated(killed):
    write_notice(killed, said())
    BundleWriter.resume(killed).close()
    write_notice(killed, said())
    with open_bundle(killed) as bundle:
        assert list(bundle.events) == [said()]
    BundleWriter.resume(killed).close()
    with open_bundle(killed) as bundle:
        assert list(bundle.events) == [said()]


def test_words_of_an_earlier_run_or_segment_are_not_heard(killed, tmp_path, opened):
    write_notice(killed, said(wall=1.0))  # the segment began at 3
    with open_bundle(killed) as bundle:
        assert list(bundle.events) == []
        assert bundle.segments[0].ending is None
    write_notice(tmp_path / "other", said())
    BundleWriter.create(tmp_path / "other", opened).close()
    assert notice_files(bundle_paths(tmp_path / "other")) == ()


def test_files_that_are_torn_or_strange_say_nothing(killed):
    write_notice(killed, said())
    (path,) = notice_files(bundle_paths(killed))
    whole = path.read_bytes()
    for strange in (b"", whole[:-1], whole + b"x", whole[:30] + b"?" + whole[31:], b"\0" * 4096):
        path.write_bytes(strange)
        with open_bundle(killed) as bundle:
            assert list(bundle.events) == []
    path.unlink()
    os.mkfifo(path)
    with open_bundle(killed) as bundle:
        assert list(bundle.events) == []
    path.unlink()
    secret = killed.with_name("secret")
    secret.write_bytes(whole)
    path.symlink_to(secret)
    with open_bundle(killed) as bundle:
        assert list(bundle.events) == []


def test_words_without_end_are_cut(killed):
    write_notice(killed, said(text="x" * 10 * LARGEST))
    with open_bundle(killed) as bundle:
        assert bundle.events[-1].text == "x" * 4000
