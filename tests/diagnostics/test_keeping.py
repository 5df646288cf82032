"""Whatever befalls the kernel cache, the values are right and one warning names it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

pytest.importorskip("numba")

from simckpt import SimckptWarning
from simckpt.diagnostics import kernel_cache as cache
from simckpt.diagnostics.kernel_cache import one_at_first
from simckpt.diagnostics.kernels import jit as keeping
from simckpt.diagnostics.kernels.jit import kernel


def tripled(x):
    return 3 * x


@pytest.fixture
def condition(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMCKPT_CACHE_DIR", str(tmp_path))
    fresh = cache.CacheCondition()
    monkeypatch.setattr(keeping, "condition", fresh)
    return fresh


def compiled():
    """As a process does that starts now; and whether it had to compile."""
    function = kernel(tripled)
    assert function(14) == 42
    return sum(function.stats.cache_misses.values()) == 1


def files(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.rglob(f"*.{ending}"))


def test_what_one_process_compiled_the_next_one_loads(condition, tmp_path):
    assert compiled()
    assert not compiled()
    assert not condition.unkept
    assert not condition.mended
    assert files(tmp_path, "nbc")[0].is_relative_to(cache.cache_folder())


@pytest.mark.parametrize("ending", ["nbc", "nbi"])
@pytest.mark.parametrize("harm", ["cut", "emptied", "zeroed", "one bit"])
def test_a_damaged_file_is_named_and_made_anew(condition, tmp_path, ending, harm):
    compiled()
    (path,) = files(tmp_path, ending)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 16
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "emptied": b"",
            "zeroed": bytes(len(whole)),
            "one bit": bytes(flipped),
        }[harm]
    )
    again = compiled()
    if harm != "one bit" or ending == "nbc":
        assert again
        assert path.name in condition.mended
        assert str(cache.cache_folder()) in condition.mended
    assert not condition.unkept
    assert not compiled()


def test_machine_code_for_another_signature_is_not_run(condition, tmp_path):
    compiled()
    (path,) = files(tmp_path, "nbc")
    ours = path.read_bytes()
    other = kernel(tripled)
    assert other(0.5) == 1.5
    (theirs,) = (each for each in files(tmp_path, "nbc") if each != path)
    theirs.write_bytes(ours)
    again = kernel(tripled)
    assert again(0.5) == 1.5
    assert sum(again.stats.cache_misses.values()) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_cache_that_is_full_is_named_with_the_mend(condition, monkeypatch, number):
    def full(self, name, data):
        raise OSError(number, os.strerror(number), name)

    monkeypatch.setattr(keeping._Files, "_save_data", full)
    assert compiled()
    assert compiled()
    assert str(cache.cache_folder()) in condition.unkept
    assert os.strerror(number) in condition.unkept
    assert "SIMCKPT_CACHE_DIR" in condition.unkept
    monkeypatch.undo()


def test_what_is_in_a_cache_that_cannot_be_written_is_loaded(condition, monkeypatch, tmp_path):
    compiled()

    def refuse(self):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(keeping._Folder, "ensure_cache_path", refuse)
    assert not compiled()
    assert not condition.unkept
    assert kernel(tripled)(0.5) == 1.5
    assert "Permission denied" in condition.unkept


def test_a_cache_below_a_file_is_done_without(condition, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIMCKPT_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert compiled()
    assert "cannot be written to" in condition.unkept


def test_numbas_own_settings_do_not_move_the_cache(condition, monkeypatch, tmp_path):
    from numba.core import config

    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", "ZipCacheLocator", raising=False)
    assert compiled()
    assert not compiled()


def test_it_is_said_once_and_never_raises(condition, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("simckpt.diagnostics.kernel_cache.condition", condition)
    condition.refused(OSError(errno.ENOSPC, "No space left on device"))
    with (
        pytest.warns(SimckptWarning, match="No space left on device.*simckpt warm"),
        one_at_first(tmp_path / "lock"),
    ):
        pass
    with one_at_first(tmp_path / "lock"):
        pass
    condition.damaged(tmp_path / "sweep.nbc", EOFError("Ran out of input"))
    with one_at_first(tmp_path / "missing" / "lock"):
        pass
    assert "sweep.nbc" in capsys.readouterr().err


def test_who_has_no_home_gets_no_folder_beside_the_run(monkeypatch):
    for name in ("SIMCKPT_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache.cache_folder().is_absolute()
