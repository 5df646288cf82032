"""Journal and folded file are twins: whichever a record lies in, a reader gets the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simckpt.bundle import BundleWriter, WriterOptions, verify
from simckpt.bundle.files import LocalFiles

SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


class Swift(LocalFiles):
    """Storage that does not wait."""

    def fsync(self, handle: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


SWIFT = WriterOptions(files=Swift())


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    numbers = iter(range(10**6))
    base = tmp_path_factory.mktemp("twins")
    return lambda: base / str(next(numbers))


@SETTINGS
@given(data=st.data())
def test_records_read_the_same_from_the_journal_the_folded_file_and_both(
    data, room, scripts, opened, perform, records_of, picture_of
):
    script = data.draw(scripts)
    cuts = data.draw(st.sets(st.integers(0, len(script)), max_size=3))
    folder = room()
    journal_only = BundleWriter.create(folder / "journal", opened, SWIFT)
    perform(journal_only, script)
    journal_only.flush()

    restarted = [
        a for i, one in enumerate(script) for a in ([("restart", 0)] if i in cuts else []) + [one]
    ]
    both = perform(BundleWriter.create(folder / "both", opened, SWIFT), restarted).writer
    both.flush()

    expected = records_of(folder / "journal")
    picture = picture_of(folder / "journal")
    assert records_of(folder / "both") == expected
    assert picture_of(folder / "both") == picture
    assert verify(folder / "both") == ()

    journal_only.close()
    both.close()
    assert not (folder / "journal.simckpt.journal").exists()
    for name in ("journal", "both"):
        assert records_of(folder / name) == expected
        assert picture_of(folder / name) == picture
        assert verify(folder / name) == ()
    shutil.rmtree(folder)


@SETTINGS
@given(data=st.data())
def test_a_writer_that_resumes_writes_what_one_that_went_on_would_have(
    data, room, scripts, opened, plays, one_act, records_of
):
    script = data.draw(scripts)
    cut = data.draw(st.integers(0, len(script)))
    folder = room()
    straight, stopped = (
        BundleWriter.create(folder / n, opened, SWIFT) for n in ("straight", "stopped")
    )
    play, other = plays(straight), plays(stopped)
    for i, one in enumerate(script):
        if i == cut:
            other.writer.flush()
            other.kill()
            other.writer = BundleWriter.resume(folder / "stopped", SWIFT)
        one_act(play, one)
        one_act(other, one)
    straight.close()
    other.writer.close()
    assert records_of(folder / "stopped") == records_of(folder / "straight")
    assert play.checkpoints == other.checkpoints
    shutil.rmtree(folder)


def test_folding_twice_gives_the_same_bytes(tmp_path, opened, perform, script):
    files = []
    for name in ("a", "b"):
        with BundleWriter.create(tmp_path / name, opened) as writer:
            perform(writer, script)
        files.append(Path(tmp_path / f"{name}.simckpt.h5").read_bytes())
    assert files[0] == files[1]
