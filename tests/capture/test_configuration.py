"""Configuration files are kept whole, up to a size, without secrets."""

from __future__ import annotations

from simckpt.capture.configuration import LONGEST, capture_configuration


def test_the_text_is_kept_without_its_secrets(tmp_path):
    path = tmp_path / "kh.toml"
    path.write_text("cfl = 0.4\ndb_password = 'hunter2xyz'\n")
    (text,) = capture_configuration([path])
    assert text.name == str(path)
    assert text.text == "cfl = 0.4\ndb_password = '***'\n"
    assert (text.truncated, text.problem) == (False, "")


def test_a_long_file_is_cut(tmp_path):
    (tmp_path / "long.txt").write_text("x\n" * LONGEST)
    (text,) = capture_configuration([tmp_path / "long.txt"])
    assert text.truncated
    assert len(text.text) == LONGEST


def test_missing_and_binary_files_are_named_with_their_problem(tmp_path):
    (tmp_path / "b").write_bytes(b"\0\1")
    missing, binary, folder = capture_configuration([tmp_path / "no", tmp_path / "b", tmp_path])
    assert missing.problem.startswith("FileNotFoundError")
    assert binary.problem == "not a text file"
    assert folder.problem.startswith("IsADirectoryError")
    assert missing.text == binary.text == folder.text == ""
