"""States that a power cut can leave, rebuilt from the recorded operations of a run.

Storage promises only this: bytes of a file are there after an fsync of the file that returned,
names in a folder after an fsync of the folder. Before that, each write may be there or not, the
last in part, a file may have its length and zeros, and names change in order but may lag.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, WriterOptions, verify
from simckpt.bundle.files import LocalFiles
from simckpt.errors import NotABundleError

STEP = 64
"""Bytes between the places at which a write is torn: finer than any sector."""

Operation = tuple[Any, ...]


class RecordingFiles(LocalFiles):
    """Storage that writes down what is asked of it. It does not wait: no power is cut here."""

    def __init__(self) -> None:
        self.log: list[Operation] = []
        self._files: dict[int, int] = {}
        self._numbers = itertools.count()

    def create(self, path: Path, *, replace: bool = False) -> int:
        return self._opened(super().create(path, replace=replace), path)

    def adopt(self, path: Path) -> int:
        handle = self._opened(super().adopt(path), path)
        self.log.append(("write", self._files[handle], 0, path.read_bytes()))
        return handle

    def write(self, handle: int, offset: int, data: bytes) -> None:
        super().write(handle, offset, data)
        self.log.append(("write", self._files[handle], offset, data))

    def truncate(self, handle: int, size: int) -> None:
        super().truncate(handle, size)
        self.log.append(("truncate", self._files[handle], size))

    def fsync(self, handle: int) -> None:
        self.log.append(("fsync", self._files[handle]))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.log.append(("rename", source.name, target.name))

    def remove(self, path: Path) -> None:
        super().remove(path)
        self.log.append(("remove", path.name))

    def sync_folder(self, folder: Path) -> None:
        self.log.append(("sync folder",))

    def _opened(self, handle: int, path: Path) -> int:
        self._files[handle] = next(self._numbers)
        self.log.append(("name", path.name, self._files[handle]))
        return handle


@dataclass
class Disk:
    """What is certain, and what is under way, after some operations."""

    names: list[Operation] = field(default_factory=list)
    names_synced: int = 0
    changes: dict[int, list[Operation]] = field(default_factory=dict)
    synced: dict[int, int] = field(default_factory=dict)
    acknowledged: int = 0

    def apply(self, operation: Operation) -> None:
        kind = operation[0]
        if kind in ("name", "rename", "remove"):
            self.names.append(operation)
        elif kind == "sync folder":
            self.names_synced = len(self.names)
        elif kind == "fsync":
            self.synced[operation[1]] = len(self.changes.get(operation[1], []))
        elif kind == "acknowledged":
            self.acknowledged += 1
        else:
            self.changes.setdefault(operation[1], []).append(operation)

    def states(self) -> Iterator[dict[str, bytes]]:
        """Files by name, in each state that storage may be in now."""
        for known in range(self.names_synced, len(self.names) + 1):
            names = _names(self.names[:known])
            for contents in self._contents():
                yield {name: contents[number] for name, number in names.items()}

    def _contents(self) -> Iterator[dict[int, bytes]]:
        certain = {n: _bytes(c[: self.synced.get(n, 0)]) for n, c in self.changes.items()}
        latest = {n: _bytes(c) for n, c in self.changes.items()}
        unborn = dict.fromkeys((o[2] for o in self.names if o[0] == "name"), b"")
        yield unborn | latest
        yield unborn | certain
        for number, changes in self.changes.items():
            done = self.synced.get(number, 0)
            pending = changes[done:]
            for state in _partly(changes[:done], pending):
                for others in (certain, latest):
                    yield unborn | others | {number: state}


def _partly(done: list[Operation], pending: list[Operation]) -> Iterator[bytes]:
    if not pending:
        return
    for dropped in range(len(pending)):
        yield _bytes([*done, *pending[:dropped], *pending[dropped + 1 :]])
        yield _bytes([*done, *pending[:dropped]])
    *before, last = pending
    if last[0] == "write":
        _, number, offset, data = last
        sectors = range(STEP - offset % STEP, len(data), STEP)
        for cut in _spread([1, *sectors, len(data) - 1], 40):
            yield _bytes([*done, *before, ("write", number, offset, data[:cut])])
            torn = bytes(cut) + data[cut:]
            yield _bytes([*done, *before, ("write", number, offset, torn)])
        yield _bytes([*done, *before, ("write", number, offset, bytes(len(data)))])


def _spread(values: list[int], most: int) -> list[int]:
    step = max(1, len(values) // most)
    return values[::step]


def _names(operations: list[Operation]) -> dict[str, int]:
    names: dict[str, int] = {}
    for operation in operations:
        if operation[0] == "name":
            names[operation[1]] = operation[2]
        elif operation[0] == "remove":
            names.pop(operation[1], None)
        else:
            names[operation[2]] = names.pop(operation[1])
    return names


def _bytes(changes: list[Operation]) -> bytes:
    data = bytearray()
    for change in changes:
        if change[0] == "truncate":
            del data[change[2] :]
            data.extend(bytes(change[2] - len(data)))
            continue
        _, _, offset, new = change
        if len(data) < offset:
            data.extend(bytes(offset - len(data)))
        data[offset : offset + len(new)] = new
    return bytes(data)


def _record(folder: Path, opened: Any, plays: Any, one_act: Any, acts: list[Any]) -> Any:
    files = RecordingFiles()
    options = WriterOptions(files=files, write_bytes=600)
    play = plays(BundleWriter.create(folder / "run", opened, options))
    for one in acts:
        one_act(play, one)
        if one[0] == "checkpoint":
            files.log.append(("acknowledged",))
        if one[0] == "reopen":
            play.kill()
            play.writer = BundleWriter.resume(folder / "run", options)
    play.writer.close()
    return files.log, play.checkpoints


def _check(
    folder: Path, state: dict[str, bytes], acknowledged: int, checkpoints: list[Any]
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in state.items():
        (folder / name).write_bytes(data)
    try:
        findings = verify(folder / "run")
    except NotABundleError:
        assert acknowledged == 0
        return
    assert [f for f in findings if f.severity == "damage"] == []
    with open_bundle(folder / "run") as bundle:
        found = list(bundle.checkpoints)
        assert found == checkpoints[: len(found)]
        assert len(found) >= acknowledged


ACTS = [
    ("segment", 0),
    ("schema", 0),
    *[("sample", i) for i in range(1, 9)],
    ("checkpoint", 1),
    *[("sample", i) for i in range(20, 29)],
    ("tiles", 3),
    ("checkpoint", 2),
    ("sample", 40),
    ("flush", 0),
    ("sample", 41),
    ("restart", 0),
    ("event", 5),
    *[("sample", i) for i in range(50, 58)],
    ("checkpoint", 3),
    ("document", 4),
    ("checkpoint", 4),
    ("restart", 0),
    ("checkpoint", 5),
]


def _each_state(log: list[Operation]) -> Iterator[tuple[int, dict[str, bytes]]]:
    seen = set()
    disk = Disk()
    for operation in log:
        disk.apply(operation)
        for state in disk.states():
            mark = hashlib.blake2b(repr(disk.acknowledged).encode())
            for name in sorted(state):
                mark.update(name.encode() + b"\0" + hashlib.blake2b(state[name]).digest())
            if mark.digest() not in seen:
                seen.add(mark.digest())
                yield disk.acknowledged, state


def test_every_acknowledged_checkpoint_outlives_a_power_cut(tmp_path, opened, plays, one_act):
    log, checkpoints = _record(tmp_path, opened, plays, one_act, ACTS)
    states = 0
    for number, (acknowledged, state) in enumerate(_each_state(log)):
        if number % 2 and "run.simckpt.h5" in state:
            continue
        _check(tmp_path / "state", state, acknowledged, checkpoints)
        states += 1
    assert states > 400


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_states_of_many_runs_keep_what_was_acknowledged(
    tmp_path, opened, plays, one_act
):
    states = 0
    for seed in itertools.count():
        random_ = random.Random(seed)
        acts = [("segment", 0), ("schema", seed)]
        acts += [(random_.choice(KINDS), random_.randrange(1000)) for _ in range(60)]
        folder = tmp_path / str(seed)
        log, checkpoints = _record(folder, opened, plays, one_act, acts)
        for acknowledged, state in _each_state(log):
            _check(folder / "state", state, acknowledged, checkpoints)
            states += 1
        shutil.rmtree(folder)
        if states > 10_000:
            break


KINDS = ("sample",) * 8 + ("checkpoint",) * 3 + ("tiles", "event", "document", "restart", "flush")
