"""`simckpt warm`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from simckpt.cli.main import verbs


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
