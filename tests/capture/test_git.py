"""The state of a git work tree, without a git process."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from dulwich import porcelain
from dulwich.repo import Repo

from simckpt.capture import git
from simckpt.capture import git as work_tree
from simckpt.capture.git import capture_repository, find_root, head_commit

WHO = b"A <a@example.org>"


def commit(root, message=b"x"):
    return porcelain.commit(str(root), message=message, author=WHO, committer=WHO).decode()


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "project"
    (root / "pkg").mkdir(parents=True)
    porcelain.init(str(root))
    (root / "driver.py").write_text("n = 1\n")
    (root / "pkg" / "solver.py").write_text("cfl = 0.4\nlimiter = 'mc'\n")
    porcelain.add(str(root), [str(root / "driver.py"), str(root / "pkg" / "solver.py")])
    root_commit = commit(root)
    with Repo(str(root)) as repo:
        config = repo.get_config()
        config.set((b"remote", b"origin"), b"url", b"https://me:hunter2xyz@host/g/p.git")
        config.write_to_path()
    return root, root_commit


def test_a_clean_tree_has_its_commit_branch_and_redacted_remote(tree):
    root, sha = tree
    repository, diff = capture_repository(root)
    assert repository.commit == sha == head_commit(root / "pkg")
    assert repository.branch in ("master", "main")
    assert repository.dirty is False
    assert repository.remote == "https://***@host/g/p.git"
    assert diff is None
    assert repository.problem == ""


def test_a_changed_file_makes_it_dirty_and_its_diff_is_kept(tree):
    root, _ = tree
    (root / "pkg" / "solver.py").write_text("cfl = 0.8\nlimiter = 'mc'\npassword = 'hunter2xyz'\n")
    repository, diff = capture_repository(root)
    assert repository.dirty is True
    assert repository.diff is not None
    assert "-cfl = 0.4\n+cfl = 0.8\n" in diff.text
    assert "--- a/pkg/solver.py\n+++ b/pkg/solver.py\n" in diff.text
    assert "hunter2xyz" not in diff.text


def test_a_change_of_equal_size_and_time_is_found_where_git_could_miss_it(tree):
    root, _ = tree
    place = root / "driver.py"
    before = place.stat()
    place.write_text("n = 2\n")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    index = root / ".git" / "index"
    os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert capture_repository(root)[0].dirty is True


def test_a_file_that_was_only_touched_is_clean(tree):
    root, _ = tree
    os.utime(root / "driver.py", (1, 1))
    assert capture_repository(root)[0].dirty is False


@pytest.mark.parametrize("change", ["delete", "mode", "stage", "link"])
def test_other_changes_of_tracked_files_make_it_dirty(tree, change):
    root, _ = tree
    place = root / "driver.py"
    if change == "delete":
        place.unlink()
    elif change == "mode":
        place.chmod(0o755)
    elif change == "link":
        place.unlink()
        place.symlink_to("pkg/solver.py")
    else:
        (root / "new.py").write_text("x = 1\n")
        porcelain.add(str(root), [str(root / "new.py")])
    assert capture_repository(root)[0].dirty is True


def test_a_module_that_ran_and_is_not_in_git_is_in_the_diff(tree):
    root, _ = tree
    (root / "mine.py").write_text("x = 1\n")
    (root / "other.py").write_text("y = 1\n")
    repository, diff = capture_repository(root, [root / "mine.py", root / "driver.py"])
    assert repository.untracked == ("mine.py",)
    assert repository.dirty is False
    assert "--- /dev/null\n+++ b/mine.py\n" in diff.text
    assert "+x = 1" in diff.text
    assert "other.py" not in diff.text


def test_what_ran_comes_first_and_the_diff_is_capped(tree, monkeypatch):
    root, _ = tree
    monkeypatch.setattr(work_tree, "LONGEST_DIFF", 200)
    (root / "driver.py").write_text("a = 1\n" * 100)
    (root / "pkg" / "solver.py").write_text("b = 1\n")
    _, diff = capture_repository(root, [root / "pkg" / "solver.py"])
    assert diff.text.startswith("--- a/pkg/solver.py")
    assert diff.truncated
    assert len(diff.text) == 200


def test_binary_and_very_large_files_are_named_and_not_shown(tree, monkeypatch):
    root, _ = tree
    monkeypatch.setattr(work_tree, "LARGEST_FILE", 50)
    (root / "driver.py").write_bytes(b"\0\1\2")
    (root / "pkg" / "solver.py").write_text("x = 1\n" * 100)
    _, diff = capture_repository(root)
    assert "binary files differ" in diff.text
    assert "too large to be shown" in diff.text


def test_a_linked_work_tree_has_its_own_commit(tree, tmp_path):
    root, first = tree
    (root / "driver.py").write_text("n = 2\n")
    porcelain.add(str(root), [str(root / "driver.py")])
    second = commit(root)
    # What `git worktree add --detach ../linked <first>` makes.
    linked = tmp_path / "linked"
    linked.mkdir()
    folder = root / ".git" / "worktrees" / "linked"
    folder.mkdir(parents=True)
    (folder / "HEAD").write_text(first + "\n")
    (folder / "commondir").write_text("../..\n")
    (folder / "gitdir").write_text(f"{linked}/.git\n")
    (linked / ".git").write_text(f"gitdir: {folder}\n")
    shutil.copytree(root / "pkg", linked / "pkg")
    (linked / "driver.py").write_text("n = 1\n")
    assert find_root(linked / "pkg") == linked
    repository, _ = capture_repository(linked)
    assert repository.commit == first != second
    assert repository.branch == ""
    assert repository.dirty is False
    assert repository.remote == "https://***@host/g/p.git"


def test_a_large_file_storage_pointer_is_compared_without_a_filter(tree):
    root, _ = tree
    import hashlib

    content = b"field data"
    pointer = (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{hashlib.sha256(content).hexdigest()}\nsize {len(content)}\n"
    )
    (root / "data.nc").write_text(pointer)
    porcelain.add(str(root), [str(root / "data.nc")])
    commit(root)
    with (root / ".git" / "config").open("a") as config:
        config.write('[filter "lfs"]\n\tclean = false\n\tprocess = false\n')
    (root / ".gitattributes").write_text("*.nc filter=lfs\n")
    (root / "data.nc").write_bytes(content)
    assert capture_repository(root)[0].dirty is False
    (root / "data.nc").write_bytes(b"other data")
    assert capture_repository(root)[0].dirty is True


def test_no_process_is_started(tree, monkeypatch):
    root, _ = tree
    (root / "driver.py").write_text("n = 3\n")

    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert capture_repository(root)[0].problem == ""


def test_a_comparison_that_takes_too_long_leaves_the_commit_and_the_reason(tree, monkeypatch):
    root, sha = tree
    monkeypatch.setattr(git, "find_changes", lambda *a: __import__("time").sleep(5))
    repository, diff = capture_repository(root, limit=0.05)
    assert (repository.commit, repository.dirty, diff) == (sha, None, None)
    assert "took longer" in repository.problem


def test_a_damaged_repository_is_a_reason_and_no_error(tmp_path):
    (tmp_path / ".git").mkdir()
    repository, diff = capture_repository(tmp_path)
    assert (repository.dirty, diff) == (None, None)
    assert repository.problem
    assert head_commit(tmp_path) == ""


def test_before_the_first_commit_everything_indexed_is_new(tmp_path):
    porcelain.init(str(tmp_path))
    (tmp_path / "a.py").write_text("x = 1\n")
    porcelain.add(str(tmp_path), [str(tmp_path / "a.py")])
    repository, diff = capture_repository(tmp_path)
    assert repository.commit == ""
    assert repository.dirty is True
    assert "+x = 1" in diff.text


def test_outside_a_repository_there_is_none(tmp_path):
    if find_root(tmp_path) is None:
        assert head_commit(tmp_path) == ""
