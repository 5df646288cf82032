"""Bundles of every version of the format are read as they were meant."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, verify

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(p.stem for p in GOLDEN.glob("v*.json"))


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_golden_bundle_of_each_form():
    assert NAMES == ["v1-ended", "v1-going", "v1-killed"]


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_bundle_reads_as_it_was_meant(name, make):
    with open_bundle(GOLDEN / name) as bundle:
        seen = json.loads(json.dumps(make.told(bundle)))
    _assert_holds(seen, json.loads((GOLDEN / f"{name}.json").read_text()))
    assert [f for f in verify(GOLDEN / name) if f.severity == "damage"] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_bundle_can_be_continued(name, make, tmp_path):
    for file in GOLDEN.glob(f"{name}.simckpt.*"):
        shutil.copy(file, tmp_path)
    with open_bundle(tmp_path / name) as bundle:
        before = list(bundle.checkpoints)
    with BundleWriter.resume(tmp_path / name) as writer:
        make.segment(writer, 2, make.FIRST, 8)
        made = make.checkpoint(writer, 2, (before[-1].id,), 9)
    with open_bundle(tmp_path / name) as bundle:
        assert list(bundle.checkpoints) == [*before, made]
    assert verify(tmp_path / name) == ()


def _assert_holds(seen, expected, where=""):
    """All that was there is there; a later version may see more, by its defaults."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in seen, f"{where}.{key}"
            _assert_holds(seen[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(seen) == len(expected), where
        for i, (a, b) in enumerate(zip(seen, expected, strict=True)):
            _assert_holds(a, b, f"{where}[{i}]")
    else:
        assert seen == expected, where
