"""The tails of log files: bounded, whole lines, and without secrets."""

from __future__ import annotations

import os
from pathlib import Path

from simckpt.capture.configuration import LONGEST_LOG_TAILS as LONGEST
from simckpt.capture.configuration import MOST_FILES, tail_logs


def test_the_tail_of_a_long_log_is_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("".join(f"step {i}\n" for i in range(40_000)))
    (text,) = tail_logs([str(tmp_path / "*.log")])
    assert text.truncated
    assert len(text.text) <= LONGEST
    assert text.text.endswith("step 39999\n")
    first = text.text.splitlines()[0]
    assert first.startswith("step ")
    assert len(first) == len("step 39999")


def test_a_secret_that_the_cut_goes_through_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    key = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *["MIIsecret" * 7] * 40])
    key += "\n-----END RSA PRIVATE KEY-----\n"
    for filler in range(LONGEST - 2_600, LONGEST + 200, 97):
        path.write_text("x\n" * 30_000 + "token=hunter2" + key + "y" * 60 + "\n" * filler)
        (text,) = tail_logs([str(path)])
        assert "MIIsecret" not in text.text
        assert "hunter2" not in text.text


def test_what_cannot_be_read_is_there_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "binary.log").write_bytes(b"a\0b")
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "whole.log").write_text("all of it\n")
    found = {Path(t.name).name: t for t in tail_logs([str(tmp_path / "*.log")])}
    assert found["binary.log"].problem == "not a text file"
    assert found["pipe.log"].problem == "not a regular file"
    assert (found["whole.log"].text, found["whole.log"].truncated) == ("all of it\n", False)
    (missing,) = tail_logs([str(tmp_path / "none.txt")])
    assert "No such file" in missing.problem


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    for i in range(MOST_FILES + 4):
        path = tmp_path / f"{i:02}.log"
        path.write_text(str(i))
        os.utime(path, (i, i))
    kept = [t.text for t in tail_logs([str(tmp_path / "*.log")])]
    assert kept == [str(i) for i in range(MOST_FILES + 3, 3, -1)]
