"""Outputs are held against the index by content, and never outside the folder named."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from msgspec.structs import replace

from simckpt.bundle.contents import content_hashes
from simckpt.capture.artifacts import CheckedOutput, check_outputs, index_artifacts
from simckpt.model.documents import Artifact, ArtifactIndex
from simckpt.model.record import hash_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "work" / "out"
    out.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (out / f"{name}.dat").write_text(name)
    return tmp_path / "work"


def indexed(*paths: str, text: str = "secret") -> ArtifactIndex:
    """An index as somebody may have forged it."""
    return ArtifactIndex(
        root="/",
        entries=tuple(
            Artifact(path=p, size=len(text), mtime=0.0, hash=hash_bytes(text.encode()))
            for p in paths
        ),
    )


def statuses(found: tuple[CheckedOutput, ...]) -> dict[str, str]:
    return {f.path: f.status for f in found}


def test_missing_and_changed_outputs_are_named(folder: Path) -> None:
    index = index_artifacts(["out/*.dat"], folder)
    assert set(statuses(check_outputs(index, folder)).values()) == {"same"}
    (folder / "out" / "a.dat").unlink()
    (folder / "out" / "b.dat").write_text("x")
    found = check_outputs(index, folder)
    assert statuses(found) == {
        "out/a.dat": "missing",
        "out/b.dat": "changed",
        "out/c.dat": "same",
    }
    assert [f.holds for f in found] == [False, False, True]
    assert found[1].hash == hash_bytes(b"x")


def test_a_copy_of_the_folder_is_as_good(folder: Path, tmp_path: Path) -> None:
    index = index_artifacts(["out/*.dat"], folder)
    folder.rename(tmp_path / "elsewhere")
    assert all(f.holds for f in check_outputs(index, tmp_path / "elsewhere"))


def test_a_changed_variable_is_named_and_a_file_written_again_holds(folder: Path) -> None:
    def write(value: float, date: str) -> None:
        with h5py.File(folder / "out" / "f.h5", "w") as file:
            file.attrs["creation_date"] = date
            file["rho"] = np.full(4, value)
            file["same"] = np.zeros(2)

    write(1.0, "yesterday")
    index = index_artifacts(["out/f.h5"], folder, content_hashes)
    write(1.0, "today, and longer")
    (again,) = check_outputs(index, folder, content_hashes)
    assert (again.status, again.holds) == ("same-contents", True)
    write(2.0, "yesterday")
    (changed,) = check_outputs(index, folder, content_hashes)
    assert (changed.status, changed.variables) == ("changed", ("rho",))


def test_what_the_run_saw_changing_has_nothing_to_be_held_against(folder: Path) -> None:
    index = index_artifacts(["out/a.dat", "never.nc"], folder, settled=1e9)
    found = check_outputs(index, folder)
    assert statuses(found) == {"out/a.dat": "not-indexed", "never.nc": "missing"}
    assert not any(f.holds for f in found)
    assert "already" in found[0].problem


@pytest.mark.parametrize(
    "path", ["../secret", "out/../../secret", "{absolute}", "out/link", "folder/secret", "/"]
)
def test_no_path_leads_outside_the_folder(folder: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "out" / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)
    (found,) = check_outputs(indexed(path.format(absolute=tmp_path / "secret")), folder)
    assert (found.status, found.hash) == ("outside", None)


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "latest").symlink_to("out/a.dat")
    (found,) = check_outputs(indexed("latest", text="a"), folder)
    assert found.status == "same"
    inside = str(folder / "out" / "a.dat")
    assert check_outputs(indexed(inside, text="a"), folder)[0].status == "same"


def test_what_is_no_file_is_not_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    found = check_outputs(indexed("pipe", "out", "loop", "nul\0byte"), folder)
    assert [f.status for f in found][:2] == ["unreadable", "unreadable"]
    assert not any(f.holds for f in found)


def test_a_name_that_held_a_secret_says_why_it_is_missing(folder: Path) -> None:
    index = index_artifacts(["out/a.dat"], folder)
    entry = replace(index.entries[0], path="token=***")
    (found,) = check_outputs(replace(index, entries=(entry,)), folder)
    assert found.status == "missing"
    assert "secret" in found.problem


def test_an_output_whose_name_is_no_text_is_found_again(folder: Path) -> None:
    name = folder / "out" / "no\udcff text.dat"
    try:
        name.write_text("x")
    except OSError:
        pytest.skip("this file system wants names that are text")
    index = index_artifacts(["out/*text.dat"], folder)
    assert [f.status for f in check_outputs(index, folder)] == ["same"]
    name.unlink()
    assert [f.status for f in check_outputs(index, folder)] == ["missing"]
