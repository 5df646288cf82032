"""Hashes of files are those of their bytes, or there are none."""

from __future__ import annotations

import os

import blake3
import pytest

from simckpt.capture import artifacts as hashing
from simckpt.capture.artifacts import TimeUsedUp, hash_file


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1, 17 * 2**20 + 3])
def test_the_hash_is_that_of_the_bytes(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    path = tmp_path / "f"
    path.write_bytes(content)
    told = hash_file(path)
    assert (told.size, told.hash, told.problem) == (size, blake3.blake3(content).hexdigest(), "")
    assert told.mtime == path.stat().st_mtime


def test_a_file_that_changes_meanwhile_has_no_hash(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"a" * 100)
    real = os.stat

    def grow(name, **keywords):
        with path.open("ab") as file:
            file.write(b"b")
        return real(name, **keywords)

    monkeypatch.setattr(hashing.os, "stat", grow)
    told = hash_file(path)
    assert told.hash is None
    assert told.problem == "changed while it was read"


def test_a_file_that_is_truncated_meanwhile_does_not_kill_the_process(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(bytes(8 * 2**20))
    real = os.fstat

    def truncate(descriptor):
        status = real(descriptor)
        os.truncate(path, 4096)
        return status

    monkeypatch.setattr(hashing.os, "fstat", truncate)
    # A file mapped into memory would end this process with SIGBUS here.
    assert hash_file(path).hash is None


def test_hashing_stops_at_the_deadline(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(3 * 2**20))
    with pytest.raises(TimeUsedUp):
        hash_file(path, deadline=0.0)
