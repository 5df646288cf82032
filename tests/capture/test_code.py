"""The user's own modules that were imported, and no others."""

from __future__ import annotations

import builtins
import importlib.util
import json
import os
import time
import types

import numpy as np
import pytest
from dulwich import porcelain

import simckpt.errors
from simckpt.capture.code import capture_code, own_modules, process_started
from simckpt.capture.packages import capture_packages
from simckpt.model.record import content_hash, hash_bytes


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path):
    (tmp_path / "driver.py").write_text("import solver\n")
    (tmp_path / "solver.py").write_text("cfl = 0.4\nAPI_TOKEN = 'hunter2xyz'\n")
    (tmp_path / "never.py").write_text("unused = 1\n")
    main = types.ModuleType("__main__")
    main.__file__ = str(tmp_path / "driver.py")
    modules = {
        "__main__": main,
        "solver": load(tmp_path / "solver.py", "solver"),
        "numpy": np,
        "json": json,
        "simckpt.errors": simckpt.errors,
        "builtins": builtins,
    }
    return tmp_path, modules


def test_only_the_users_modules_are_taken_the_driver_among_them(project):
    folder, modules = project
    assert own_modules(modules) == {
        "driver": folder / "driver.py",
        "solver": folder / "solver.py",
    }


def test_each_module_is_recorded_by_hash_and_outside_git_with_its_source(project):
    folder, modules = project
    recorded, repositories, texts = capture_code(modules)
    driver, solver = recorded
    assert (driver.name, driver.path) == ("driver", str(folder / "driver.py"))
    assert driver.hash == hash_bytes(b"import solver\n")
    assert repositories == ()
    assert {content_hash(t) for t in texts} == {driver.source, solver.source}
    assert "hunter2xyz" not in "".join(t.text for t in texts)
    assert texts[0].text == "import solver\n"


def test_modules_in_git_refer_to_their_repository(project):
    folder, modules = project
    porcelain.init(str(folder))
    porcelain.add(str(folder), [str(folder / "driver.py")])
    sha = porcelain.commit(str(folder), message=b"x", author=b"A <a@b>", committer=b"A <a@b>")
    recorded, (repository,), (diff,) = capture_code(modules)
    assert {m.repository for m in recorded} == {str(folder)} == {repository.root}
    assert {m.source for m in recorded} == {None}
    assert repository.commit == sha.decode()
    assert repository.untracked == ("solver.py",)
    assert "b/solver.py" in diff.text
    assert repository.diff == content_hash(diff)


def test_a_module_whose_file_is_gone_is_no_error(project):
    folder, modules = project
    (folder / "solver.py").unlink()
    assert [m.name for m in capture_code(modules)[0]] == ["driver"]


def test_compiled_modules_of_the_user_are_taken(project):
    folder, modules = project
    compiled = types.ModuleType("fast")
    compiled.__file__ = str(folder / "fast.cpython-311-x86_64-linux-gnu.so")
    (folder / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7fELF\0")
    recorded = {m.name: m for m in capture_code(modules | {"fast": compiled})[0]}
    assert recorded["fast"].hash == hash_bytes(b"\x7fELF\0")
    assert recorded["fast"].source is None


def test_a_file_that_was_written_after_the_process_began_is_marked(project):
    folder, modules = project
    os.utime(folder / "solver.py", (process_started() - 60,) * 2)
    os.utime(folder / "driver.py", (process_started() + 60,) * 2)
    assert {m.name: m.edited for m in capture_code(modules)[0]} == {"driver": True, "solver": False}


def test_the_start_of_the_process_is_known_to_a_second_or_so(tmp_path):
    assert time.time() - 3600 * 24 < process_started() <= time.time() + 1.0
    assert process_started(tmp_path) == float("inf")


LARGE = 2_000
"""Modules of a large package, of the size of PyTorch."""


def installed_elsewhere(folder, files, metadata="large-1.0.dist-info", listed=True):
    """A folder as ``pip install --target`` leaves it, with empty modules."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / metadata).mkdir()
    if listed:
        (folder / metadata / "RECORD").write_text("".join(f'"{f}",sha256=x,0\n' for f in files))
    return folder


def as_modules(folder, files):
    found = {}
    for file in files:
        name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found[name] = types.ModuleType(name)
        found[name].__file__ = str(folder / file)
    return found


def test_a_large_package_on_pythonpath_is_a_package_and_no_code_of_the_user(
    project, tmp_path_factory, monkeypatch
):
    folder, modules = project
    files = ["large/__init__.py", *(f"large/part{i % 40}/m{i}.py" for i in range(LARGE))]
    place = installed_elsewhere(tmp_path_factory.mktemp("lib"), files)
    (place / "mine.py").touch()
    (place / "large/patch.py").touch()
    monkeypatch.syspath_prepend(place)
    own = as_modules(place, ["mine.py", "large/patch.py"])
    found = own_modules(modules | as_modules(place, files) | own)
    assert found == {
        "driver": folder / "driver.py",
        "solver": folder / "solver.py",
        # What came with no distribution is the user's, wherever it lies.
        "mine": place / "mine.py",
        "large.patch": place / "large/patch.py",
    }
    assert capture_packages(prefix=place).versions["large"] == "1.0"


@pytest.mark.parametrize("metadata", ["large-1.0.dist-info", "large-1.0-py3.11.egg-info"])
def test_an_installation_without_a_list_of_its_files_is_known_by_its_modules(
    tmp_path_factory, monkeypatch, metadata
):
    files = ["large/__init__.py", "large/core.py", "single.py"]
    place = installed_elsewhere(tmp_path_factory.mktemp("lib"), files, metadata, listed=False)
    monkeypatch.syspath_prepend(place)
    modules = as_modules(place, files)
    assert set(own_modules(modules)) - {"__main__"} == {"single"}
    other = installed_elsewhere(tmp_path_factory.mktemp("lib"), files, metadata, listed=False)
    (other / metadata / "top_level.txt").write_text("single\n")
    monkeypatch.syspath_prepend(other)
    assert set(own_modules(as_modules(other, files))) == {"large", "large.core"}


def test_the_sources_of_the_users_own_package_stay_the_users(tmp_path_factory, monkeypatch):
    # A build leaves metadata beside the sources, and an editable installation brings no files.
    place = tmp_path_factory.mktemp("src")
    files = ["large/__init__.py", "large/core.py"]
    installed_elsewhere(place, files, "large.egg-info", listed=False)
    (place / "large.egg-info" / "top_level.txt").write_text("large\n")
    (place / "large-1.0.dist-info").mkdir()
    (place / "large-1.0.dist-info" / "RECORD").write_text("__editable__.large-1.0.pth,,\n")
    monkeypatch.syspath_prepend(place)
    assert set(own_modules(as_modules(place, files))) == {"large", "large.core"}
