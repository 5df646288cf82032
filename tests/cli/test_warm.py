"""`simckpt warm`."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from simckpt.cli.main import verbs
from simckpt.diagnostics import kernel_cache as cache


def test_it_says_where_the_kernels_are(kernel_cache: Path) -> None:
    result = CliRunner().invoke(verbs, ["warm", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["kept"]
    assert Path(told["folder"]).is_relative_to(kernel_cache)
    assert list(Path(told["folder"]).rglob("*.nbc"))


def test_a_folder_that_keeps_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIMCKPT_CACHE_DIR", str(tmp_path / "file"))
    result = CliRunner().invoke(verbs, ["warm"])
    assert result.exit_code != 0
    assert "SIMCKPT_CACHE_DIR" in result.output


def test_a_full_folder_is_one_line_with_the_mend_and_status_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    condition = cache.CacheCondition()
    condition.refused(OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(cache, "condition", condition)
    result = CliRunner().invoke(verbs, ["warm"])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert str(cache.cache_folder()) in line
    assert "No space left on device" in line
    assert "SIMCKPT_CACHE_DIR" in line
    assert not json.loads(CliRunner().invoke(verbs, ["warm", "--json"]).stdout)["kept"]


def test_what_was_damaged_and_made_anew_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    condition = cache.CacheCondition()
    condition.damaged(Path("sweep.nbc"), EOFError("Ran out of input"))
    monkeypatch.setattr(cache, "condition", condition)
    result = CliRunner().invoke(verbs, ["warm"])
    assert result.exit_code == 0
    assert "sweep.nbc" in result.output
