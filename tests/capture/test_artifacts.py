"""Outputs are indexed by content once they have stopped changing."""

from __future__ import annotations

import os
import threading
import time

from simckpt.capture import artifacts as artifacts
from simckpt.capture.artifacts import FileHash, index_artifacts
from simckpt.model.record import hash_bytes


def test_outputs_are_found_relative_to_the_root_and_hashed(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.nc").write_text("b")
    (tmp_path / "out" / "a.nc").write_text("a")
    index = index_artifacts(["out/*.nc", "none.txt"], tmp_path)
    assert index.root == str(tmp_path)
    assert index.patterns == ("out/*.nc", "none.txt")
    assert [(e.path, e.hash, e.status) for e in index.entries] == [
        ("none.txt", None, "missing"),
        ("out/a.nc", hash_bytes(b"a"), "stable"),
        ("out/b.nc", hash_bytes(b"b"), "stable"),
    ]


def test_a_file_outside_the_root_keeps_its_path(tmp_path):
    other = tmp_path / "elsewhere.nc"
    other.write_text("x")
    (entry,) = index_artifacts([str(other)], tmp_path / "root").entries
    assert (entry.path, entry.status) == (str(other), "stable")


def test_a_file_that_was_just_written_can_be_left_for_later(tmp_path):
    path = tmp_path / "a.nc"
    path.write_text("x")
    (fresh,) = index_artifacts(["a.nc"], tmp_path, settled=60).entries
    assert (fresh.status, fresh.hash) == ("changing", None)
    os.utime(path, (time.time() - 120,) * 2)
    (old,) = index_artifacts(["a.nc"], tmp_path, settled=60).entries
    assert old.status == "stable"


def test_a_file_that_changes_while_it_is_hashed_has_no_hash(tmp_path, monkeypatch):
    (tmp_path / "a.nc").write_text("x")
    changed = FileHash(5, 1.0, None, "changed while it was read")
    monkeypatch.setattr(artifacts, "hash_file", lambda *a: changed)
    (entry,) = index_artifacts(["a.nc"], tmp_path).entries
    assert (entry.status, entry.hash, entry.size) == ("changing", None, 5)


def test_hashes_of_contents_come_from_the_reader_and_its_failure_is_no_error(tmp_path):
    (tmp_path / "a.nc").write_text("x")

    def broken(path):
        raise RuntimeError("damaged")

    (entry,) = index_artifacts(["a.nc"], tmp_path, lambda path: {"rho": "1"}).entries
    assert entry.contents == {"rho": "1"}
    (entry,) = index_artifacts(["a.nc"], tmp_path, broken).entries
    assert (entry.contents, entry.status) == (None, "stable")


def test_past_the_limit_outputs_are_listed_and_not_hashed(tmp_path):
    (tmp_path / "a.nc").write_text("x")
    (entry,) = index_artifacts(["a.nc"], tmp_path, limit=-1).entries
    assert (entry.status, entry.size) == ("changing", 1)


def test_what_has_not_changed_since_an_earlier_index_is_not_hashed_again(tmp_path, monkeypatch):
    for name in ("a.nc", "b.nc"):
        (tmp_path / name).write_text(name)
    first = index_artifacts(["*.nc"], tmp_path)
    (tmp_path / "b.nc").write_text("longer than before")
    hashed = []
    real = artifacts.hash_file
    monkeypatch.setattr(artifacts, "hash_file", lambda p, d: hashed.append(p.name) or real(p, d))
    second = index_artifacts(["*.nc"], tmp_path, previous=first)
    assert hashed == ["b.nc"]
    assert second == index_artifacts(["*.nc"], tmp_path)
    assert second.entries[0] == first.entries[0]


def test_what_goes_on_growing_when_the_run_ends_is_not_called_stable(tmp_path):
    log, done, old = (tmp_path / name for name in ("log.txt", "done.txt", "old.txt"))
    for path in (log, done, old):
        path.write_text("x")
    os.utime(old, (1e9, 1e9))
    stop = threading.Event()

    def grow():
        while not stop.wait(0.02):
            with log.open("a") as file:
                file.write("x")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        entries = index_artifacts(["*.txt"], tmp_path, quiet=0.3).entries
    finally:
        stop.set()
        writer.join()
    assert {e.path: e.status for e in entries} == {
        "done.txt": "stable",
        "log.txt": "changing",
        "old.txt": "stable",
    }
    assert entries[1].hash is None


def test_a_link_to_a_folder_among_the_outputs_is_no_output(tmp_path):
    (tmp_path / "out" / "1").mkdir(parents=True)
    (tmp_path / "out" / "1" / "a").write_text("a")
    (tmp_path / "out" / "latest").symlink_to("1")
    assert [e.path for e in index_artifacts(["out"], tmp_path).entries] == ["out/1/a"]
