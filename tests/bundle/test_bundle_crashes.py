"""A run stopped between any two operations on storage leaves a bundle that is whole."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, WriterOptions, bundle_paths, verify
from simckpt.bundle.files import LocalFiles

BEFORE_THE_FIRST_RECORD = 4
"""Operations of a writer until the record of the run is written."""


class Killed(BaseException):
    """The process ends here."""


class StoppingFiles(LocalFiles):
    """Storage that ends the process before operation number `last`."""

    def __init__(self, last: int) -> None:
        self.left = last
        self._open: set[int] = set()

    def end(self) -> None:
        """What the operating system does for a process that has ended."""
        for handle in self._open:
            super().close(handle)
        self._open.clear()

    def close(self, handle: int) -> None:
        super().close(handle)
        self._open.discard(handle)

    def _tick(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    def create(self, path: Path, *, replace: bool = False) -> int:
        self._tick()
        return self._opened(super().create(path, replace=replace))

    def write(self, handle: int, offset: int, data: bytes) -> None:
        self._tick()
        super().write(handle, offset, data)

    def fsync(self, handle: int) -> None:
        # Killing a process loses nothing that the operating system has: waiting would only
        # make the test slow.
        self._tick()

    def rename(self, source: Path, target: Path) -> None:
        self._tick()
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        self._tick()
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        self._tick()

    def adopt(self, path: Path) -> int:
        self._tick()
        return self._opened(super().adopt(path))

    def _opened(self, handle: int) -> int:
        self._open.add(handle)
        return handle


RESTARTED = WriterOptions(files=StoppingFiles(-1))

ACTS: list[tuple[str, int]] = [
    ("segment", 0),
    ("schema", 0),
    ("sample", 1),
    ("tiles", 2),
    ("checkpoint", 3),
    ("sample", 4),
    ("restart", 0),
    ("sample", 5),
    ("document", 9),
    ("checkpoint", 6),
    ("restart", 0),
]


def _perform(
    path: Path,
    opened: Any,
    plays: Any,
    one_act: Any,
    files: LocalFiles,
) -> list[Any]:
    """The checkpoints whose call had returned when the process ended."""
    acknowledged: list[Any] = []
    play = None
    try:
        play = plays(BundleWriter.create(path, opened, WriterOptions(files=files)))
        play.checkpoints = acknowledged
        for one in ACTS:
            one_act(play, one)
        play.writer.close()
    except Killed:
        if play is not None:
            # Here the process lives on: what it had under way must not end later, by itself.
            with contextlib.suppress(Killed):
                play.kill()
        files.end()
    return acknowledged


@pytest.fixture(scope="module")
def everything(tmp_path_factory, opened, plays, one_act, records_of):
    path = tmp_path_factory.mktemp("whole") / "run"
    files = StoppingFiles(-1)
    _perform(path, opened, plays, one_act, files)
    return records_of(path), -1 - files.left


def test_a_run_stopped_at_any_operation_keeps_each_checkpoint_once_and_goes_on(
    tmp_path, opened, plays, one_act, records_of, everything
):
    whole, operations = everything
    assert operations > 30
    for last in itertools.count():
        path = tmp_path / str(last)
        files = StoppingFiles(last)
        acknowledged = _perform(path, opened, plays, one_act, files)
        if last < BEFORE_THE_FIRST_RECORD:
            # The run was stopped as it began: nothing is there, and a new one finds the place free.
            BundleWriter.create(path, opened, RESTARTED).close()
            continue
        found = _kept(path, whole, acknowledged, records_of)
        with BundleWriter.resume(path, RESTARTED) as writer:
            play = plays(writer, segment=writer.earlier.segments - 1)
            play.segment_act(1)
            play.checkpoint_act(99)
            again = play.checkpoints[-1]
        assert verify(path) == ()
        assert records_of(path)[: len(found)] == found
        with open_bundle(path) as bundle:
            assert bundle.checkpoints[-1] == again
        assert not bundle_paths(path).journal.exists()
        if files.left:
            break
    assert last >= operations


def _kept(path: Path, whole: list[Any], acknowledged: list[Any], records_of: Any) -> list[Any]:
    """The records of a run that was stopped, of which none is missing that should be there."""
    assert verify(path) == ()
    found: list[Any] = records_of(path)
    assert found == whole[: len(found)]
    with open_bundle(path) as bundle:
        assert list(bundle.checkpoints)[: len(acknowledged)] == acknowledged
    return found
