"""Inputs are recorded by content; what is missing is named and not dropped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simckpt.capture import artifacts as inputs
from simckpt.capture.artifacts import capture_inputs
from simckpt.model.record import hash_bytes


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_patterns_folders_and_names_find_their_files(folder):
    for name in ("a.toml", "data/x.nc", "data/deep/y.nc", "odd[1].nc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    assert [f.path for f in capture_inputs(["*.toml"])] == ["a.toml"]
    assert [f.path for f in capture_inputs(["data"])] == ["data/deep/y.nc", "data/x.nc"]
    assert [f.path for f in capture_inputs(["data/**/*.nc"])] == ["data/deep/y.nc", "data/x.nc"]
    assert [f.path for f in capture_inputs(["odd[1].nc"])] == ["odd[1].nc"]
    (found,) = capture_inputs([folder / "a.toml", str(folder / "*.toml")])
    assert (found.size, found.hash) == (6, hash_bytes(b"a.toml"))
    assert found.mtime == (folder / "a.toml").stat().st_mtime


def test_what_cannot_be_had_is_named_with_its_problem(folder):
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    found = {f.path: f for f in capture_inputs(["none.nc", "*.zz", "dangling", "pipe"])}
    assert found["none.nc"].problem == "there is no such file"
    assert found["*.zz"].problem == "no file has a name like this"
    assert found["dangling"].problem == "there is no such file"
    assert "not a regular file" in found["pipe"].problem
    assert all(f.hash is None for f in found.values())


def test_an_address_is_named_without_its_secrets():
    (found,) = capture_inputs(["s3://me:hunter2xyz@bucket/x?token=hunter2xyz"])
    assert found.path == "s3://***@bucket/x?token=***"
    assert found.problem == "not a local file: not hashed"


def test_the_same_file_under_two_names_is_hashed_once(folder, monkeypatch):
    (folder / "a").write_text("content")
    (folder / "b").hardlink_to(folder / "a")
    (folder / "c").symlink_to("a")
    calls = []
    real = inputs.hash_file
    monkeypatch.setattr(inputs, "hash_file", lambda *a: calls.append(a) or real(*a))
    found = capture_inputs(["a", "b", "c"])
    assert len({f.hash for f in found}) == 1
    assert len(calls) == 1


def test_hashes_of_contents_come_from_the_reader_and_its_failure_is_named(folder):
    (folder / "a.nc").write_text("a")
    (folder / "b.txt").write_text("b")

    def contents(path):
        if path.suffix == ".nc":
            return {"rho": "0" * 64}
        raise ValueError("not understood")

    nc, text = capture_inputs(["a.nc", "b.txt"], contents)
    assert nc.contents == {"rho": "0" * 64}
    assert (text.contents, text.problem) == (None, "contents: ValueError: not understood")
    assert text.hash is not None


def test_what_is_left_when_the_time_is_used_up_is_named(folder):
    (folder / "a").write_text("a")
    (found,) = capture_inputs(["a"], limit=-1)
    assert found.hash is None
    assert "used up" in found.problem
    assert found.size == 1


def test_a_name_that_is_no_unicode_is_shown_by_escapes(folder):
    (folder / os.fsdecode(b"bad\xff.nc")).write_text("x")
    (found,) = capture_inputs(["*.nc"])
    assert found.path == "bad\\udcff.nc"
    assert found.hash is not None


def test_folders_that_hold_nothing_or_are_links_say_so(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("a")
    (tmp_path / "data" / "more").symlink_to(tmp_path)
    found = {
        Path(f.path).name: f for f in capture_inputs([tmp_path / "empty.zarr", tmp_path / "data"])
    }
    assert found["a"].hash
    assert found["empty.zarr"].problem == "OSError: the folder is empty"
    assert "give that folder too" in found["more"].problem
