"""What configuration files say stands in the specification setting by setting, without secrets."""

from __future__ import annotations

import json

import pytest

from simckpt.capture.configuration import ConfigurationFiles
from simckpt.model.changes import diff

NOT_KNOWN = "a format that nobody knows: nu = 1.0"
TEXTS = {
    "run.toml": "nu = 1.0\n[solver]\nrtol = 1e-8\n",
    "run.json": '{"nu": 1.0, "solver": {"rtol": 1e-8}}',
    "run.yaml": "nu: 1.0\nsolver:\n  rtol: 1.0e-8\n",
    "run.ini": "[solver]\nnu = 1.0\n",
    "run.nml": "&solver\n nu = 1.0\n/\n",
}


def read(folder, *names):
    files = ConfigurationFiles([folder / name for name in names])
    files.read()
    return files.facts()


@pytest.mark.parametrize("name", TEXTS)
def test_a_changed_setting_is_named_by_its_path(tmp_path, name):
    pytest.importorskip({"yaml": "yaml", "nml": "f90nml"}.get(name.partition(".")[2], "json"))
    path = tmp_path / name
    path.write_text(TEXTS[name])
    before = read(tmp_path, name)
    path.write_text(TEXTS[name].replace("1.0", "2.0", 1))
    (change,) = diff(before, read(tmp_path, name))
    assert change.path in (f"{name}.nu", f"{name}.solver.nu")
    assert (float(change.old), float(change.new)) == (1.0, 2.0)


def test_a_comment_is_no_change_of_a_known_format_and_one_of_another(tmp_path):
    for name, text in (("a.toml", "nu = 1.0\n"), ("b.par", NOT_KNOWN), ("c.toml", "nu = ")):
        (tmp_path / name).write_text(text)
    before = read(tmp_path, "a.toml", "b.par", "c.toml")
    for name in before:
        (tmp_path / name).write_text((tmp_path / name).read_text() + "# more\n")
    after = read(tmp_path, "a.toml", "b.par", "c.toml")
    assert [c.path for c in diff(before, after)] == ["b.par", "c.toml"]


def test_changes_are_seen_while_the_run_goes_on_and_missing_files_are_named(tmp_path):
    path = tmp_path / "run.toml"
    files = ConfigurationFiles([path])
    files.read()
    assert files.facts() == {"run.toml": "(FileNotFoundError: No such file or directory)"}
    path.write_text("")
    files.read()
    assert files.facts() == {"run.toml": {}}
    path.write_text("nu = 1\n")
    files.read()
    assert files.facts() == {"run.toml": {"nu": 1}}


def test_files_of_one_name_are_told_apart_by_their_folder(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.toml").write_text(f"name = '{folder}'\n")
    found = read(tmp_path, "a/run.toml", "b/run.toml")
    assert [held["name"] for held in found.values()] == ["a", "b"]


def test_no_setting_says_more_than_the_text_that_is_kept(tmp_path):
    key = "AKIA" + "Q" * 16
    (tmp_path / "s.json").write_text(
        json.dumps({"db_password": "hunter2xyz", "env": [f"X={key}"], "n": 512, "on": True})
    )
    (tmp_path / "t.toml").write_text("password = 'hunter3xyz'\nn = 512\n")
    found = read(tmp_path, "s.json", "t.toml")
    text = json.dumps(found)
    assert all(secret not in text for secret in ("hunter2xyz", "hunter3xyz", key))
    assert (found["s.json"]["n"], found["s.json"]["on"], found["t.toml"]["n"]) == (512, True, 512)
