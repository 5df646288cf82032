"""What stands in a bundle's place and is no file of one: told at once, by name."""

from __future__ import annotations

import os

import pytest

from simckpt import BundleError, SimckptError
from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, recover, verify
from simckpt.errors import BundleBusyError, NotABundleError


def names_in(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture(params=["h5", "journal"])
def ending(request):
    return request.param


def tell(path, act):
    """What `act` says of the bundle at `path`."""
    with pytest.raises(BundleError) as caught:
        act(path)
    return str(caught.value)


READERS = (lambda path: open_bundle(path).close(), verify, lambda path: recover(path, salvage=True))


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_named_and_never_read(tmp_path, opened, ending, kind):
    place = tmp_path / f"run.simckpt.{ending}"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    for act in (*READERS, lambda path: BundleWriter.resume(path)):
        assert f"run.simckpt.{ending}: is a" in tell(tmp_path / "run", act)
    assert "run.simckpt" in tell(tmp_path / "run", lambda path: BundleWriter.create(path, opened))
    assert names_in(tmp_path) == [place.name]


@pytest.mark.parametrize("length", [236, 240, 300])
def test_a_name_that_is_too_long_is_said_before_anything_is_written(tmp_path, opened, length):
    path = tmp_path / ("x" * length)
    with pytest.raises(BundleError, match=r"(?i)shorter"):
        BundleWriter.create(path, opened)
    assert names_in(tmp_path) == []
    with pytest.raises(NotABundleError):
        open_bundle(path)


def test_a_name_that_cannot_be_one_is_an_error_of_ours():
    with pytest.raises(SimckptError, match="null"):
        open_bundle("a\0b")


def test_a_writer_stays_with_its_bundle_wherever_the_program_goes(
    tmp_path, opened, plays, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    play = plays(BundleWriter.create("run", opened))
    play.segment_act(0)
    monkeypatch.chdir("elsewhere")
    play.checkpoint_act(1)
    play.restart()
    play.checkpoint_act(2)
    play.writer.close()
    assert names_in(tmp_path / "elsewhere") == []
    with open_bundle(tmp_path / "run") as bundle:
        assert tuple(bundle.checkpoints) == tuple(play.checkpoints)


def test_what_a_strangers_file_says_of_itself_is_escaped_in_errors(tmp_path, opened):
    from simckpt.bundle.framing import Origin, encode_header

    hostile = "\x1b]0;x\x07\u202e"
    journal = tmp_path / "run.simckpt.journal"
    writer = BundleWriter.create(tmp_path / "run", opened)
    writer.close()
    journal.write_bytes(encode_header(Origin(run_id=hostile), 1, bytes(32)))
    with pytest.raises(BundleError, match="belongs to run") as caught:
        open_bundle(tmp_path / "run")
    assert str(caught.value).isprintable()
    assert str(BundleBusyError("x", f"is being written on {hostile}")).isprintable()


def test_a_salvage_in_vain_leaves_everything_as_it_was(tmp_path):
    (tmp_path / "run.simckpt.h5").touch()
    with pytest.raises(BundleError):
        recover(tmp_path / "run", salvage=True)
    assert names_in(tmp_path) == ["run.simckpt.h5"]
