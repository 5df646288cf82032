"""The lock file nearest to the driver is found and hashed."""

from __future__ import annotations

from simckpt.capture.packages import read_lockfile
from simckpt.model.record import hash_bytes


def test_it_is_looked_for_upwards(tmp_path):
    (tmp_path / "uv.lock").write_text("locked")
    deep = tmp_path / "cases" / "kh"
    deep.mkdir(parents=True)
    found = read_lockfile(deep)
    assert found.stable == {"files": {"uv.lock": hash_bytes(b"locked")}}
    assert found.volatile == {"folder": str(tmp_path)}


def test_the_strictest_of_a_folder_is_taken(tmp_path):
    for name in ("requirements.txt", "uv.lock", "poetry.lock"):
        (tmp_path / name).write_text(name)
    assert list(read_lockfile(tmp_path).stable["files"]) == ["uv.lock"]


def test_several_lists_of_requirements_are_all_taken(tmp_path):
    for name in ("requirements-gpu.txt", "requirements-mpi.txt", "notes.txt"):
        (tmp_path / name).write_text(name)
    assert list(read_lockfile(tmp_path).stable["files"]) == [
        "requirements-gpu.txt",
        "requirements-mpi.txt",
    ]


def test_the_top_of_a_repository_is_the_end_of_the_search(tmp_path):
    (tmp_path / "uv.lock").write_text("of another project")
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    assert read_lockfile(project).stable == {}
