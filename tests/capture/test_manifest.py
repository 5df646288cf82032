"""The manifest says what ran, and what could not be found out."""

from __future__ import annotations

import os
import sys

import pytest

from simckpt.capture import manifest as module
from simckpt.capture.manifest import capture_manifest
from simckpt.model.documents import Packages, Stage
from simckpt.model.record import canonical_json, content_hash, hash_bytes


def solve(n=1):
    return n


def capture(**changed):
    given = {
        "driver": solve,
        "parameters": {"n": 512},
        "inputs": [],
        "outputs": ["out/*.nc"],
        "stage": Stage(name="growth"),
        "upstream": ["ab" * 32],
    }
    return capture_manifest(**(given | changed))


def test_it_says_what_ran(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kh.toml").write_text("cfl = 0.4\n")
    told, _ = capture(inputs=["kh.toml", "missing.nc"])
    assert told.driver == f"{__name__}.solve"
    assert told.parameters == {"n": 512}
    assert told.stage == Stage(name="growth")
    assert told.upstream == ("ab" * 32,)
    assert told.outputs == ("out/*.nc",)
    assert told.working_directory == str(tmp_path)
    assert told.command[0] == sys.orig_argv[0]
    assert told.unavailable == {}
    kh, missing = told.inputs
    assert kh.hash == hash_bytes(b"cfl = 0.4\n")
    assert missing.problem == "there is no such file"


def test_the_documents_are_those_it_refers_to():
    told, documents = capture()
    stored = {content_hash(d): d for d in documents}
    assert isinstance(stored[told.packages], Packages)
    wanted = {m.source for m in told.modules} | {r.diff for r in told.repositories} - {None}
    assert {told.packages} | wanted - {None} == set(stored)


def test_the_version_is_that_of_the_loaded_code():
    import simckpt

    assert capture()[0].simckpt_version == simckpt.__version__


@pytest.mark.parametrize("part", ["capture_packages", "capture_code", "capture_inputs"])
def test_a_part_that_fails_is_named_and_the_others_are_there(part, monkeypatch):
    def fail(*args, **keywords):
        raise RuntimeError("no")

    monkeypatch.setattr(module, part, fail)
    told, _ = capture(inputs=["missing.nc"])
    name = part.removeprefix("capture_")
    assert told.unavailable == {name: "RuntimeError: no"}
    assert told.driver.endswith("solve")


def test_parameters_of_any_kind_have_an_encoding():
    told, _ = capture(parameters={"x": float("nan"), "f": solve, "bad": object(), "s": "\udc80"})
    assert canonical_json(told)
    assert told.parameters["x"] == "NaN"


def test_the_working_directory_may_be_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    before = os.getcwd()  # noqa: PTH109
    os.chdir(gone)
    try:
        gone.rmdir()
        told, _ = capture()
    finally:
        os.chdir(before)
    assert "working_directory" in told.unavailable
    assert told.working_directory == ""
