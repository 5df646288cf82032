"""The index of the outputs is made beside the run, which waits for it only when it ends."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

import simckpt
from simckpt.capture import configuration
from simckpt.capture.artifacts import capture_inputs
from simckpt.capture.configuration import ConfigurationFiles, capture_configuration
from simckpt.recording import captures as indexing
from simckpt.recording.captures import Indexer


def test_without_patterns_there_is_no_index() -> None:
    assert Indexer(()).index(wait=True) is None


def test_the_run_does_not_wait_and_its_end_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("1")
    os.utime("a.txt", (1e9, 1e9))
    gate = threading.Event()
    real = indexing.index_artifacts

    def slow(*args: object, **options: object) -> object:
        gate.wait(30)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(indexing, "index_artifacts", slow)
    indexer = Indexer(("*.txt",))
    assert indexer.index(wait=False) is None
    assert indexer.index(wait=False) is None
    gate.set()
    Path("b.txt").write_text("2")
    index = indexer.index(wait=True)
    assert index is not None
    assert [(e.path, e.status) for e in index.entries] == [
        ("a.txt", "stable"), ("b.txt", "stable"),
    ]  # fmt: skip


def test_an_index_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gate = threading.Event()
    monkeypatch.setattr(indexing, "index_artifacts", lambda *a, **o: gate.wait(60))
    monkeypatch.setattr(indexing, "LONGEST_WAIT", 0.05)
    indexer = Indexer(("*.txt",))
    assert indexer.index(wait=True) is None
    assert all(t.daemon for t in threading.enumerate() if t.name == "simckpt-index")
    gate.set()


def test_pipes_in_the_place_of_files_are_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in.dat", "out.nc", "case.toml", "run.log", "uv.lock"):
        os.mkfifo(name)
    with simckpt.run(
        "x", inputs=["in.dat"], outputs=["*.nc"], config=["case.toml"], logs=["run.log"]
    ) as run:
        run.checkpoint("one")
    with simckpt.open("x") as bundle:
        parts = bundle.checkpoints[-1].parts
        (entry,) = bundle.document(parts.artifacts).entries
        (text,) = (bundle.document(h) for h in parts.configuration)
        (given,) = bundle.document(parts.manifest).inputs
    assert (entry.path, entry.status) == ("out.nc", "unreadable")
    assert text.problem == given.problem == "OSError: not a regular file"


def test_a_file_server_that_never_answers_costs_its_time_limit_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def never(path: Path) -> bytes:
        asked.append(path)
        time.sleep(5)
        return b""

    monkeypatch.setattr(configuration, "_read", never)
    monkeypatch.setattr(configuration, "LIMIT", 0.02)
    files = ConfigurationFiles(["far/case.toml"])
    assert files.read()[0].problem == "took longer than 0.02 s"
    assert files.read() == files.read()
    assert len(asked) == 1


def test_a_configuration_file_is_read_again_where_its_contents_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("cfl = 0.4\n")
    files = ConfigurationFiles([path])
    first = files.read()
    assert files.read()[0] is first[0]
    path.write_text("cfl = 0.2\n")
    os.utime(path, (1e9, 1e9))
    assert files.read()[0].text == "cfl = 0.2\n"
    assert capture_configuration([path]) == files.read()


def test_an_input_that_is_no_file_has_its_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (found,) = capture_inputs([tmp_path / "pipe"])
    assert found.problem == "OSError: not a regular file"
