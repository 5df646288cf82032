"""Installed packages by version, editable ones by commit."""

from __future__ import annotations

import json
from importlib.metadata import distributions

from dulwich import porcelain

from simckpt.capture.packages import capture_packages, loaded_packages, version_of


def install(folder, name, direct_url=None):
    entry = folder / name
    entry.mkdir(parents=True)
    if direct_url is not None:
        (entry / "direct_url.json").write_text(json.dumps(direct_url))


def test_the_versions_are_those_that_importlib_tells():
    told = capture_packages().versions
    for distribution in distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        assert told.get(name), name
    assert told["numpy"] == version_of("numpy")
    assert version_of("no-such-package") == ""


def test_the_first_folder_wins_and_names_are_normalised(tmp_path):
    install(tmp_path / "a", "My_Solver-1.2.dist-info")
    install(tmp_path / "b", "my.solver-0.9.dist-info")
    (tmp_path / "b" / "old_tool-3.1-py3.11.egg-info").write_text("")
    (tmp_path / "b" / "not-a-package.txt").write_text("")
    told = capture_packages([tmp_path / "a", tmp_path / "b", tmp_path / "none"], tmp_path)
    assert told.versions == {"my-solver": "1.2", "old-tool": "3.1"}


def test_editable_packages_are_told_by_commit(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    porcelain.init(str(project))
    (project / "x.py").write_text("")
    porcelain.add(str(project), [str(project / "x.py")])
    sha = porcelain.commit(str(project), message=b"x", author=b"A <a@b>", committer=b"A <a@b>")
    site = tmp_path / "site"
    editable = {"url": project.as_uri(), "dir_info": {"editable": True}}
    install(site, "mine-1.0.dist-info", editable)
    vcs = {"url": "https://u:hunter2xyz@h/x", "vcs_info": {"vcs": "git", "commit_id": "ab" * 20}}
    install(site, "theirs-1.0.dist-info", vcs)
    install(
        site, "wheel-1.0.dist-info", {"url": "https://u:hunter2xyz@h/x.whl", "archive_info": {}}
    )
    install(site, "local-1.0.dist-info", {"url": project.as_uri(), "dir_info": {}})
    install(site, "plain-1.0.dist-info")
    assert capture_packages([site], tmp_path).editable == {
        "mine": sha.decode(),
        "theirs": "ab" * 20,
        "wheel": "https://***@h/x.whl",
    }


def test_loaded_packages_are_known_by_the_modules_that_they_bring(tmp_path):
    for name in ("numpy-2.0", "PyYAML-6.0", "fancy_tool-1.0", "scikit_learn-1.5", "idle-3.0"):
        install(tmp_path, f"{name}.dist-info")
    (tmp_path / "PyYAML-6.0.dist-info" / "top_level.txt").write_text("_yaml\nyaml\n")
    record = "fancy_tool-1.0.dist-info/RECORD,,\n../../bin/fancy,,\nfancy/core.py,,\n"
    (tmp_path / "fancy_tool-1.0.dist-info" / "RECORD").write_text(record)
    (tmp_path / "scikit_learn-1.5.dist-info" / "RECORD").write_text("sklearn/__init__.py,,\n")
    modules = ["numpy.linalg", "yaml", "fancy.core", "os"]
    assert loaded_packages(modules, [tmp_path]) == ("fancy-tool", "numpy", "pyyaml")
    assert "pytest" in loaded_packages()


def test_conda_packages_are_listed_with_their_build(tmp_path):
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    (meta / "libblas-3.9.0-20_openblas.json").write_text("{}")
    (meta / "history").write_text("")
    assert capture_packages([], tmp_path).conda == {"libblas": "3.9.0 20_openblas"}
